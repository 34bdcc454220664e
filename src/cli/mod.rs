//! The commands, one file each. What the user typed comes in; text and an exit code go out.

mod accept;
mod add;
mod checkout;
mod completions;
mod dag;
mod fsck;
mod gc;
mod init;
mod metrics;
mod params;
mod plan;
mod run;
mod runs;
mod schema;
mod select;
mod status;
mod why;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::engine::{Project, project};
use crate::error::{Error, Result, exit};
use crate::pipeline::{Goals, Problem};
use crate::workspace::root;

/// Reproducible pipelines: runs stages in any language, redoes only what changed, restores the rest,
/// records every run.
#[derive(Debug, Parser)]
#[command(name = "repro", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// Work in the project of this directory instead of the current one
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::InitArgs),
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Why(why::WhyArgs),
    Dag(dag::DagArgs),
    Params(params::ParamsArgs),
    Metrics(metrics::MetricsArgs),
    Runs(runs::RunsArgs),
    Add(add::AddArgs),
    Checkout(checkout::CheckoutArgs),
    Gc(gc::GcArgs),
    Fsck(fsck::FsckArgs),
    Accept(accept::AcceptArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
}

/// Does what the command line says and gives the exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(code) = completions::answer(&args) {
        return code;
    }
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(err) => {
            let _ = err.print();
            return if err.use_stderr() { exit::USAGE } else { exit::OK };
        }
    };
    match execute(cli) {
        Ok(code) => code,
        Err(error) => {
            show(&error);
            error.exit_code()
        }
    }
}

fn execute(cli: Cli) -> Result<u8> {
    let here = cli.directory.unwrap_or_else(|| PathBuf::from("."));
    let root = || root::find(&here);
    match cli.command {
        Command::Init(args) => args.execute(&here),
        Command::Run(args) => args.execute(&root()?),
        Command::Status(args) => args.execute(&root()?),
        Command::Why(args) => args.execute(&root()?),
        Command::Dag(args) => args.execute(&project::load_pipeline(&root()?, &[])?),
        Command::Params(args) => args.execute(&root()?),
        Command::Metrics(args) => root().and_then(|root| args.execute(&root, &goals(&root))),
        Command::Runs(args) => root().and_then(|root| args.execute(&root, &goals(&root))),
        Command::Add(args) => args.execute(&here, &root()?),
        Command::Checkout(args) => args.execute(&here, &root()?),
        Command::Gc(args) => args.execute(&root()?),
        Command::Fsck(args) => args.execute(&root()?),
        Command::Accept(args) => args.execute(&root()?),
        Command::Schema(args) => args.execute(),
        Command::Completions(args) => args.execute(),
    }
}

/// The past can be looked at while the pipeline is broken; then metrics have no direction.
fn goals(root: &Path) -> Goals {
    project::load_pipeline(root, &[]).map(|pipeline| pipeline.goals).unwrap_or_default()
}

fn load(root: &Path) -> Result<Project> {
    Project::load(root, &[])
}

/// All problems of the pipeline file as one error.
pub fn problems(problems: Vec<Problem>) -> Error {
    crate::pipeline::problem::report(problems)
}

/// Writes an error and those beside it to stderr.
fn show(error: &Error) {
    for error in std::iter::once(error).chain(&error.others) {
        crate::terminal::tell(&crate::terminal::error_text(
            &error.what,
            &error.causes,
            error.hint.as_deref(),
        ));
    }
}
