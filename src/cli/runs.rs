//! `repro runs`: the history. Knows nothing of how a run comes about.

mod list;
mod logs;
mod show;

use std::io::{self, Write as _};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::{Args, Subcommand};
use serde_json::Value;

pub(super) use show::shortened_commit;

use crate::error::{Error, Result, exit};
use crate::pipeline::Goals;
use crate::runs::{RunState, StageState, Store, query};
use crate::terminal::style;

/// What was run, with which params, and what came of it
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Logs(logs::LogsArgs),
}

impl RunsArgs {
    /// Does it for the project at `root`, and tells the exit code.
    ///
    /// # Errors
    /// There is no such run or stage, or the run store cannot be read.
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        match self.command {
            Command::List(args) => args.execute(root, goals),
            Command::Show(args) => args.execute(root),
            Command::Logs(args) => args.execute(root),
        }
    }
}

/// The store of a project that has had a run.
pub(super) fn store(root: &Path) -> Result<Store> {
    Store::open_existing(root)?.ok_or_else(query::no_runs)
}

/// Writes `text` to stdout. A reader that has seen enough, as `head` has, is no error.
pub(super) fn print(text: &str) -> Result<u8> {
    let mut out = anstream::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

pub(super) fn print_json(value: &Value) -> Result<u8> {
    print(&format!("{value:#}\n"))
}

/// Tells people something on stderr that is not the data they asked for.
pub(super) fn remark(text: &str) {
    // There is nobody left to tell that stderr is closed.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// JSON has no NaN and no infinities: they are the strings `NaN`, `Infinity` and `-Infinity`.
pub(super) fn json_number(value: f64) -> Value {
    let word = match value {
        _ if value.is_nan() => "NaN",
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => return Value::from(value),
    };
    Value::from(word)
}

pub(super) fn run_style(state: RunState) -> Style {
    match state {
        RunState::Ok => style::GOOD,
        RunState::Failed => style::BAD,
        RunState::Interrupted => AnsiColor::Yellow.on_default(),
        RunState::Running => AnsiColor::Cyan.on_default(),
    }
}

fn stage_style(state: &StageState) -> Style {
    match state {
        StageState::Ran => style::GOOD,
        StageState::Failed(_) => style::BAD,
        StageState::Skipped { .. } | StageState::Interrupted => AnsiColor::Yellow.on_default(),
        StageState::Running | StageState::Restored | StageState::Accepted { .. } => {
            AnsiColor::Cyan.on_default()
        }
        StageState::Fresh => style::DIM,
    }
}

/// `text` in at most `most` characters.
fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

fn written(result: io::Result<()>) -> Result<u8> {
    match result {
        Err(err) if err.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::environment("cannot write to standard output").because(err))
        }
        _ => Ok(exit::OK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::finished;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        runs: RunsArgs,
    }

    pub(super) fn execute(root: &Path, args: &[&str]) -> Result<u8> {
        let words = std::iter::once("runs").chain(args.iter().copied());
        let cli = <Cli as clap::Parser>::try_parse_from(words).unwrap();
        cli.runs.execute(root, &Goals::default())
    }

    #[test]
    fn before_the_first_run_each_command_says_how_to_make_it() {
        let dir = tempfile::tempdir().unwrap();
        for args in [&["show"][..], &["show", "run-1"], &["logs"], &["logs", "last", "train"]] {
            let error = execute(dir.path(), args).unwrap_err();
            assert_eq!(error.what, "there are no runs yet", "{args:?}");
            assert_eq!(error.hint.as_deref(), Some("`repro run` makes the first"));
        }
        assert_eq!(execute(dir.path(), &["list"]).unwrap(), exit::OK);
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let dir = finished();
        let cases = [
            (
                &["show", "9"][..],
                "there is no run `run-9`",
                "the latest are run-2, run-1; `repro runs list` shows more",
            ),
            (
                &["show", "lst"],
                "`lst` is no name of a run: write `run-2`, `2` or `last`",
                "the latest are run-2, run-1; `repro runs list` shows more",
            ),
            (
                &["logs", "1", "trian"],
                "run-1 has no stage `trian`",
                "did you mean `train`? It has download, train, evaluate",
            ),
            (
                &["logs", "1", "../x"],
                "run-1 has no stage `../x`",
                "it has download, train, evaluate",
            ),
            (
                &["logs", "1", "download"],
                "stage `download` wrote no log in run-1: it was fresh",
                "`repro runs logs run-1` shows the logs there are",
            ),
        ];
        for (args, what, hint) in cases {
            let error = execute(dir.path(), args).unwrap_err();
            assert_eq!(
                (error.what.as_str(), error.hint.as_deref()),
                (what, Some(hint)),
                "{args:?}"
            );
            assert_eq!(error.exit_code(), exit::USAGE, "{args:?}");
        }
    }

    #[test]
    fn numbers_that_json_lacks_are_words() {
        let values = [0.5, 2.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(json_number);
        assert_eq!(
            serde_json::json!(values).to_string(),
            r#"[0.5,2.0,"NaN","Infinity","-Infinity"]"#
        );
    }
}
