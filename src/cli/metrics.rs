//! `repro metrics`: the metrics of a run, and comparisons between runs.

mod compare;
mod show;

use std::path::Path;

use clap::{Args, Subcommand};

use self::compare::CompareArgs;
use self::show::ShowArgs;
use crate::error::Result;
use crate::pipeline::Goals;

/// Show metrics and compare them between runs
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the metrics of a run
    Show(ShowArgs),
    /// Compare the params and metrics of runs
    ///
    /// With one RUN, compares it with the latest; with none, compares the last two.
    Compare(CompareArgs),
}

impl MetricsArgs {
    /// Runs the command and returns the exit code. `goals` define which differences are
    /// improvements.
    ///
    /// # Errors
    /// There is no such run, or the run store cannot be read.
    pub(super) fn execute(self, root: &Path, goals: &Goals) -> Result<u8> {
        match self.command {
            Command::Show(args) => args.execute(root, goals),
            Command::Compare(args) => args.execute(root, goals),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{Goal, Goals};

    pub(super) fn goals() -> Goals {
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert("loss".to_owned(), Goal::Min);
        goals
    }

    pub(super) fn plain(text: &str) -> String {
        crate::escape::without_styles(text)
    }
}
