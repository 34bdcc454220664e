//! `repro fetch`: fetches outs and traces from a remote into the cache. `repro pull` shares its
//! code.

use std::path::Path;

use clap::Args;

use super::share::{self, Everything, ShareArgs, Watched};
use crate::engine::Project;
use crate::engine::share::fetch::{FetchReport, Mode, fetch};
use crate::engine::share::missing::Missing;
use crate::engine::share::runs;
use crate::error::{Error, Result};
use crate::plural::count;
use crate::remote::Remote;
use crate::report;
use crate::report::share::{Execution, RunsReport, TransferReport};
use crate::terminal::size::size;
use crate::terminal::stdout;
use crate::workspace::run_lock::RunLock;

/// Fetch outs and traces from a remote into the cache, and leave the workspace as it is
///
/// Fetches only what the cache lacks.
#[derive(Debug, Args)]
pub(super) struct FetchArgs {
    #[command(flatten)]
    pub(super) share: ShareArgs,
    /// Fetch everything that a trace on the remote refers to
    #[arg(long)]
    pub(super) all: bool,
    /// Fetch the history of runs, too, and merge it with this one
    #[arg(long)]
    runs: bool,
}

impl FetchArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        let (report, fetched) = self.fetch(here, &project, &held)?;
        if self.share.json {
            stdout::write(&report::json(&report))?;
        }
        let interrupted = fetched.was_stopped.then_some("repro fetch");
        share::outcome(errors(fetched, &report), interrupted)
    }

    /// Fetches, and prints the summary unless JSON is wanted.
    pub(super) fn fetch(
        &self,
        here: &Path,
        project: &Project,
        held: &RunLock,
    ) -> Result<(TransferReport, FetchReport)> {
        let share = &self.share;
        let mut remote = share.remote(project)?;
        if remote.is_new() {
            return Err(empty(&remote));
        }
        let (extent, names) = (
            share.extent(Everything::of(self.all)),
            share::names(&project.root, here, &share.names)?,
        );
        let (mode, execution) = match share.dry_run {
            true => (Mode::Count, Execution::Counted),
            false => (Mode::Fetch, Execution::Done),
        };
        let watched = Watched::start("fetching")?;
        let has_outs = !self.runs || !project.lock.stages.is_empty() || !names.is_empty();
        let mut received = || {
            let meter = &watched.meter;
            let mut fetched = match has_outs {
                true => fetch(project, held, &remote, (&extent, &names), mode, meter)?,
                false => FetchReport::default(),
            };
            let runs = (self.runs && !meter.is_stopped()).then(|| {
                let (history, cache) = (&project.history, &project.cache);
                runs::pull(history, cache, &mut remote, share.dry_run(), meter)
            });
            fetched.was_stopped |= meter.is_stopped();
            Ok((fetched, runs.transpose()?))
        };
        let received: Result<_> = received();
        drop(watched);
        let (mut fetched, runs) = received?;
        let mut report = TransferReport::of_fetch(&remote, &fetched, execution);
        report.runs = runs.as_ref().map(RunsReport::of_pull);
        if has_outs && !share.json {
            stdout::say!("{}", summary(&report, &fetched));
        }
        if let Some(runs) = runs {
            if !share.json {
                share::runs::show_pulled(&remote.name, &runs, share.dry_run())?;
            }
            fetched.errors.extend(share::runs::refused(&remote.name, runs.refused));
        }
        Ok((report, fetched))
    }
}

fn empty(remote: &Remote) -> Error {
    Error::missing(format!("remote `{}` is empty: `{}`", remote.name, remote.place()))
        .hint("`repro push` in a clone that has the outs fills it")
}

/// Returns the errors of a fetch, and one for each out that is incomplete.
pub(super) fn errors(fetched: FetchReport, report: &TransferReport) -> Vec<Error> {
    let mut errors = fetched.errors;
    errors.extend(share::missing(
        &fetched.missing,
        |Missing { stage, path, objects, of }| {
            let some = format!("{objects} of {}", count(*of, "object"));
            let verb = if *objects == 1 { "is" } else { "are" };
            format!(
                "`{path}` of stage `{stage}` is incomplete: {some} {verb} neither in the cache nor \
                 on `{}`",
                report.remote
            )
        },
        |Missing { stage, .. }| {
            format!("`repro push {stage}` where it was run, or `repro run {stage}` here")
        },
    ));
    errors
}

fn summary(report: &TransferReport, fetched: &FetchReport) -> String {
    let TransferReport { remote, objects, bytes, traces, .. } = report;
    let amount = share::amount(*objects, *traces);
    if *objects == 0 && *traces == 0 {
        let selected = count(report.selected, "object");
        let is_complete =
            report.missing.is_empty() && fetched.errors.is_empty() && !report.interrupted;
        return match is_complete {
            true => format!("nothing to fetch from `{remote}`: the cache has {selected}"),
            false => format!("fetched nothing from `{remote}`"),
        };
    }
    match report.dry_run {
        true => format!("would fetch {amount} from `{remote}`: {}", size(*bytes)),
        false => {
            let bytes = share::bytes(*bytes, report.transferred, "received");
            format!("fetched {amount} from `{remote}`: {bytes}")
        }
    }
}
