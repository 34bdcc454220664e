//! `repro pull`: fetches outs and traces from a remote and restores the outs.

use std::path::Path;

use clap::Args;

use super::checkout::summary;
use super::fetch::{Request, errors};
use super::share::{End, ShareArgs, outcome, show_uncached};
use crate::engine::Project;
use crate::engine::checkout::{self, Present, checkout};
use crate::engine::share::select::Extent;
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
    share: ShareArgs,
    /// Fetch the history of runs, too, and merge it with this one
    #[arg(long)]
    runs: bool,
    #[command(flatten)]
    other: OtherStates,
}

/// Options of `repro fetch`, which are refused with a hint.
#[derive(Debug, Args)]
struct OtherStates {
    /// Refused: `repro fetch` has it
    #[arg(long, hide = true)]
    run: Option<String>,
    /// Refused: `repro fetch` has it
    #[arg(long, hide = true)]
    rev: Vec<String>,
    /// Refused: `repro fetch` has it
    #[arg(long, hide = true)]
    all: bool,
}

impl PullArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (share, OtherStates { run, rev, all }) = (&self.share, &self.other);
        if run.is_some() || !rev.is_empty() || *all {
            return Err(Error::usage("`repro pull` restores the outs of pipeline.lock").hint(
                "use `repro fetch` with these options, then `repro runs checkout` or `repro get`",
            ));
        }
        let (project, held) = Project::load_with_locked(root)?;
        let request = Request { share, extent: Extent::Lock, runs: self.runs };
        let (report, fetched) = request.fetch(here, &project, &held)?;
        let end = End::of(fetched.was_stopped);
        let outs = fetched.outs.clone();
        let mut errors = errors(fetched, &report.remote);
        if share.json {
            stdout::write(&report::json(&report))?;
        }
        if !report.dry_run && end == End::Reached {
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
                    // Outs that are incomplete do not match, and have errors of their own.
                    if !share.json && (broken.is_empty() || !done.brought.is_empty()) {
                        stdout::say!("{}", summary(&done, &share.names, Present::Stays));
                    }
                }
                Err(error) => errors.push(error),
            }
        }
        if !share.json {
            show_uncached(&report.uncached);
        }
        outcome(errors, end)
    }
}
