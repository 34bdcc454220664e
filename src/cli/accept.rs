//! `repro accept`: records that the outs in the workspace are those of a stage as it is now, and
//! prints the accepted changes.

use std::path::Path;

use clap::Args;

use super::common::{command_line, show_changes, show_ignored};
use super::select;
use crate::engine::Project;
use crate::engine::accept::{accept, acceptable};
use crate::error::{Error, Result, exit};
use crate::runs::Recorder;
use crate::terminal::{self, stdout, style};

/// Accept the current outs of a stage as correct, without running it
///
/// The outs become the outs of the stage as it is now: after a change that does not affect them, or
/// when they were made elsewhere. They are stored in the cache as after a run.
#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// Stages to accept; the name of a matrix stands for all its stages
    #[arg(value_name = "STAGE", required_unless_present = "all")]
    stages: Vec<String>,
    /// Accept all stages that are not up to date
    #[arg(long, conflicts_with = "stages")]
    all: bool,
    /// Why the outs are right; recorded in pipeline.lock and in the run history
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl AcceptArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        // Joined into one line, as it is displayed everywhere.
        let reason = self.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        if reason.is_empty() {
            return Err(Error::usage("the reason must not be empty")
                .hint("explain why the outs are right: --reason \"only a comment changed\""));
        }
        let (project, held) = Project::load_exclusively(root, &[])?;
        let stages = match self.all {
            true => acceptable(&project.pipeline),
            false => {
                select::only(&project.pipeline, &select::from_root(root, here, &self.stages)?)?
                    .iter()
                    .collect()
            }
        };
        let mut recorder = Recorder::start(&project.history, terminal::note);
        let accepted = accept(&project, &held, &stages, &reason, command_line(), &mut recorder);
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let accepted = accepted?;
        accepted.warnings.iter().for_each(|warning| terminal::warn(warning));
        let (run, bold) = (accepted.run, style::STAGE);
        for (name, changes) in &accepted.stages {
            stdout::say!("{bold}{name}{bold:#} accepted as up to date in {run}: {reason}");
            show_changes(changes)?;
        }
        show_ignored(&accepted.ignored);
        Ok(exit::OK)
    }
}
