//! The work of one stage, on a thread of its own: restore its outs, or run its command and commit what it wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::observe::{Observation, look, observe};
use super::predict::Predicted;
use super::{Project, commit};
use crate::digest::Content;
use crate::error::{Error, Kind, Result, exit};
use crate::event::{Failure, Millis, RunName, Work};
use crate::exec::{Ended, Follower, Group, Job, Process, Said};
use crate::pipeline::{Kept, Persist, Stage, StageIx, nested};
use crate::plan::{Decision, Force, Trace};
use crate::repo_path::RepoPath;
use crate::runs;
use crate::workspace::Seen;

/// How often a running stage's files are looked at. Shorter would cost, longer would show.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a process has, once asked, to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// How the work on a stage ended.
#[derive(Debug)]
pub(super) enum Performed {
    Done(Trace, Work),
    /// The cache turned out not to have what it should: the stage has to run.
    Damaged(Error),
    Failed {
        failure: Failure,
        exit: u8,
    },
    Stopped,
}

/// The processes at work, so that they can be stopped from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    stopping: Option<Stopping>,
    groups: BTreeMap<StageIx, Group>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Asked,
    Forced,
}

impl Groups {
    pub(super) fn terminate(&self) {
        let mut live = self.live();
        live.stopping = live.stopping.or(Some(Stopping::Asked));
        live.groups.values().for_each(|group| group.terminate());
    }

    pub(super) fn kill(&self) {
        let mut live = self.live();
        live.stopping = Some(Stopping::Forced);
        live.groups.values().for_each(|group| group.kill());
    }

    fn enter(&self, stage: StageIx, group: Group) {
        let mut live = self.live();
        live.groups.insert(stage, group);
        match live.stopping {
            None => {}
            Some(Stopping::Asked) => group.terminate(),
            Some(Stopping::Forced) => group.kill(),
        }
    }

    /// Says whether the processes were being stopped.
    fn leave(&self, stage: StageIx) -> bool {
        let mut live = self.live();
        // What a stopped stage left in the background goes with it.
        if let Some(group) = live.groups.remove(&stage)
            && live.stopping.is_some()
        {
            group.kill();
        }
        live.stopping.is_some()
    }

