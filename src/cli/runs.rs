//! `repro runs`: the history of runs.

mod best;
mod checkout;
mod diff;
mod edit;
mod export;
mod import;
mod list;
mod logs;
mod reproduce;
mod show;
mod table;

use std::path::Path;

use clap::{Args, Subcommand};

use crate::error::Result;
use crate::pipeline::Goals;

/// Find runs, and add names, tags and notes
#[derive(Debug, Args)]
pub(super) struct RunsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Diff(diff::DiffArgs),
    Logs(logs::LogsArgs),
    Checkout(checkout::CheckoutArgs),
    Reproduce(reproduce::ReproduceArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Best(best::BestArgs),
    Tag(edit::TagArgs),
    Note(edit::NoteArgs),
    Rename(edit::RenameArgs),
    #[command(name = "rm", visible_aliases = ["remove", "delete"])]
    Remove(edit::RemoveArgs),
    Undelete(edit::UndeleteArgs),
}

impl RunsArgs {
    /// Runs the command and returns the exit code. Relative paths start at `here`.
    ///
    /// # Errors
    /// There is no such run or stage, or the run store cannot be read.
    pub(super) fn execute(self, here: &Path, root: &Path, goals: &Goals) -> Result<u8> {
        match self.command {
            Command::List(args) => args.execute(root, goals),
            Command::Show(args) => args.execute(root, goals),
            Command::Diff(args) => args.execute(root, goals),
            Command::Logs(args) => args.execute(root),
            Command::Checkout(args) => args.execute(here, root, goals),
            Command::Reproduce(args) => args.execute(root, goals),
            Command::Export(args) => args.execute(here, root, goals),
            Command::Import(args) => args.execute(here, root),
            Command::Best(args) => args.execute(root, goals),
            Command::Tag(args) => args.execute(root),
            Command::Note(args) => args.execute(root),
            Command::Rename(args) => args.execute(root),
            Command::Remove(args) => args.execute(root),
            Command::Undelete(args) => args.execute(root),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::exit;
    use crate::runs::tests::finished;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        runs: RunsArgs,
    }

    pub(super) fn execute(root: &Path, args: &[&str]) -> Result<u8> {
        let words = std::iter::once("runs").chain(args.iter().copied());
        let cli = <Cli as clap::Parser>::try_parse_from(words).unwrap();
        cli.runs.execute(root, root, &Goals::default())
    }

    #[test]
    fn no_runs_yet() {
        let dir = tempfile::tempdir().unwrap();
        for args in [&["show"][..], &["show", "run-1"], &["logs"], &["logs", "last", "train"]] {
            let error = execute(dir.path(), args).unwrap_err();
            assert_eq!(error.what, "there are no runs yet", "{args:?}");
            assert_eq!(error.hint.as_deref(), Some("run `repro run` to create the first"));
        }
        assert_eq!(execute(dir.path(), &["list"]).unwrap(), exit::OK);
    }

    #[test]
    fn unknown_names() {
        let dir = finished();
        let cases = [
            (
                &["show", "9"][..],
                "there is no run `run-9`",
                "the latest are run-2, run-1; `repro runs list` shows more",
            ),
            (
                &["show", "lst"],
                "there is no run `lst`",
                "the latest are run-2, run-1; `repro runs list` shows more",
            ),
            (
                &["logs", "1", "trian"],
                "there is no stage `trian` in run-1",
                "did you mean `train`?",
            ),
            (
                &["logs", "1", "../x"],
                "there is no stage `../x` in run-1",
                "the stages are download, train, evaluate",
            ),
            (
                &["logs", "1", "download"],
                "stage `download` has no log in run-1: it was up to date",
                "`repro runs logs run-1` shows the logs of the other stages",
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
}
