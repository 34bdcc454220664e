//! `repro pull`: fetches outs and traces from a remote and restores the outs.

use std::path::Path;

use clap::Args;

use super::checkout::summary;
use super::fetch::{FetchArgs, errors};
use super::share::{outcome, show_uncached};
use crate::engine::Project;
use crate::engine::checkout::{self, Present, checkout};
use crate::error::{Error, Result};
use crate::report;
use crate::terminal::{self, stdout};

/// Fetch outs and traces from a remote, and restore the outs
///
/// Does the work of `repro fetch` and then of `repro checkout`. Files that differ are stored in the
/// cache before they are replaced.
#[derive(Debug, Args)]
pub(super) struct PullArgs {
    #[command(flatten)]
    fetch: FetchArgs,
}

impl PullArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let share = &self.fetch.share;
        if share.run.is_some() || !share.rev.is_empty() || self.fetch.all {
            return Err(Error::usage("`repro pull` restores the outs of pipeline.lock").hint(
                "use `repro fetch` with these options, then `repro runs checkout` or `repro get`",
            ));
        }
        let (project, held) = Project::load_with_locked(root)?;
        let (report, fetched) = self.fetch.fetch(here, &project, &held)?;
        let interrupted = fetched.was_stopped.then_some("repro pull");
        let is_dry = report.dry_run;
        let outs = fetched.outs.clone();
        let mut errors = errors(fetched, &report);
        if share.json {
            stdout::write(&report::json(&report))?;
        }
        if !is_dry && interrupted.is_none() {
            let broken = report.missing.iter().map(|out| (&out.stage, &out.path));
            let broken: Vec<_> = broken.collect();
            let whole = share.names.is_empty() && broken.is_empty();
            let parts = match whole {
                true => checkout::everything(&project),
                false => checkout::parts_of(
                    outs.iter()
                        .filter(|out| !broken.contains(&(&out.stage, &out.path)))
                        .map(|out| (out.stage.clone(), out.path.clone(), out.content)),
                ),
            };
            match checkout(&project, &held, &parts, Present::Stays) {
                Ok(done) => {
                    done.warnings.iter().for_each(|warning| terminal::warn(warning));
                    if !share.json {
                        stdout::say!("{}", summary(&done, &share.names, Present::Stays));
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if !share.json {
            show_uncached(&report.uncached);
        }
        outcome(errors, interrupted)
    }
}
