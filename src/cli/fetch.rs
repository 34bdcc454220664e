//! `repro fetch`: fetches outs and traces from a remote into the cache. `repro pull` shares its
//! code.

use std::path::Path;

use clap::Args;

use super::share::{self, End, Everything, ShareArgs, StateArgs, Watched};
use crate::engine::Project;
use crate::engine::share::fetch::{FetchReport, Mode, fetch};
use crate::engine::share::missing::Missing;
use crate::engine::share::runs;
use crate::engine::share::select::Extent;
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
    share: ShareArgs,
    #[command(flatten)]
    state: StateArgs,
    /// Fetch everything that a trace on the remote refers to
    #[arg(long, conflicts_with_all = ["names", "run", "rev"])]
    all: bool,
    /// Fetch the history of runs, too, and merge it with this one
    #[arg(long)]
    runs: bool,
}

impl FetchArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let (project, held) = Project::load_with_locked(root)?;
        let extent = self.state.extent(Everything::of(self.all));
        let request = Request { share: &self.share, extent, runs: self.runs };
        let (report, fetched) = request.fetch(here, &project, &held)?;
        if self.share.json {
            stdout::write(&report::json(&report))?;
        }
        let end = End::of(fetched.was_stopped);
        share::outcome(errors(fetched, &report.remote), end)
    }
}

/// The things to fetch.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) share: &'a ShareArgs,
    pub(super) extent: Extent,
    /// Fetch the history of runs, too.
    pub(super) runs: bool,
}

impl Request<'_> {
    /// Fetches, and prints the summary unless JSON is wanted.
    pub(super) fn fetch(
        &self,
        here: &Path,
        project: &Project,
        held: &RunLock,
    ) -> Result<(TransferReport, FetchReport)> {
        let share = self.share;
        let mut remote = share.remote(project)?;
        if remote.is_new() {
            return Err(empty(&remote));
        }
        let names = share::names(&project.root, here, &share.names)?;
        let (mode, execution) = match share.dry_run {
            true => (Mode::Count, Execution::Counted),
            false => (Mode::Fetch, Execution::Done),
        };
        let watched = Watched::start("fetching")?;
        let has_outs = !self.runs || !project.lock.stages.is_empty() || !names.is_empty();
        let mut received = || {
            let meter = &watched.meter;
            let mut fetched = match has_outs {
                true => fetch(project, held, &remote, (&self.extent, &names), mode, meter)?,
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
pub(super) fn errors(fetched: FetchReport, remote: &str) -> Vec<Error> {
    let mut errors = fetched.errors;
    let is_nowhere = |out: &&Missing| out.objects > out.on_remote;
    let nowhere: Vec<Missing> = fetched.missing.iter().filter(is_nowhere).cloned().collect();
    // What the remote has did not arrive: the reason is among the errors, or it is an interruption.
    errors.extend(share::missing(
        &nowhere,
        |Missing { stage, path, objects, on_remote, of }| {
            let some = format!("{} of {}", objects - on_remote, count(*of, "object"));
            let verb = if objects - on_remote == 1 { "is" } else { "are" };
            format!(
                "`{path}` of stage `{stage}` is incomplete: {some} {verb} neither in the cache nor \
                 on `{remote}`"
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::StageName;
    use crate::repo_path::RepoPath;

    #[test]
    fn incomplete_outs() {
        let out = |objects, on_remote| Missing {
            stage: StageName::parse("train").unwrap(),
            path: RepoPath::parse("model").unwrap(),
            objects,
            on_remote,
            of: 7,
        };
        for (missing, expected) in [
            (out(3, 0), Some("`model` of stage `train` is incomplete: 3 of 7 objects are neither")),
            (out(3, 2), Some("`model` of stage `train` is incomplete: 1 of 7 objects is neither")),
            // It has not arrived, because of another error or an interruption.
            (out(3, 3), None),
        ] {
            let fetched = FetchReport { missing: vec![missing], ..FetchReport::default() };
            let found = errors(fetched, "origin");
            let found = found.first().map(|error| error.what.as_str());
            let begins = |(found, expected): (&str, &str)| found.starts_with(expected);
            assert!(found.zip(expected).map_or(found == expected, begins), "{found:?}");
        }
    }
}