    /// Waits, and says whether everything is being stopped.
    fn stops_within(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while self.live().stopping.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
        true
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// What the work on any stage of a run needs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub project: &'a Project,
    pub run: RunName,
    pub groups: &'a Groups,
}

/// Looks again and does what is to be done now: a stage may have waited for hours since it became ready, and
/// what people wrote meanwhile counts.
pub(super) fn perform(
    setting: Setting<'_>,
    ix: StageIx,
    force: Force,
    say: &(dyn Fn(Said) + Sync),
) -> Performed {
    match observe(setting.project, ix, force, &Predicted::new()) {
        Err(error) => failed("cannot be looked at", error),
        Ok(observation) => match &observation.decision {
            Decision::Fresh(trace) => Performed::Done(trace.clone(), Work::Restore),
            Decision::Restore(trace, _) => restore(setting, trace, &observation),
            Decision::Blocked(_) => panic!("BUG: a blocked stage is an error"),
            Decision::Run(_) => run(setting, ix, &observation, say),
        },
    }
}

/// Brings the outs of `trace` back.
fn restore(setting: Setting<'_>, trace: &Trace, observation: &Observation) -> Performed {
    match commit::restore(setting.project, &trace.outs, &observation.outs) {
        Ok(()) => Performed::Done(trace.clone(), Work::Restore),
        Err(error) if error.kind == Kind::Damaged => Performed::Damaged(error),
        Err(error) => failed("could not be restored", error),
    }
}

/// Runs the stage's command and commits its outs.
fn run(
    setting: Setting<'_>,
    ix: StageIx,
    observation: &Observation,
    say: &(dyn Fn(Said) + Sync),
) -> Performed {
    let stage = &setting.project.pipeline.stages[ix];
    if stage.cmd.is_none() {
        return committed(setting.project, stage, observation);
    }
    let mut failures = 0;
    loop {
        let ended = attempt(setting, ix, observation, failures, say);
        if !matches!(ended, Performed::Failed { .. }) || failures >= stage.retries.count {
            return ended;
        }
        let delay = stage.retries.delay.saturating_mul(1 << failures.min(16));
        failures += 1;
        if let Performed::Failed { failure, .. } = &ended {
            let left = stage.retries.count - failures + 1;
            let times = if left == 1 { "once more".to_owned() } else { format!("up to {left} times more") };
            say(Said::Warning(format!(
                "{}; it is tried {times}, after {}",
                failure.what,
                Millis::from(delay)
            )));
        }
        if setting.groups.stops_within(delay) {
            return Performed::Stopped;
        }
    }
}

/// Runs the command once; `failures` is how often it has failed before.
fn attempt(
    setting: Setting<'_>,
    ix: StageIx,
    observation: &Observation,
    failures: u64,
    say: &(dyn Fn(Said) + Sync),
) -> Performed {
    let stage = &setting.project.pipeline.stages[ix];
    let prepared = prepare(setting, stage, observation, failures);
    let ended = match prepared.and_then(|job| follow(setting, ix, &job, say)) {
        Ok(ended) => ended,
        Err(error) => return failed("could not be started", error),
    };
    match ended {
        (_, Stop::TimedOut) => {
            let limit = Millis::from(stage.timeout.unwrap_or_default());
            let hint = format!("`timeout` is set in stage `{}`, line {}", stage.name, stage.line);
            let failure = Failure {
                what: format!("took longer than its timeout of {limit}"),
                causes: Vec::new(),
                hint: Some(hint),
            };
            Performed::Failed { failure, exit: exit::STAGE_FAILED }
        }
        (_, Stop::Stopped) => Performed::Stopped,
        (Ended::Code(0), Stop::None) => committed(setting.project, stage, observation),
        (ended, Stop::None) => {
            let (what, hint) = match ended {
                Ended::Code(127) => (
                    "exited with code 127".into(),
                    Some("a shell says so when it does not find a command".into()),
                ),
                Ended::Code(code) => (format!("exited with code {code}"), None),
                Ended::Signal(9) => (
                    "was killed by signal 9".into(),
                    Some("if nobody did that by hand, the kernel did: it was out of memory".into()),
                ),
                Ended::Signal(signal) => (format!("was killed by signal {signal}"), None),
            };
            Performed::Failed {
                failure: Failure { what, causes: Vec::new(), hint },
                exit: exit::STAGE_FAILED,
            }
        }
    }
}

fn committed(project: &Project, stage: &Stage, observation: &Observation) -> Performed {
    match commit_outs(project, stage, observation) {
        Ok(trace) => Performed::Done(trace, Work::Run),
        Err(error) if error.kind == Kind::Usage => {
            let failure = Failure { what: error.what, causes: error.causes, hint: error.hint };
            Performed::Failed { failure, exit: exit::STAGE_FAILED }
        }
        Err(error) => failed("ran, but its outs could not be kept", error),
    }
}

fn failed(what: &str, error: Error) -> Performed {
    let exit = error.exit_code();
    let mut causes = vec![error.what];
    causes.extend(error.causes);
    Performed::Failed { failure: Failure { what: what.to_owned(), causes, hint: error.hint }, exit }
}

/// Clears the way: former outs are kept in the cache and removed, folders and the contract's files are made.
fn prepare(setting: Setting<'_>, stage: &Stage, observation: &Observation, failures: u64) -> Result<Job> {
    let Setting { project, run, .. } = setting;
    let dir = stage.wdir.as_ref().map_or(project.root.clone(), |wdir| wdir.under(&project.root));
    if !dir.is_dir() {
        let wdir = stage.wdir.as_ref().map_or(".", RepoPath::as_str);
        return Err(Error::usage(format!("its `wdir` `{wdir}` is no directory"))
            .hint(format!("make it, or correct stage `{}` in line {}", stage.name, stage.line)));
    }
    for out in &stage.outs {
        let path = &out.path;
        // What a failed attempt left behind is nobody's.
        match observation.outs.get(path) {
            Some(Some(seen)) if failures == 0 => {
                if out.kept == Kept::InCache || !is_as_locked(project, stage, path, seen) {
                    commit::keep(project, path, seen)?;
                }
                if out.persist == Persist::No {
                    project.workspace.remove(path)?;
                }
            }
            _ if failures > 0 && out.persist == Persist::No => project.workspace.remove(path)?,
            _ => {}
        }
        project.workspace.make_parent(path)?;
    }
    let folder = runs::stage_dir(&project.root, run, &stage.name);
    fs::create_dir_all(&folder).map_err(|err| Error::io("create", &folder, &err))?;
    let params = folder.join("params.json");
    let mut text = serde_json::to_string_pretty(&nested(&stage.params)).unwrap_or_default();
    text.push('\n');
    let events = folder.join("events.jsonl");
    if failures > 0 {
        let earlier = folder.join(format!("log.{failures}"));
        fs::rename(folder.join("log"), &earlier).map_err(|err| Error::io("write", &earlier, &err))?;
    }
    // A stage that is run again within a run (its cached outs were damaged) begins anew.
    for (path, bytes) in [(&params, text.as_bytes()), (&events, &[]), (&folder.join("log"), &[])] {
        fs::write(path, bytes).map_err(|err| Error::io("write", path, &err))?;
    }
    Ok(Job {
        cmd: stage.cmd.clone().unwrap_or_default(),
        shell: stage.shell.clone(),
        dir,
        env: environment(setting, stage, params, events),
        log: folder.join("log"),
        marker: project.markers().join(stage.name.as_str()),
    })
}

/// The content is one that the stage wrote, and can write again.
fn is_as_locked(project: &Project, stage: &Stage, path: &RepoPath, seen: &Seen) -> bool {
    let locked = project.lock.stages.get(&stage.name);
    locked.and_then(|trace| trace.outs.get(path)) == Some(&seen.content())
}

fn environment(
    setting: Setting<'_>,
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
    env.push(("REPRO_RUN".into(), setting.run.to_string().into()));
    env.push(("REPRO_ROOT".into(), setting.project.root.clone().into()));
    env.push(("REPRO_PARAMS".into(), params.into()));
    env.push(("REPRO_EVENTS".into(), events.into()));
    env
}

enum Stop {
    None,
    TimedOut,
    Stopped,
}

fn follow(
    setting: Setting<'_>,
    ix: StageIx,
    job: &Job,
    say: &(dyn Fn(Said) + Sync),
) -> Result<(Ended, Stop)> {
    let events = job.log.with_file_name("events.jsonl");
    let process = Process::start(job)?;
    setting.groups.enter(ix, process.group());
    let mut follower = Follower::new(&job.log, &events);
    let watch = Watch {
        group: process.group(),
        began: Instant::now(),
        limit: setting.project.pipeline.stages[ix].timeout,
    };
    let timed_out = AtomicBool::new(false);
    let late = &timed_out;
    thread::scope(|scope| {
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(LOOK_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                follower.news().into_iter().for_each(say);
                watch.look(late);
            }
            follower.rest().into_iter().for_each(say);
        });
        let group = process.group();
        let ended = process.wait();
        // What a stage that failed left in the background would write into the next attempt's outs.
        if !matches!(ended, Ok(Ended::Code(0))) {
            group.kill();
        }
        let stop = match setting.groups.leave(ix) {
            true => Stop::Stopped,
            false if timed_out.load(Ordering::Relaxed) => Stop::TimedOut,
            false => Stop::None,
        };
        drop(done);
        Ok((ended?, stop))
    })
}

