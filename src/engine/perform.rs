//! The work of one stage, on a thread of its own: restore its outs, or run its command and commit what it wrote.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::observe::{Observation, Predicted, observe};
use super::{Project, commit};
use crate::digest::Content;
use crate::error::{Error, Kind, Result, exit};
use crate::event::{Failure, Millis, RunName, Work};
use crate::exec::{Ended, Follower, Group, Job, More, Process, Said};
use crate::pipeline::{Stage, StageIx, nested};
use crate::plan::{Decision, Force, Trace};
use crate::repo_path::RepoPath;
use crate::runs;
use crate::workspace::Seen;

/// How often a running stage's files are looked at. Shorter would cost, longer would show.
const LOOK_EVERY: Duration = Duration::from_millis(50);

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

    fn are_stopping(&self) -> bool {
        self.live().stopping.is_some()
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
/// what people wrote meanwhile counts. Tells how long the work took; showing what the stage said is no part of it.
pub(super) fn perform(
    setting: Setting<'_>,
    ix: StageIx,
    force: Force,
    say: &(dyn Fn(Vec<Said>) + Sync),
) -> (Performed, Millis) {
    let began = Instant::now();
    let performed = match observe(setting.project, ix, force, &Predicted::new()) {
        Err(error) => failed("cannot be looked at", error),
        Ok(_) if setting.groups.are_stopping() => Performed::Stopped,
        Ok(observation) => match &observation.decision {
            Decision::Fresh(trace) => Performed::Done(trace.clone(), Work::Restore),
            Decision::Restore(trace, _) => restore(setting, trace, &observation),
            Decision::Run(_) => return run(setting, ix, &observation, began, say),
        },
    };
    (performed, began.elapsed().into())
}

/// Brings the outs of `trace` back.
fn restore(setting: Setting<'_>, trace: &Trace, observation: &Observation) -> Performed {
    match commit::restore(setting.project, &trace.outs, &observation.outs) {
        Ok(()) => Performed::Done(trace.clone(), Work::Restore),
        Err(error) if error.kind == Kind::Damaged => Performed::Damaged(error),
        Err(error) => failed("could not be restored", error),
    }
}

/// Runs the stage's command and commits its outs, while another thread follows what the command writes.
fn run(
    setting: Setting<'_>,
    ix: StageIx,
    observation: &Observation,
    began: Instant,
    say: &(dyn Fn(Vec<Said>) + Sync),
) -> (Performed, Millis) {
    let stage = &setting.project.pipeline.stages[ix];
    let started = prepare(setting, stage, observation).and_then(|job| Ok((Process::start(&job)?, job)));
    let (process, job) = match started {
        Ok(started) => started,
        Err(error) => return (failed("could not be started", error), began.elapsed().into()),
    };
    setting.groups.enter(ix, process.group());
    let follower = Follower::new(&job.log, &job.log.with_file_name("events.jsonl"));
    let group = process.group();
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        scope.spawn(move || follow(follower, group, &is_done, say));
        let ended = wait(setting, ix, process);
        drop(done);
        let performed = match ended {
            Err(error) => failed("could not be waited for", error),
            Ok((_, Stop::Stopped)) => Performed::Stopped,
            Ok((Ended::Code(0), Stop::None)) => commit(setting.project, stage, observation),
            Ok((ended, Stop::None)) => exited(ended),
        };
        (performed, began.elapsed().into())
    })
}

fn commit(project: &Project, stage: &Stage, observation: &Observation) -> Performed {
    match commit_outs(project, stage, observation) {
        Ok(trace) => Performed::Done(trace, Work::Run),
        Err(error) if error.kind == Kind::Usage => {
            let failure = Failure { what: error.what, causes: error.causes, hint: error.hint };
            Performed::Failed { failure, exit: exit::STAGE_FAILED }
        }
        Err(error) => failed("ran, but its outs could not be kept", error),
    }
}

