//! `repro metrics`: the numbers of a run, and how those of several differ. Knows nothing of where they come from.

mod compare;
mod show;

use std::path::Path;

use clap::{Args, Subcommand};

use self::compare::CompareArgs;
use self::show::ShowArgs;
use crate::error::Result;
use crate::pipeline::Goals;

/// The numbers that stages reported, and how they differ between runs
#[derive(Debug, Args)]
pub(super) struct MetricsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the metrics of a run
    Show(ShowArgs),
    /// Compare the params and metrics of runs; one RUN is compared with the last run, none: the last two
    Compare(CompareArgs),
}

impl MetricsArgs {
    /// Does it for the project at `root`, and tells the exit code. `goals` say which differences are for the better.
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
        anstream::adapter::strip_str(text).to_string()
    }
}
