//! Arguments and messages that the commands about remotes have in common.

pub(super) mod runs;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use clap::Args;

use crate::engine::Project;
use crate::engine::share::runs::DryRun;
use crate::engine::share::select::{Extent, Name};
use crate::engine::share::{self, missing::Missing};
use crate::engine::upkeep::revisions::Revisions;
use crate::error::{Error, Result, exit};
use crate::exec::signals::{self, SignalGuard};
use crate::plural::count;
use crate::remote::{Meter, Remote};
use crate::repo_path::RepoPath;
use crate::report::share::RemoteStatusReport;
use crate::terminal;
use crate::terminal::size::size;
use crate::terminal::style::STAGE;
use crate::terminal::text::{Pad, pad, widest};
use crate::terminal::transfer::{TransferProgress, remark};
use crate::workspace::root;

/// Maximum number of outs that a message names.
const MOST_NAMED: usize = 10;

/// Selection of outs, and of the remote.
#[derive(Debug, Args)]
pub(super) struct ShareArgs {
    /// Stages, outs, or files and directories in outs; `./NAME` is always a path [default:
    /// everything in pipeline.lock]
    #[arg(value_name = "STAGE|PATH")]
    pub names: Vec<String>,
    /// Use this remote [default: the only one, or the one with `default = true`]
    #[arg(short, long, value_name = "NAME")]
    pub remote: Option<String>,
    /// Number of transfers at once
    #[arg(short, long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
    /// Count what would be transferred, and transfer nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Selection of other states than pipeline.lock.
#[derive(Debug, Args)]
pub(super) struct StateArgs {
    /// Select the outs of a run instead of pipeline.lock
    #[arg(long, value_name = "RUN", conflicts_with_all = ["rev", "all"])]
    pub run: Option<String>,
    /// Select the outs of pipeline.lock at git revisions: `main`, `v1.0`, `main~20..main`
    #[arg(long, value_name = "REVS", conflicts_with = "all")]
    pub rev: Vec<String>,
}

/// Parses a number of transfers.
fn jobs(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=1024).contains(number));
    number.ok_or_else(|| "must be a number from 1 to 1024".to_owned())
}

impl StateArgs {
    /// Returns the states whose outs are meant.
    pub(super) fn extent(&self, all: Everything) -> Extent {
        match (&self.run, &self.rev[..]) {
            (Some(run), _) => Extent::Run(run.clone()),
            (None, []) if all == Everything::Yes => Extent::All,
            (None, []) => Extent::Lock,
            (None, revisions) => {
                Extent::Revisions(revisions.iter().cloned().map(Revisions::Named).collect())
            }
        }
    }
}

impl ShareArgs {
    pub(super) fn dry_run(&self) -> DryRun {
        if self.dry_run { DryRun::Yes } else { DryRun::No }
    }

    /// Opens the remote and asks what it has.
    pub(super) fn remote(&self, project: &Project) -> Result<Remote> {
        refreshed(project, self.remote.as_deref(), self.jobs)
    }
}

/// Opens a remote and asks what it has.
pub(super) fn refreshed(
    project: &Project,
    name: Option<&str>,
    jobs: Option<usize>,
) -> Result<Remote> {
    crate::remote::on_retry(remark);
    let mut remote = share::open(project, name, jobs)?;
    remote.refresh()?;
    remote.warnings.iter().for_each(|warning| terminal::warn(warning));
    Ok(remote)
}

/// Returns names on the command line. Relative paths start at `here`.
pub(super) fn names(root: &Path, here: &Path, names: &[String]) -> Result<Vec<Name>> {
    let is_path = |text: &str| ["./", "../", "/"].iter().any(|start| text.starts_with(start));
    let name = |text: &String| {
        let path = || root::to_repo_path(root, here, Path::new(text));
        Ok(match path() {
            Ok(path) if is_path(text) => Name::Path(path),
            Ok(path) => Name::Any(text.clone(), path),
            Err(error) if is_path(text) => return Err(error),
            Err(_) => Name::Stage(text.clone()),
        })
    };
    names.iter().map(name).collect()
}

