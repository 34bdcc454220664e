//! The work of a stage with an origin: its out is fetched beside the workspace, compared with the
//! lock, and moved into place.

mod former;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use self::former::Former;
use super::job::RunContext;
use super::outcome::{StageResult, unstarted};
use super::outs::{clear_out, committed, warn_of_replaced};
use super::processes::Deliver;
use crate::engine::elsewhere::{self, Answer, Fetched, Known, Request, Wish};
use crate::engine::observe::Observation;
use crate::engine::started;
use crate::error::{Error, Result};
use crate::exec::StageMessage;
use crate::pipeline::{Origin, Out, Stage, StageIx};
use crate::plan::Trace;
use crate::repo_path::RepoPath;
use crate::state_folder;
use crate::workspace::restore::remove_any;
use crate::workspace::{Observed, Workspace};

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Fetches the out of a stage and commits it.
pub(super) fn obtain(
    context: RunContext<'_>,
    ix: StageIx,
    origin: &Origin,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    let stage = &context.project.pipeline.stages[ix];
    let folder = elsewhere::folder(&context.project.root, origin, &only_out(stage).path);
    let pinned = pinned(context, stage, observation);
    let arrived = arrive(context, stage, (origin, pinned), &folder, deliver).and_then(|arrived| {
        let Some(arrived) = arrived else { return Ok(None) };
        check_lock(context, stage, origin, observation, &arrived)?;
        move_into_place(context, stage, observation, &arrived, deliver)?;
        keep_listing(context, &folder, &arrived.fetched)?;
        Ok(Some(arrived))
    });
    match arrived {
        Err(error) => unstarted("could not be downloaded", error),
        Ok(None) => StageResult::Stopped,
        Ok(Some(Arrived { fetched, .. })) => {
            let version = Some(fetched.version);
            let result = committed(context.project, stage, observation, None, version);
            if matches!(result, StageResult::Done(..)) {
                let _ = remove_any(&folder);
            }
            result
        }
    }
}

/// A content that lies in the folder of its origin.
struct Arrived {
    fetched: Fetched,
    path: PathBuf,
    seen: Observed,
}

/// Fetches the content; `None` if the run stops meanwhile.
fn arrive(
    context: RunContext<'_>,
    stage: &Stage,
    (origin, pinned): (&Origin, Option<&Trace>),
    folder: &Path,
    deliver: &Deliver<'_>,
) -> Result<Option<Arrived>> {
    let parent = folder.parent().unwrap_or(folder);
    state_folder::create(parent)
        .and_then(|()| fs::create_dir_all(folder))
        .map_err(|err| Error::io("create", folder, &err))?;
    let folder = folder.canonicalize().map_err(|err| Error::io("open", folder, &err))?;
    let last = Mutex::new(None);
    let progress = |done: u64, total: Option<u64>| {
        let mut last = last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let is_due = last.is_none_or(|last: Instant| last.elapsed() >= REPORT_EVERY);
        if is_due || total == Some(done) {
            *last = Some(Instant::now());
            deliver(vec![StageMessage::Transferred { done, total }]);
        }
    };
    let is_stopped = || context.groups.stops_within(Duration::ZERO);
    let former = Former::of(context.project, stage);
    let copy = |name: &str, to: &Path| former.as_ref().map_or(Ok(false), |it| it.copy(name, to));
    let known = former.as_ref().map(|former| Known { listing: &former.listing, copy: &copy });
    let request = Request {
        project: context.project,
        origin,
        pinned: pinned.and_then(|trace| trace.version.as_ref()),
        known,
        folder: &folder,
        progress: &progress,
        is_stopped: &is_stopped,
    };
    let fetched = match context.sources.fetch(&request)? {
        Answer::Fetched(fetched) => fetched,
        Answer::Stopped => return Ok(None),
    };
    let Some(name) = RepoPath::parse_canonical(&fetched.name) else {
        panic!("BUG: `{}` is not a name", fetched.name);
    };
    let made = BTreeSet::from([name.clone()]);
    let staged = Workspace::open(&folder, || made, &folder.join("state"));
    let Some(seen) = staged.observe(&name)? else {
        return Err(Error::environment(format!("the download of stage `{}` is gone", stage.name)));
    };
    Ok(Some(Arrived { path: name.to_path(&folder), fetched, seen }))
}

/// Returns the trace in the lock, if its content is the one that the run asks for.
fn pinned<'c>(
    context: RunContext<'c>,
    stage: &Stage,
    observation: &Observation,
) -> Option<&'c Trace> {
    let locked = context.project.lock.stages.get(&stage.name);
    let locked = locked.filter(|locked| locked.fingerprint == observation.fingerprint);
    locked.filter(|_| context.wish == Wish::Locked)
}

/// Refuses a content that is not the one in the lock, unless the newest is asked for.
fn check_lock(
    context: RunContext<'_>,
    stage: &Stage,
    origin: &Origin,
    observation: &Observation,
    arrived: &Arrived,
) -> Result<()> {
    let Some(locked) = pinned(context, stage, observation) else { return Ok(()) };
    let out = only_out(stage);
    let expected = locked.outs.get(&out.path);
    if expected == Some(&arrived.seen.content()) {
        return Ok(());
    }
    let short = expected.map(|content| content.digest().short()).unwrap_or_default();
    Err(Error::usage(format!("the content of `{}` has changed", origin.place()))
        .because(format!(
            "pipeline.lock has {short} for `{}`, the source has {}",
            out.path,
            arrived.seen.content().digest().short()
        ))
        .hint(format!(
            "`repro update {}` takes over the new content; `repro pull` brings the old one, if a \
             remote has it",
            stage.name
        )))
}

/// Keeps the list of the files of a folder, by which the next update finds what has changed.
fn keep_listing(context: RunContext<'_>, folder: &Path, fetched: &Fetched) -> Result<()> {
    let Some(name) = &fetched.listing else { return Ok(()) };
    let path = folder.join(name);
    let bytes = fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
    context.project.cache.put_bytes(&bytes).map(drop)
}

/// Moves the content to the out. What was there goes to the cache.
fn move_into_place(
    context: RunContext<'_>,
    stage: &Stage,
    observation: &Observation,
    arrived: &Arrived,
    deliver: &Deliver<'_>,
) -> Result<()> {
    let (project, out) = (context.project, only_out(stage));
    started::add(project, stage)?;
    let replaced = clear_out(project, stage, out, observation, 0)?;
    warn_of_replaced(&replaced, deliver);
    let target = out.path.to_path(&project.root);
    match fs::rename(&arrived.path, &target) {
        Err(err) if err.kind() == ErrorKind::CrossesDevices => copy(&arrived.path, &target),
        moved => moved.map_err(|err| Error::io("write", &target, &err)),
    }
}

/// Copies a file or folder to a path on another disk.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |path: &Path, err: &std::io::Error| Error::io("write", path, err);
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|err| Error::io("read", from, &err.into()))?;
        let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
        let to = if below.as_os_str().is_empty() { to.to_owned() } else { to.join(below) };
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir(&to).map_err(|err| failed(&to, &err))?;
        } else if kind.is_symlink() {
            fs::read_link(entry.path())
                .and_then(|target| std::os::unix::fs::symlink(target, &to))
                .map_err(|err| failed(&to, &err))?;
        } else {
            fs::copy(entry.path(), &to).map_err(|err| failed(&to, &err))?;
        }
    }
    Ok(())
}

fn only_out(stage: &Stage) -> &Out {
    stage.outs.first().unwrap_or_else(|| panic!("BUG: a stage with an origin and no out"))
}
