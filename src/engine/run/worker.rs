//! The work of one stage, on a thread of its own: restore its outs, or run its command and commit what it wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::items;
use super::processes::{Deliver, ProcessGroups, Stop, execute_and_follow};
use super::units::Units;
use crate::digest::Content;
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::{self, Observation, observe};
use crate::engine::{Project, commit};
use crate::error::{Error, Kind, Result, exit};
use crate::event::{Failure, Millis, RunName, Work};
use crate::exec::{Ended, Job, StageMessage};
use crate::pipeline::{Cached, Out, PRIVATE, Persist, Presence, Stage, StageIx, nested};
use crate::plan::{Decision, Force, Trace};
use crate::repo_path::RepoPath;
use crate::runs;
use crate::workspace::Observed;

/// How the work on a stage ended.
#[derive(Debug)]
pub(super) enum StageResult {
    Done(Trace, Work),
    /// The cache turned out not to have what it should: the stage has to run.
    Damaged(Error),
    Failed {
        failure: Failure,
        exit: u8,
    },
    Stopped,
    /// Units of it were not started, since another stage failed.
    Cut,
}

/// What the work on any stage of a run needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunContext<'a> {
    pub project: &'a Project,
    pub run: RunName,
    pub groups: &'a ProcessGroups,
    /// Where the stage can hand in its work as units.
    pub units: &'a Units,
}

/// Looks again and does what is to be done now: a stage may have waited for hours since it became ready, and
/// what people wrote meanwhile counts. An input that was seen just now is kept `as_seen`. Says how long the work itself took, too.
pub(super) fn execute_stage(
    context: RunContext<'_>,
    ix: StageIx,
    force: Force,
    as_seen: Option<Arc<Observation>>,
    deliver: &Deliver<'_>,
) -> (StageResult, Millis) {
    let began = Instant::now();
    let looked = as_seen.map_or_else(|| look_again(context.project, ix, force).map(Arc::new), Ok);
    let performed = match looked {
        Err(error) => failed("cannot be looked at", error),
        Ok(observation) => match &observation.decision {
            Decision::Fresh(trace) => StageResult::Done(trace.clone(), Work::Restore),
            Decision::Restore(trace, _) => restore(context, trace, &observation),
            Decision::Blocked(_) => panic!("BUG: a blocked stage is an error"),
            Decision::Run(_) => run(context, ix, &observation, deliver),
        },
    };
    (performed, began.elapsed().into())
}

fn look_again(project: &Project, ix: StageIx, force: Force) -> Result<Observation> {
    let mut observation = observe(project, ix, force, &Predicted::new())?;
    if let Decision::Run(_) = observation.decision {
        observation.stamps = observe::dep_stamps(project, ix)?;
    }
    Ok(observation)
}

/// Brings the outs of `trace` back.
fn restore(context: RunContext<'_>, trace: &Trace, observation: &Observation) -> StageResult {
    match commit::restore(context.project, &trace.out_contents(), &observation.outs) {
        Ok(_) => StageResult::Done(trace.clone(), Work::Restore),
        Err(error) if error.kind == Kind::Damaged => StageResult::Damaged(error),
        Err(error) => failed("could not be restored", error),
    }
}

/// Runs the stage's command and commits its outs.
fn run(
    context: RunContext<'_>,
    ix: StageIx,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    let stage = &context.project.pipeline.stages[ix];
    if stage.cmd.is_none() {
        return committed(context.project, stage, observation);
    }
    if let Some(each) = &stage.each {
        return items::run(context, ix, each, observation, deliver);
    }
    let failure = |ended: &StageResult| match ended {
        StageResult::Failed { failure, .. } => Some(failure.what.clone()),
        _ => None,
    };
    retrying(context, stage, deliver, failure, |failures| {
        attempt(context, ix, observation, failures, deliver)
    })
    .unwrap_or(StageResult::Stopped)
}

/// What came of the last attempt: a failed one is repeated as often as the stage allows, after a pause that doubles. An attempt is
/// told how many failed before it. `None` if everything stops meanwhile.
pub(super) fn retrying<T>(
    context: RunContext<'_>,
    stage: &Stage,
    deliver: &Deliver<'_>,
    failure: impl Fn(&T) -> Option<String>,
    attempt: impl Fn(u64) -> T,
) -> Option<T> {
    let mut failures = 0;
    loop {
        let ended = attempt(failures);
        let Some(what) = failure(&ended).filter(|_| failures < stage.retries.count) else {
            return Some(ended);
        };
        let delay = stage.retries.delay.saturating_mul(1 << failures.min(16));
        failures += 1;
        let left = stage.retries.count - failures + 1;
        let times =
            if left == 1 { "once more".to_owned() } else { format!("up to {left} times more") };
        deliver(vec![StageMessage::Warning(format!(
            "{what}; it is tried {times}, after {}",
            Millis::from(delay)
        ))]);
        if context.groups.stops_within(delay) {
            return None;
        }
    }
}