/// Returns one line per stage whose outs are not the same in the cache and on the remote.
pub(super) fn differences(report: &RemoteStatusReport) -> String {
    let remote = &report.remote;
    if report.stages.is_empty() {
        return format!("`{remote}` has everything: {}\n", count(report.objects, "object"));
    }
    let width = widest(report.stages.iter().map(|stage| stage.stage.as_str()));
    let mut text = String::new();
    for stage in &report.stages {
        let mut parts = Vec::new();
        if stage.unpushed > 0 {
            let objects = amount(stage.unpushed, 0);
            parts.push(format!("{objects} not pushed ({})", size(stage.unpushed_bytes)));
        } else if stage.unpushed_trace {
            parts.push("trace not pushed".to_owned());
        }
        if stage.unknown_folders {
            parts.push("not fetched".to_owned());
        } else if stage.unfetched > 0 {
            let objects = amount(stage.unfetched, 0);
            parts.push(format!("{objects} not fetched ({})", size(stage.unfetched_bytes)));
        }
        if stage.missing > 0 {
            let objects = count(stage.missing, "object");
            parts.push(format!("{objects} neither in the cache nor on `{remote}`"));
        }
        let name = pad(stage.stage.as_str(), width, Pad::Right);
        text.push_str(&format!("{STAGE}{name}{STAGE:#}  {}\n", parts.join(", ")));
    }
    text
}

/// Value of the option `--all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Everything {
    Yes,
    No,
}

impl Everything {
    pub(super) fn of(is_given: bool) -> Everything {
        if is_given { Everything::Yes } else { Everything::No }
    }
}

/// A transfer that shows its progress and that Ctrl-C stops.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) meter: Arc<Meter>,
    _progress: TransferProgress,
    _signals: SignalGuard,
}

impl Watched {
    /// Starts to watch. `verb` says what is done, such as "pushing".
    pub(super) fn start(verb: &'static str) -> Result<Watched> {
        let meter = Arc::new(Meter::default());
        let stopped = meter.clone();
        let signals = signals::watch(move || {
            if stopped.is_stopped() {
                std::process::exit(exit::INTERRUPTED.into());
            }
            stopped.stop();
            crate::remote::hurry();
            ControlFlow::Continue(())
        })?;
        let shown = meter.clone();
        let progress =
            TransferProgress::start(verb, move || (shown.done().bytes, shown.total().bytes));
        Ok(Watched { meter, _progress: progress, _signals: signals })
    }
}

/// Names outs that do not travel.
pub(super) fn show_uncached<'p>(paths: impl IntoIterator<Item = &'p RepoPath>) {
    let paths: Vec<String> = paths.into_iter().map(|path| format!("`{path}`")).collect();
    match &paths[..] {
        [] => {}
        [path] => terminal::note(&format!("{path} does not travel: it has `cache = false`")),
        paths => {
            let mut named: Vec<String> = paths.iter().take(MOST_NAMED).cloned().collect();
            if paths.len() > MOST_NAMED {
                named.push(format!("{} more", paths.len() - MOST_NAMED));
            }
            let named = named.join(", ");
            terminal::note(&format!("{named} do not travel: they have `cache = false`"));
        }
    }
}

/// Returns one error per out that is incomplete, with what to do about it.
pub(super) fn missing(
    missing: &[Missing],
    what: impl Fn(&Missing) -> String,
    hint: impl Fn(&Missing) -> String,
) -> Vec<Error> {
    let mut errors: Vec<Error> = missing
        .iter()
        .take(MOST_NAMED)
        .map(|out| Error::damaged(what(out)).hint(hint(out)))
        .collect();
    if missing.len() > MOST_NAMED {
        let more = count(missing.len() - MOST_NAMED, "more out");
        errors.push(Error::damaged(format!("{more} cannot be completed either")));
    }
    errors
}

/// `3 objects and 1 trace`
pub(super) fn amount(objects: u64, traces: usize) -> String {
    let objects = count(usize::try_from(objects).unwrap_or(usize::MAX), "object");
    if traces == 0 { objects } else { format!("{objects} and {}", count(traces, "trace")) }
}

/// `1.2 MB`, or `1.2 MB (0.9 MB WORD)` if fewer bytes travelled.
pub(super) fn bytes(unpacked: u64, travelled: u64, word: &str) -> String {
    match travelled {
        0 => size(unpacked),
        travelled => format!("{} ({} {word})", size(unpacked), size(travelled)),
    }
}

/// The end of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Reached,
    Interrupted,
}

impl End {
    pub(super) fn of(was_stopped: bool) -> End {
        if was_stopped { End::Interrupted } else { End::Reached }
    }
}

/// Returns the exit code of a transfer, or its errors.
pub(super) fn outcome(errors: Vec<Error>, end: End) -> Result<u8> {
    if !errors.is_empty() {
        return Err(Error::several(errors));
    }
    match end {
        End::Interrupted => {
            terminal::note("interrupted; the same command continues");
            Ok(exit::INTERRUPTED)
        }
        End::Reached => Ok(exit::OK),
    }
}
