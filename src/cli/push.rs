//! `repro push`: sends outs and traces to a remote.

use std::path::Path;

use clap::Args;

use super::share::{self, Everything, ShareArgs, Watched};
use crate::engine::Project;
use crate::engine::share::missing::Missing;
use crate::engine::share::push::{Mode, Pushed, push};
use crate::error::Result;
use crate::plural::count;
use crate::report;
use crate::report::share::{Execution, TransferReport};
use crate::terminal::stdout;

/// Send outs and traces to a remote
///
/// Sends only what the remote lacks. Others get it with `repro pull`; stages that were computed
/// here are then restored there instead of run.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    share: ShareArgs,
    /// Send everything in the cache that a trace refers to
    #[arg(long)]
    all: bool,
}

impl PushArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let share = &self.share;
        let project = Project::load(root, &[])?;
        let mut remote = share.remote(&project)?;
        project.cache.join()?;
        let (extent, names) =
            (share.extent(Everything::of(self.all)), share::names(root, here, &share.names)?);
        let (mode, execution) = match share.dry_run {
            true => (Mode::Count, Execution::Counted),
            false => (Mode::Send, Execution::Done),
        };
        let watched = Watched::start("pushing")?;
        let pushed = push(&project, &mut remote, (&extent, &names), mode, &watched.meter);
        drop(watched);
        let pushed = pushed?;
        let report = TransferReport::of_push(&remote, &pushed, execution);
        match share.json {
            true => stdout::write(&report::json(&report))?,
            false => {
                stdout::say!("{}", summary(&report, &pushed));
                share::show_uncached(&pushed.uncached);
            }
        }
        let interrupted = pushed.was_stopped.then_some("repro push");
        let mut errors = pushed.errors;
        errors.extend(share::missing(
            &pushed.missing,
            |Missing { stage, path, objects, of }| {
                let some = format!("{objects} of {}", count(*of, "object"));
                let verb = if *objects == 1 { "is" } else { "are" };
                format!(
                    "`{path}` of stage `{stage}` is incomplete: {some} {verb} neither in the cache \
                     nor on `{}`",
                    report.remote
                )
            },
            |Missing { stage, .. }| format!("`repro run {stage}` makes its outs again"),
        ));
        share::outcome(errors, interrupted)
    }
}

fn summary(report: &TransferReport, pushed: &Pushed) -> String {
    let TransferReport { remote, objects, bytes, traces, .. } = report;
    let amount = share::amount(*objects, *traces);
    if *objects == 0 && *traces == 0 {
        let selected = count(report.selected, "object");
        let is_complete =
            report.missing.is_empty() && pushed.errors.is_empty() && !report.interrupted;
        return match is_complete {
            true => format!("`{remote}` has everything: {selected}"),
            false => format!("pushed nothing to `{remote}`"),
        };
    }
    let bytes = share::bytes(*bytes, report.transferred, "sent");
    match report.dry_run {
        true => format!("would push {amount} to `{remote}`: {bytes}"),
        false => format!("pushed {amount} to `{remote}`: {bytes}"),
    }
}