/// What became of a command that did not end well.
fn exited(ended: Ended) -> Performed {
    let (what, hint) = match ended {
        Ended::Code(127) => {
            ("exited with code 127".into(), Some("a shell says so when it does not find a command".into()))
        }
        Ended::Code(code) => (format!("exited with code {code}"), None),
        Ended::Signal(9) => (
            "was killed by signal 9".into(),
            Some("if nobody did that by hand, the kernel did: it was out of memory".into()),
        ),
        Ended::Signal(signal) => (format!("was killed by signal {signal}"), None),
    };
    Performed::Failed { failure: Failure { what, causes: Vec::new(), hint }, exit: exit::STAGE_FAILED }
}

fn failed(what: &str, error: Error) -> Performed {
    let exit = error.exit_code();
    let mut causes = vec![error.what];
    causes.extend(error.causes);
    Performed::Failed { failure: Failure { what: what.to_owned(), causes, hint: error.hint }, exit }
}

/// Clears the way: former outs are kept in the cache and removed, folders and the contract's files are made.
fn prepare(setting: Setting<'_>, stage: &Stage, observation: &Observation) -> Result<Job> {
    let Setting { project, run, .. } = setting;
    let dir = stage.wdir.as_ref().map_or(project.root.clone(), |wdir| wdir.under(&project.root));
    if !dir.is_dir() {
        let wdir = stage.wdir.as_ref().map_or(".", RepoPath::as_str);
        return Err(Error::usage(format!("its `wdir` `{wdir}` is no directory"))
            .hint(format!("make it, or correct stage `{}` in line {}", stage.name, stage.line)));
    }
    for (path, seen) in &observation.outs {
        if let Some(seen) = seen {
            commit::keep(project, path, seen)?;
            project.workspace.remove(path)?;
        }
        project.workspace.make_parent(path)?;
    }
    let folder = runs::stage_dir(&project.root, run, &stage.name);
    fs::create_dir_all(&folder).map_err(|err| Error::io("create", &folder, &err))?;
    let params = folder.join("params.json");
    let mut text = serde_json::to_string_pretty(&nested(&stage.params)).unwrap_or_default();
    text.push('\n');
    let events = folder.join("events.jsonl");
    // A stage that is run again within a run (its cached outs were damaged) begins anew.
    for (path, bytes) in [(&params, text.as_bytes()), (&events, &[]), (&folder.join("log"), &[])] {
        fs::write(path, bytes).map_err(|err| Error::io("write", path, &err))?;
    }
    Ok(Job {
        cmd: stage.cmd.clone(),
        dir,
        env: environment(setting, stage, params, events),
        log: folder.join("log"),
        marker: project.markers().join(stage.name.as_str()),
    })
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
    Stopped,
}

fn wait(setting: Setting<'_>, ix: StageIx, process: Process) -> Result<(Ended, Stop)> {
    let group = process.group();
    let ended = process.wait();
    // What a stage that failed left in the background would write into the next attempt's outs.
    if !matches!(ended, Ok(Ended::Code(0))) {
        group.kill();
    }
    let stop = if setting.groups.leave(ix) { Stop::Stopped } else { Stop::None };
    Ok((ended?, stop))
}

/// Hands over what the command writes, and that it is stopped if it is, until its end. `say` returns when what it was
/// given is passed on: what waits for it waits in the files.
fn follow(mut follower: Follower, group: Group, is_done: &Receiver<()>, say: &(dyn Fn(Vec<Said>) + Sync)) {
    let mut pause = LOOK_EVERY;
    let mut halted = None;
    while is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let (mut said, more) = follower.news();
        let now = group.halted();
        if now.is_some() && now != halted {
            said.extend(now.map(Said::Halted));
        }
        halted = now;
        say(said);
        pause = if more == More::Now { Duration::ZERO } else { LOOK_EVERY };
    }
    follower.rest(say);
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
        outs.insert(out.path.clone(), found.content());
        seen.push((&out.path, found));
    }
    for (path, before) in &observation.deps {
        let after = project.workspace.observe(path)?;
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
    let trace = Trace { fingerprint: observation.fingerprint.clone(), outs };
    project.cache.put_trace(&trace)?;
    Ok(trace)
}
