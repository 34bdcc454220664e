//! The `repro` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(repro::cli::main(std::env::args_os()))
}