/// Runs the command once; `failures` is how often it has failed before.
fn attempt(
    context: RunContext<'_>,
    ix: StageIx,
    observation: &Observation,
    failures: u64,
    deliver: &Deliver<'_>,
) -> StageResult {
    let stage = &context.project.pipeline.stages[ix];
    let ended = prepare(context, stage, observation, failures)
        .and_then(|job| execute_and_follow(context.groups, &job, stage.timeout, deliver));
    match ended {
        Err(error) => failed("could not be started", error),
        Ok((ended, stop)) => unsuccessful(stage, ended, stop)
            .unwrap_or_else(|| committed(context.project, stage, observation)),
    }
}

/// What is to be said of a process that did not do its work; `None` if it did.
pub(super) fn unsuccessful(stage: &Stage, ended: Ended, stop: Stop) -> Option<StageResult> {
    let (what, hint) = match (ended, stop) {
        (_, Stop::Stopped) => return Some(StageResult::Stopped),
        (_, Stop::TimedOut) => (
            format!(
                "took longer than its timeout of {}",
                Millis::from(stage.timeout.unwrap_or_default())
            ),
            Some(format!("`timeout` is set in stage `{}`, line {}", stage.name, stage.line)),
        ),
        (Ended::Code(0), Stop::None) => return None,
        (Ended::Code(127), Stop::None) => (
            "exited with code 127".to_owned(),
            Some("a shell says so when it does not find a command".into()),
        ),
        (Ended::Code(code), Stop::None) => (format!("exited with code {code}"), None),
        (Ended::Signal(9), Stop::None) => (
            "was killed by signal 9".into(),
            Some("if nobody did that by hand, the kernel did: it was out of memory".into()),
        ),
        (Ended::Signal(signal), Stop::None) => (format!("was killed by signal {signal}"), None),
    };
    Some(StageResult::Failed {
        failure: Failure { what, causes: Vec::new(), hint },
        exit: exit::STAGE_FAILED,
    })
}

pub(super) fn committed(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
) -> StageResult {
    match commit_outs(project, stage, observation) {
        Ok(trace) => StageResult::Done(trace, Work::Run),
        Err(error) if error.kind == Kind::Usage => {
            let failure = Failure { what: error.what, causes: error.causes, hint: error.hint };
            StageResult::Failed { failure, exit: exit::STAGE_FAILED }
        }
        Err(error) => failed("ran, but its outs could not be kept", error),
    }
}

pub(super) fn failed(what: &str, error: Error) -> StageResult {
    let exit = error.exit_code();
    let mut causes = vec![error.what];
    causes.extend(error.causes);
    StageResult::Failed {
        failure: Failure { what: what.to_owned(), causes, hint: error.hint },
        exit,
    }
}

/// Clears the way: former outs are kept in the cache and removed, folders and the contract's files are made.
fn prepare(
    context: RunContext<'_>,
    stage: &Stage,
    observation: &Observation,
    failures: u64,
) -> Result<Job> {
    let job = job(context, stage, failures)?;
    for out in &stage.outs {
        clear_out(context.project, stage, out, observation, failures)?;
    }
    Ok(job)
}

/// Clears the way for one out.
pub(super) fn clear_out(
    project: &Project,
    stage: &Stage,
    out: &Out,
    observation: &Observation,
    failures: u64,
) -> Result<()> {
    let path = &out.path;
    // What a failed attempt left behind is nobody's.
    match observation.outs.get(path) {
        Some(Some(seen)) if failures == 0 => {
            // What the lock names was on the disk before the lock was.
            match is_as_locked(project, stage, path, seen) {
                false => commit::store_durably(project, path, seen)?,
                true if out.cached == Cached::Yes => commit::store(project, path, seen)?,
                true => {}
            }
            match out.persist {
                Persist::No => project.workspace.remove(path)?,
                // The stage will write into what may be the cache's own file.
                Persist::Yes => drop(commit::relink(project, path, seen, &PRIVATE)?),
            }
        }
        _ if failures > 0 && out.persist == Persist::No => project.workspace.remove(path)?,
        _ => {}
    }
    project.workspace.make_parent(path)
}

