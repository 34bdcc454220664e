//! `repro push`: sends outs and traces to a remote.

use std::path::Path;

use clap::Args;

use super::share::{self, End, Everything, ShareArgs, StateArgs, Watched};
use crate::engine::Project;
use crate::engine::share::missing::Missing;
use crate::engine::share::push::{Mode, Pushed, push};
use crate::engine::share::runs::{self, PushedRuns, Selection};
use crate::error::Result;
use crate::plural::count;
use crate::remote::{Meter, Remote};
use crate::report;
use crate::report::share::{Execution, RunsReport, TransferReport};
use crate::terminal::stdout;

/// Send outs and traces to a remote
///
/// Sends only what the remote lacks. Others get it with `repro pull`; stages that were computed
/// here are then restored there instead of run.
#[derive(Debug, Args)]
pub(super) struct PushArgs {
    #[command(flatten)]
    share: ShareArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Send everything in the cache that a trace refers to
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Send the history of runs, too: their params, metrics, logs, tags and notes
    #[arg(long)]
    runs: bool,
}

impl PushArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let share = &self.share;
        let project = Project::load(root, &[])?;
        let mut remote = share.remote(&project)?;
        project.cache.join()?;
        let (extent, names) =
            (self.state.extent(Everything::of(self.all)), share::names(root, here, &share.names)?);
        let (mode, execution) = match share.dry_run {
            true => (Mode::Count, Execution::Counted),
            false => (Mode::Send, Execution::Done),
        };
        let watched = Watched::start("pushing")?;
        let has_outs = !self.runs || !project.lock.stages.is_empty() || !names.is_empty();
        let mut sent = || {
            let meter = &watched.meter;
            let mut pushed = match has_outs {
                true => push(&project, &mut remote, (&extent, &names), mode, meter)?,
                false => Pushed::default(),
            };
            let runs = self.push_runs(&project, &mut remote, meter)?;
            pushed.was_stopped |= meter.is_stopped();
            Ok((pushed, runs))
        };
        let sent: Result<_> = sent();
        drop(watched);
        let (pushed, runs) = sent?;
        let mut report = TransferReport::of_push(&remote, &pushed, execution);
        report.runs = runs.as_ref().map(RunsReport::of_push);
        match share.json {
            true => stdout::write(&report::json(&report))?,
            false => {
                if has_outs {
                    stdout::say!("{}", summary(&report, &pushed));
                }
                share::show_uncached(&pushed.uncached);
                if let Some(runs) = &runs {
                    share::runs::show_pushed(&remote.name, runs, share.dry_run())?;
                }
            }
        }
        let end = End::of(pushed.was_stopped);
        let mut errors = pushed.errors;
        errors.extend(share::missing(
            &pushed.missing,
            |Missing { stage, path, objects, of, .. }| {
                let some = format!("{objects} of {}", count(*of, "object"));
                let verb = if *objects == 1 { "is" } else { "are" };
                format!(
                    "`{path}` of stage `{stage}` is incomplete: {some} {verb} neither in the cache \
                     nor on `{}`",
                    report.remote
                )
            },
            |Missing { stage, path, .. }| match path.to_path(root).symlink_metadata() {
                Ok(_) => format!(
                    "`repro fsck --repair` takes it from the workspace; if it has changed there, \
                     `repro run {stage}` makes it again"
                ),
                Err(_) => format!("`repro run {stage}` makes it again"),
            },
        ));
        share::outcome(errors, end)
    }
}

impl PushArgs {
    /// Sends the runs that are meant, if any are.
    fn push_runs(
        &self,
        project: &Project,
        remote: &mut Remote,
        meter: &Meter,
    ) -> Result<Option<PushedRuns>> {
        let selection = match (&self.state.run, self.runs) {
            _ if meter.is_stopped() => None,
            (_, true) => Some(Selection::All),
            (run, false) => run.as_deref().map(Selection::Run),
        };
        let push = |selection| {
            runs::push(&project.history, remote, selection, self.share.dry_run(), meter)
        };
        selection.map(push).transpose()
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
