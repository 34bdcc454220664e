//! `repro accept`: records that changes do not affect a stage's outs, and prints the accepted
//! changes.

use std::path::Path;

use clap::Args;

use super::common::show_changes;
use super::select;
use crate::engine::Project;
use crate::engine::accept::accept;
use crate::error::{Error, Result, exit};
use crate::runs::Recorder;
use crate::terminal::{self, style};

/// Declare a stage up to date although something changed: the change does not affect its outs
#[derive(Debug, Args)]
pub(super) struct AcceptArgs {
    /// Stage to accept
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Why the change is harmless; recorded in pipeline.lock and in the run history
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl AcceptArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        // Joined into one line, as it is displayed everywhere.
        let reason = self.reason.split_whitespace().collect::<Vec<_>>().join(" ");
        if reason.is_empty() {
            return Err(Error::usage("the reason must not be empty")
                .hint("explain why the change is harmless: --reason \"only a comment changed\""));
        }
        let (project, held) = Project::load_exclusively(root, &[])?;
        let ix = select::find(&project.pipeline, &self.stage)?;
        let mut recorder = Recorder::start(root, terminal::note);
        let accepted =
            accept(&project, &held, ix, &reason, std::env::args().collect(), &mut recorder);
        if let Some(warning) = recorder.finish() {
            terminal::warn_of(&warning);
        }
        let accepted = accepted?;
        let (name, run) = (&project.pipeline.stages[ix].name, accepted.run);
        terminal::stdout::say!(
            "{}{name}{:#} accepted as up to date in {run}: {reason}",
            style::STAGE,
            style::STAGE
        );
        show_changes(&accepted.changes)?;
        Ok(exit::OK)
    }
}