/// The stage's command and the files of the contract, made anew.
pub(super) fn job(context: RunContext<'_>, stage: &Stage, failures: u64) -> Result<Job> {
    let RunContext { project, run, .. } = context;
    let dir = stage.wdir.as_ref().map_or(project.root.clone(), |wdir| wdir.to_path(&project.root));
    if !dir.is_dir() {
        let wdir = stage.wdir.as_ref().map_or(".", RepoPath::as_str);
        return Err(Error::usage(format!("its `wdir` `{wdir}` is no directory"))
            .hint(format!("make it, or correct stage `{}` in line {}", stage.name, stage.line)));
    }
    let folder = runs::stage_dir(&project.root, run, &stage.name);
    fs::create_dir_all(&folder).map_err(|err| Error::io("create", &folder, &err))?;
    let params = folder.join("params.json");
    let mut text = serde_json::to_string_pretty(&nested(&stage.params)).unwrap_or_default();
    text.push('\n');
    let events = folder.join("events.jsonl");
    if failures > 0 {
        let earlier = folder.join(format!("log.{failures}"));
        fs::rename(folder.join("log"), &earlier)
            .map_err(|err| Error::io("write", &earlier, &err))?;
    }
    // A stage that is run again within a run (its cached outs were damaged) begins anew.
    for (path, bytes) in [(&params, text.as_bytes()), (&events, &[]), (&folder.join("log"), &[])] {
        fs::write(path, bytes).map_err(|err| Error::io("write", path, &err))?;
    }
    Ok(Job {
        cmd: stage.cmd.clone().unwrap_or_default(),
        shell: stage.shell.clone(),
        dir,
        env: environment(context, stage, params, events),
        log: folder.join("log"),
        marker: project.markers().join(stage.name.as_str()),
    })
}

/// The content is one that the stage wrote, and can write again.
fn is_as_locked(project: &Project, stage: &Stage, path: &RepoPath, seen: &Observed) -> bool {
    let locked = project.lock.stages.get(&stage.name);
    locked.and_then(|trace| trace.outs.get(path)) == Some(&seen.content())
}

fn environment(
    context: RunContext<'_>,
    stage: &Stage,
    params: PathBuf,
    events: PathBuf,
) -> Vec<(String, OsString)> {
    let mut env: Vec<(String, OsString)> = Vec::new();
    // Python holds back what it prints to a file until it ends; nobody who watches wants that.
    if std::env::var_os("PYTHONUNBUFFERED").is_none() {
        env.push(("PYTHONUNBUFFERED".into(), "1".into()));
    }
    env.extend(stage.env.iter().map(|(name, value)| (name.clone(), value.into())));
    env.push(("REPRO_STAGE".into(), stage.name.as_str().into()));
    env.push(("REPRO_RUN".into(), context.run.to_string().into()));
    env.push(("REPRO_ROOT".into(), context.project.root.clone().into()));
    env.push(("REPRO_PARAMS".into(), params.into()));
    env.push(("REPRO_EVENTS".into(), events.into()));
    env
}

/// Checks that the stage did what it declared, then keeps outs, listings and trace, in this order.
pub(super) fn commit_outs(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
) -> Result<Trace> {
    let written;
    let found = match stage.cmd {
        Some(_) => {
            written = observe::outs(project, stage)?;
            &written
        }
        None => &observation.outs,
    };
    let mut outs: BTreeMap<RepoPath, Content> = BTreeMap::new();
    let mut seen = Vec::with_capacity(stage.outs.len());
    for out in &stage.outs {
        let Some(found) = found.get(&out.path).and_then(Option::as_ref) else {
            if out.presence == Presence::Optional {
                continue;
            }
            return Err(Error::usage(format!(
                "exited with code 0, but did not write its out `{}`",
                out.path
            ))
            .hint(format!(
                "write it, or take it out of stage `{}` in line {} of pipeline.toml; `optional = true` if it may be missing",
                stage.name, out.line
            )));
        };
        commit::check_restorable(project, &out.path, found)?;
        outs.insert(out.path.clone(), found.content());
        if out.cached == Cached::Yes {
            seen.push((&out.path, found));
        }
    }
    for dep in &stage.deps {
        observe::check_unwritten(project, stage, dep, observation)?;
    }
    for (path, found) in &seen {
        commit::store(project, path, found)?;
    }
    // What people put somewhere stays theirs to write.
    if stage.cmd.is_some() && project.links.prefer_shared() {
        for (path, found) in &seen {
            commit::relink(project, path, found, project.links.kinds())?;
        }
    }
    for dep in observation.deps.values() {
        commit::store_listing(project, dep)?;
    }
    let trace = Trace { fingerprint: observation.fingerprint.clone(), outs, accepted: None };
    // Of a tracked input the lock alone knows: its fingerprint stands for any content.
    if stage.cmd.is_some() {
        project.cache.put_trace(&trace)?;
    }
    Ok(trace)
}
