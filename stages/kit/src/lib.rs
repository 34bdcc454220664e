//! A library for stages in Rust: params in, events out, atomic file writes.
//!
//! A stage is a program that reads `REPRO_PARAMS`, appends to `REPRO_EVENTS`, and exits with 0 when
//! its outs are complete. This crate is the stages' side of that contract. It is unaware of the
//! pipeline, of other stages, and of audio and networks, and shares no code with the engine.
//!
//! | part | purpose |
//! |---|---|
//! | [`main`] | runs a stage and reports its error with all causes |
//! | [`Params`] | params as structs, with defaults and `KEY=VALUE` overrides |
//! | [`Events`] | metrics, progress, finished items and artifacts |
//! | [`files`] | outs that are written by a rename, folders of class folders |
//! | [`csv`], [`npy`] | tables and arrays |
//! | [`say!`], [`warn!`] | output that a closed stdout does not stop |
//!
//! With neither variable set, a stage runs by hand: params have the defaults of its structs, its
//! arguments override them, and events are left out.
//!
//! ```no_run
//! #[derive(serde::Deserialize)]
//! #[serde(default, deny_unknown_fields)]
//! struct Train {
//!     epochs: u64,
//! }
//!
//! impl Default for Train {
//!     fn default() -> Train {
//!         Train { epochs: 10 }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     kit::main(|| {
//!         let overrides: Vec<String> = std::env::args().skip(1).collect();
//!         let params = kit::Params::load(&overrides)?;
//!         let train: Train = params.section("train")?;
//!         params.reject_unread_overrides()?;
//!         let events = kit::Events::open()?;
//!         for epoch in 0..train.epochs {
//!             events.metric("loss", epoch, 1.0 / (epoch + 1) as f64);
//!             events.progress(epoch + 1, train.epochs);
//!         }
//!         kit::files::write_json("metrics.json", &serde_json::json!({ "accuracy": 0.9 }))
//!     })
//! }
//! ```

pub mod csv;
pub mod events;
pub mod files;
pub mod npy;
pub mod params;

pub use events::Events;
pub use params::Params;

use std::io::Write as _;
use std::process::ExitCode;

/// Runs a stage and returns exit code 0, or prints the error and its causes to stderr and returns
/// 1.
pub fn main(stage: impl FnOnce() -> anyhow::Result<()>) -> ExitCode {
    match stage() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed, the exit code still reports the failure.
            let _ = std::io::stderr().write_all(render(&error).as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Prints a line to stdout like `println!`, but ignores a closed stdout.
///
/// With `stage | head`, for instance, the stage must not stop and lose its outs.
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::say_line(format_args!($($words)*)) };
}

/// Implementation of [`say!`].
pub fn say_line(words: std::fmt::Arguments<'_>) {
    // One write per line: lines of several threads do not mix.
    let _ = std::io::stdout().write_all(format!("{words}\n").as_bytes());
}

/// Prints a warning to stderr like `eprintln!`, but ignores a closed stderr.
#[macro_export]
macro_rules! warn {
    ($($words:tt)*) => { $crate::warn_line(format_args!($($words)*)) };
}

/// Implementation of [`warn!`].
pub fn warn_line(words: std::fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_all(format!("warning: {words}\n").as_bytes());
}

/// Strips the credentials and the query from a URL, so that it can be shown in messages.
///
/// The query may contain a signature.
pub fn without_secrets(address: &str) -> String {
    let plain = address.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else { return plain.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
    let host = host.rsplit('@').next().unwrap_or_default();
    match path {
        Some(path) => format!("{scheme}://{host}/{path}"),
        None => format!("{scheme}://{host}"),
    }
}

fn render(error: &anyhow::Error) -> String {
    let mut causes = error.chain().map(ToString::to_string);
    let mut last = causes.next().unwrap_or_default();
    let mut text = format!("error: {last}\n");
    for cause in causes {
        // Some libraries include the source in their own message.
        if !last.ends_with(&cause) {
            text.push_str(&format!("  caused by: {cause}\n"));
        }
        last = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{render, without_secrets};

    #[test]
    fn error_with_causes() {
        let error =
            anyhow::anyhow!("disk full").context("cannot write `a.npy`").context("stage stopped");
        assert_eq!(
            render(&error),
            "error: stage stopped\n  caused by: cannot write `a.npy`\n  caused by: disk full\n"
        );
    }

    #[test]
    fn repeated_cause_is_omitted() {
        let error = anyhow::anyhow!("disk full").context("cannot write `a.npy`: disk full");
        assert_eq!(render(&error), "error: cannot write `a.npy`: disk full\n");
    }

    #[test]
    fn urls_without_secrets() {
        for (address, shown) in [
            ("https://h/a.zip", "https://h/a.zip"),
            ("https://u:p@h:8/a@b.zip?sig=x#y", "https://h:8/a@b.zip"),
            ("https://h?token=x", "https://h"),
        ] {
            assert_eq!(without_secrets(address), shown);
        }
    }
}