/// Keeps a process to its time.
struct Watch {
    group: Group,
    began: Instant,
    limit: Option<Duration>,
}

impl Watch {
    /// Asks a process that is late to end, and ends it a while after.
    fn look(&self, late: &AtomicBool) {
        let Some(over) = self.limit.and_then(|limit| self.began.elapsed().checked_sub(limit)) else {
            return;
        };
        if !late.swap(true, Ordering::Relaxed) {
            self.group.terminate();
        } else if over > GRACE {
            self.group.kill();
        }
    }
}

/// Checks that the stage did what it declared, then keeps outs, listings and trace, in this order.
fn commit_outs(project: &Project, stage: &Stage, observation: &Observation) -> Result<Trace> {
    let mut outs: BTreeMap<RepoPath, Content> = BTreeMap::new();
    let mut seen = Vec::with_capacity(stage.outs.len());
    for out in &stage.outs {
        let Some(found) = project.workspace.observe(&out.path)? else {
            return Err(Error::usage(format!(
                "exited with code 0, but did not write its out `{}`",
                out.path
            ))
            .hint(format!(
                "write it, or take it out of stage `{}` in line {} of pipeline.toml",
                stage.name, out.line
            )));
        };
        commit::check_restorable(project, &out.path, &found)?;
        outs.insert(out.path.clone(), found.content());
        if out.kept == Kept::InCache {
            seen.push((&out.path, found));
        }
    }
    for dep in &stage.deps {
        let Some(before) = observation.deps.get(&dep.path) else { continue };
        let (path, after) = (&dep.path, look(project, stage, dep)?);
        if after.as_ref().map(Seen::content) != Some(before.content()) {
            return Err(Error::usage(format!(
                "its dep `{path}` changed while it ran, so its outs belong to neither state"
            ))
            .hint("run again; if the stage itself writes there, declare the file as an out or move it"));
        }
    }
    for (path, found) in &seen {
        commit::keep(project, path, found)?;
    }
    for dep in observation.deps.values() {
        commit::keep_listing(project, dep)?;
    }
    let trace = Trace { fingerprint: observation.fingerprint.clone(), outs, accepted: None };
    // Of a tracked input the lock alone knows: its fingerprint stands for any content.
    if stage.cmd.is_some() {
        project.cache.put_trace(&trace)?;
    }
    Ok(trace)
}
