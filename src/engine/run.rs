//! `repro run`: performs the scheduler's effects on threads and feeds back, through one channel, what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::heard::Heard;
use super::observe::{Observation, observe, unseen};
use super::perform::{Performed, Setting};
use super::predict::Predicted;
use super::processes::{GRACE, Groups};
use super::units::Units;
use super::workers::Workers;
use super::{Project, about, ended_orphan, metrics, perform, resources};
use crate::error::{Error, Result, exit};
use crate::event::{About, Event, Failure, Millis, Outcome, RunName, RunStatus, Subscriber, Timestamp, Work};
use crate::exec::{Said, end_orphans, signals};
use crate::pipeline::{Presence, StageIx, StageName};
use crate::plan::{Change, Decision, Force, Trace};
use crate::repo_path::RepoPath;
use crate::runs;
use crate::schedule::{Effect, End, Msg, Need, OnFailure, Scheduler};
use crate::workspace::run_lock::RunLock;

/// The lock is written at the end, and meanwhile at most this often: until then the traces in the cache hold what was done.
const LOCK_EVERY: Duration = Duration::from_secs(1);
/// Nor so often that more than one part in so many of a run is spent on it: on a slow disk nothing else starts meanwhile.
const LOCK_SHARE: u32 = 20;

#[derive(Debug)]
pub struct Options {
    /// Membership list: the stages to bring up to date.
    pub wanted: Vec<bool>,
    /// Membership list: the stages to run whatever is known of them.
    pub forced: Vec<bool>,
    /// How many processors stages may keep busy together.
    pub cpus: usize,
    pub on_failure: OnFailure,
    /// For the record: the command line, and the `key=value` overrides in it.
    pub command: Vec<String>,
    pub overrides: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// `None` if there was nothing to do.
    pub run: Option<RunName>,
    /// How many stages were up to date before anything began.
    pub fresh: usize,
    /// The others, in the order of the graph.
    pub stages: Vec<(StageName, Outcome, Millis)>,
    /// Optional outs that lie nowhere now.
    pub absent: BTreeSet<RepoPath>,
    /// Final metrics, `stage.key`.
    pub metrics: Vec<(String, f64)>,
    pub status: RunStatus,
    pub ended: Timestamp,
    pub took: Millis,
    pub exit: u8,
    /// What kept the stat index from being written: the next run hashes again, and finds the same.
    pub index: Option<Error>,
}

/// Brings the wanted stages up to date.
///
/// # Errors
/// What keeps the run from being started or recorded. A stage's failure is no error but in the report.
pub fn run(
    project: &Arc<Project>,
    _held: &RunLock,
    options: &Options,
    subscribers: Vec<&mut dyn Subscriber>,
) -> Result<Report> {
    project.cache.sweep_temporaries();
    let orphans = end_orphans(&project.markers())?;
    let groups = Arc::new(Groups::default());
    let (sender, inbox) = channel();
    let _signals = watch_signals(&sender, &groups)?;
    let mut work = Loop::new(project, options, &groups, sender, subscribers);
    for stage in &orphans {
        work.pending.push(Event::Warning { stage: None, text: ended_orphan(stage) });
    }
    work.go(&inbox);
    let report = work.finish();
    let index = project.workspace.save_index().err();
    report.map(|report| Report { index, ..report })
}

/// A panic in a worker must not leave the loop waiting for it.
const PANICKED: &str = "a thread of `repro` panicked: this is a bug";

#[derive(Debug)]
pub(super) enum Note {
    Observed(StageIx, Result<Arc<Observation>>),
    /// With what the stage's follower waits on: dropped when all of it is passed on.
    Said(StageIx, Vec<Said>, Sender<()>),
    Ended(StageIx, Performed, Millis),
    /// So many units of its work wait; the number of each goes back when it may start, and the other end is dropped after the last.
    Units(StageIx, usize, Sender<usize>),
    UnitEnded(StageIx, End),
    Signal,
}

/// The first signal stops the run in order; the second kills and leaves.
fn watch_signals(sender: &Sender<Note>, groups: &Arc<Groups>) -> Result<signals::Watch> {
    let (sender, groups) = (sender.clone(), Arc::clone(groups));
    let mut seen = 0;
    signals::watch(move || {
        seen += 1;
        if seen == 1 && sender.send(Note::Signal).is_ok() {
            return ControlFlow::Continue(());
        }
        groups.kill();
        std::process::exit(i32::from(exit::INTERRUPTED));
    })
}

/// Gives the loop what a stage said and waits until it is passed on, so that of each stage there is never more in memory
/// than a piece of its files. The loop waits for no worker, and a loop that is gone has dropped what it was given.
fn hand_over(sender: &Sender<Note>, ix: StageIx, said: Vec<Said>) {
    let (passing, passed_on) = channel();
    if !said.is_empty() && sender.send(Note::Said(ix, said, passing)).is_ok() {
        let _ = passed_on.recv();
    }
}

/// The state of a run, which one thread owns.
struct Loop<'a, 's> {
    project: &'a Arc<Project>,
    options: &'a Options,
    groups: &'a Arc<Groups>,
    sender: Sender<Note>,
    observers: Workers,
    performers: Workers,
    subscribers: Vec<&'s mut dyn Subscriber>,
    scheduler: Scheduler<'a>,
    began: Instant,
    run: Option<RunName>,
    /// Told once there is a run to tell of.
    pending: Vec<Event>,
    stages: Vec<Progress>,
    /// Those that are being looked at, unless everything stops: then nobody waits for them.
    observing: BTreeSet<StageIx>,
    /// What it found there was the last thing that came in: no time has passed, and no work was done.
    just_seen: Option<StageIx>,
    /// What is to become of traces in the lock.
    changes: BTreeMap<StageName, Option<Trace>>,
    lock_due: Instant,
    stop_by: Option<Instant>,
    exit: u8,
    fatal: Option<Error>,
}

#[derive(Debug, Default)]
struct Progress {
    observed: Option<Result<Arc<Observation>>>,
    /// Its objects in the cache turned out to be damaged, so it has to run.
    damaged: bool,
    heard: Heard,
    /// Where the numbers of its units go.
    units: Option<Sender<usize>>,
    ended: Option<(Outcome, Millis)>,
}

impl<'a, 's> Loop<'a, 's> {
    fn new(
        project: &'a Arc<Project>,
        options: &'a Options,
        groups: &'a Arc<Groups>,
        sender: Sender<Note>,
        subscribers: Vec<&'s mut dyn Subscriber>,
    ) -> Loop<'a, 's> {
        let pipeline = &project.pipeline;
        let supply = resources::supply(pipeline, options.cpus);
        let scheduler = Scheduler::new(&pipeline.graph, &options.wanted, supply, options.on_failure);
        let began = Instant::now();
        Loop {
            project,
            options,
            groups,
            sender,
            observers: Workers::at_most(std::thread::available_parallelism().map_or(1, usize::from)),
            performers: Workers::at_most(usize::MAX),
            subscribers,
            scheduler,
            began,
            run: None,
            pending: Vec::new(),
            stages: pipeline.stages.iter().map(|_| Progress::default()).collect(),
            observing: BTreeSet::new(),
            just_seen: None,
            changes: BTreeMap::new(),
            lock_due: began + LOCK_EVERY,
            stop_by: None,
            exit: exit::OK,
            fatal: None,
        }
    }

    fn go(&mut self, inbox: &Receiver<Note>) {
        let mut effects = self.scheduler.start();
        loop {
            for effect in std::mem::take(&mut effects) {
                self.apply(effect);
            }
            if self.scheduler.is_finished() {
                return;
            }
            if let Some(note) = self.next(inbox) {
                effects = self.take(note);
            }
        }
    }

    /// The next note; `None` when the stages have had their time to stop.
    fn next(&mut self, inbox: &Receiver<Note>) -> Option<Note> {
        let Some(stop_by) = self.stop_by else {
            return inbox.recv().ok();
        };
        match inbox.recv_timeout(stop_by.saturating_duration_since(Instant::now())) {
            Ok(note) => Some(note),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                self.stop_by = None;
                self.groups.kill();
                None
            }
        }
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Observe(ix) => {
                self.observing.insert(ix);
                let (project, sender) = (Arc::clone(self.project), self.sender.clone());
                let force = if self.options.forced[ix] { Force::Yes } else { Force::No };
                self.observers.spawn(move || {
                    let looking = AssertUnwindSafe(|| observe(&project, ix, force, &Predicted::new()));
                    let observed =
                        catch_unwind(looking).unwrap_or_else(|_| Err(Error::environment(PANICKED)));
                    // The loop outlives every observation.
                    let _ = sender.send(Note::Observed(ix, observed.map(Arc::new)));
                });
            }
            Effect::Perform(ix) => self.start(ix),
            Effect::Start(ix, unit) => {
                if let Some(units) = &self.stages[ix].units {
                    // A stage whose thread panicked does not wait for it any more.
                    let _ = units.send(unit);
                }
            }
            Effect::Close(ix) => self.stages[ix].units = None,
            Effect::Skip { stage, because } => {
                let because = self.project.pipeline.stages[because].name.clone();
                self.end(stage, Outcome::Skipped { because }, Millis(0), BTreeMap::new());
            }
            Effect::Abandon(stage) => self.end(stage, Outcome::Interrupted, Millis(0), BTreeMap::new()),
        }
    }

    fn take(&mut self, note: Note) -> Vec<Effect> {
        self.just_seen = None;
        match note {
            Note::Signal => {
                self.groups.terminate();
                self.stop_by = Some(Instant::now() + GRACE);
                self.tell(Event::Stopping);
                let mut effects = self.scheduler.advance(Msg::Stop);
                // A look at a large dep may take minutes, and what it would find is of no use any more.
                for ix in std::mem::take(&mut self.observing) {
                    effects.extend(self.scheduler.advance(Msg::Observed(ix, Need::Work)));
                }
                effects
            }
            Note::Observed(ix, _) if !self.observing.remove(&ix) => Vec::new(),
            Note::Observed(ix, observed) => {
                if let Ok(Decision::Fresh(trace)) = observed.as_ref().map(|seen| &seen.decision) {
                    self.remember(ix, trace.clone());
                    self.end(ix, Outcome::Fresh, Millis(0), trace.outs.clone());
                    return self.scheduler.advance(Msg::Observed(ix, Need::Nothing));
                }
                self.stages[ix].observed = Some(observed);
                self.just_seen = Some(ix);
                self.scheduler.advance(Msg::Observed(ix, Need::Work))
            }
            Note::Said(ix, said, _passed_on) => {
                said.into_iter().for_each(|said| self.pass_on(ix, said));
                Vec::new()
            }
            Note::Ended(ix, Performed::Damaged(error), _) => {
                self.rerun_damaged(ix, &error);
                Vec::new()
            }
            Note::Ended(ix, performed, took) => self.ended(ix, performed, took),
            Note::Units(ix, count, start) => {
                self.stages[ix].units = Some(start);
                self.scheduler.advance(Msg::Units(ix, count))
            }
            Note::UnitEnded(ix, end) => self.scheduler.advance(Msg::UnitEnded(ix, end)),
        }
    }

    /// Starts the work on a stage. The first one makes this a run.
    fn start(&mut self, ix: StageIx) {
        let run = self.begin();
        let observation = match self.stages[ix].observed.take() {
            Some(Ok(observation)) => observation,
            Some(Err(error)) => {
                let performed = Performed::Failed { exit: error.exit_code(), failure: unseen(error) };
                let _ = self.sender.send(Note::Ended(ix, performed, Millis(0)));
                return;
            }
            None => panic!("BUG: work on a stage that was not looked at"),
        };
        let (work, reasons) = match &observation.decision {
            Decision::Restore(_, changes) => (Work::Restore, changes.clone()),
            Decision::Run(changes) => (Work::Run, changes.clone()),
            Decision::Fresh(_) | Decision::Blocked(_) => panic!("BUG: work on a stage that has none"),
        };
        let is_input = self.project.pipeline.stages[ix].cmd.is_none() && work == Work::Run;
        let as_seen = is_input && self.just_seen == Some(ix);
        self.work_on(ix, run, work, reasons, as_seen.then_some(observation));
    }

    fn work_on(
        &mut self,
        ix: StageIx,
        run: RunName,
        work: Work,
        reasons: Vec<Change>,
        as_seen: Option<Arc<Observation>>,
    ) {
        self.tell(Event::StageStarted { stage: self.name(ix), at: now(), work, reasons });
        let (project, groups, sender) =
            (Arc::clone(self.project), Arc::clone(self.groups), self.sender.clone());
        let force = if self.options.forced[ix] || self.stages[ix].damaged { Force::Yes } else { Force::No };
        self.performers.spawn(move || {
            let units = Units { ix, sender: sender.clone() };
            let setting = Setting { project: &project, run, groups: &groups, units: &units };
            let say = |said| hand_over(&sender, ix, said);
            let began = Instant::now();
            let working = AssertUnwindSafe(|| perform::perform(setting, ix, force, as_seen, &say));
            let (performed, took) = catch_unwind(working).unwrap_or_else(|_| {
                let failure = unseen(Error::environment(PANICKED));
                (Performed::Failed { exit: exit::ENVIRONMENT, failure }, began.elapsed().into())
            });
            let _ = sender.send(Note::Ended(ix, performed, took));
        });
    }

    /// The cache had a damaged object, which is gone now: the stage is run.
    fn rerun_damaged(&mut self, ix: StageIx, error: &Error) {
        self.tell(Event::Warning {
            stage: Some(self.name(ix)),
            text: format!("{error}; the stage runs instead"),
        });
        self.stages[ix].damaged = true;
        let run = self.begin();
        self.work_on(ix, run, Work::Run, vec![Change::Forced], None);
    }

    fn ended(&mut self, ix: StageIx, performed: Performed, took: Millis) -> Vec<Effect> {
        let (outcome, outs, end) = match performed {
            Performed::Done(trace, work) => {
                let outs = trace.outs.clone();
                self.remember(ix, trace);
                self.save_lock_now_and_then();
                let outcome = match work {
                    Work::Restore => Outcome::Restored,
                    Work::Run => Outcome::Ran,
                };
                (outcome, outs, End::Good)
            }
            Performed::Failed { failure, exit } => {
                self.exit = self.exit.max(exit);
                (Outcome::Failed(self.with_circumstances(ix, failure)), BTreeMap::new(), End::Bad)
            }
            Performed::Stopped => (Outcome::Interrupted, BTreeMap::new(), End::Bad),
            Performed::Cut => {
                let is_failed =
                    |stage: &&StageIx| matches!(self.stages[**stage].ended, Some((Outcome::Failed(_), _)));
                let order = self.project.pipeline.graph.order();
                let outcome = match order.iter().find(is_failed) {
                    Some(&because) => Outcome::Skipped { because: self.name(because) },
                    None => Outcome::Interrupted,
                };
                (outcome, BTreeMap::new(), End::Bad)
            }
            Performed::Damaged(_) => panic!("BUG: damage is handled before"),
        };
        self.end(ix, outcome, took, outs);
        self.scheduler.advance(Msg::Ended(ix, end))
    }

    /// A failure with what this loop knows of it: the last line that the process wrote, where the log is.
    fn with_circumstances(&self, ix: StageIx, mut failure: Failure) -> Failure {
        if let Some(line) = self.stages[ix].heard.last_line() {
            failure.causes.push(format!("its last line: \"{}\"", line.trim()));
            if failure.hint.is_none() {
                let run = self.run.map(|run| run.to_string()).unwrap_or_default();
                failure.hint = Some(format!("`repro runs logs {run} {}` shows the whole log", self.name(ix)));
            }
        }
        failure
    }

    fn end(
        &mut self,
        ix: StageIx,
        outcome: Outcome,
        took: Millis,
        outs: BTreeMap<RepoPath, crate::digest::Content>,
    ) {
        self.stages[ix].ended = Some((outcome.clone(), took));
        self.tell(Event::StageEnded { stage: self.name(ix), at: now(), outcome, took, outs });
    }

    fn pass_on(&mut self, ix: StageIx, said: Said) {
        let stage = self.name(ix);
        if let Some(event) = self.stages[ix].heard.event(stage, now(), said) {
            self.tell(event);
        }
    }

    fn begin(&mut self) -> RunName {
        if let Some(run) = self.run {
            return run;
        }
        let run = runs::next_run(&self.project.root);
        self.run = Some(run);
        let about = About {
            pipeline: self.project.pipeline.name.clone(),
            command: self.options.command.clone(),
            params: self.project.used_params(),
            overrides: self.options.overrides.clone(),
            host: about::host(),
            git: about::git(&self.project.root),
            fresh: self.project.rest.count(),
        };
        let pending = std::mem::take(&mut self.pending);
        self.tell(Event::RunStarted { run, at: now(), about });
        pending.into_iter().for_each(|event| self.tell(event));
        run
    }

    /// Tells the subscribers, or keeps it for them until there is a run.
    fn tell(&mut self, event: Event) {
        if self.run.is_none() && !matches!(event, Event::Stopping) {
            self.pending.push(event);
            return;
        }
        for subscriber in &mut self.subscribers {
            subscriber.on_event(&event);
        }
    }

    fn name(&self, ix: StageIx) -> StageName {
        self.project.pipeline.stages[ix].name.clone()
    }

    fn remember(&mut self, ix: StageIx, trace: Trace) {
        let name = self.name(ix);
        if self.project.lock.stages.get(&name) != Some(&trace) {
            self.changes.insert(name, Some(trace));
        }
    }

    fn save_lock_now_and_then(&mut self) {
        let began = Instant::now();
        if began >= self.lock_due {
            if let Err(error) = self.project.save_changes(&self.changes) {
                self.fatal.get_or_insert(error);
            }
            self.lock_due = Instant::now() + LOCK_EVERY.max(began.elapsed() * LOCK_SHARE);
        }
    }

    fn finish(mut self) -> Result<Report> {
        let pipeline = &self.project.pipeline;
        // What the pipeline no longer declares is forgotten; stages that were not wanted stay.
        let declared: BTreeSet<&StageName> = pipeline.stages.iter().map(|stage| &stage.name).collect();
        let forgotten = self.project.lock.stages.keys().filter(|name| !declared.contains(name));
        self.changes.extend(forgotten.map(|name| (name.clone(), None)));
        let saved = match self.changes.is_empty() {
            true => self.project.cache.sync(),
            false => self.project.save_changes(&self.changes),
        };
        if let Err(error) = saved {
            self.fatal.get_or_insert(error);
        }
        let stages: Vec<(StageName, Outcome, Millis)> = pipeline
            .graph
            .order()
            .iter()
            .filter_map(|&ix| {
                self.stages[ix].ended.clone().map(|(outcome, took)| (self.name(ix), outcome, took))
            })
            .collect();
        let failed = stages.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
        let interrupted = stages.iter().any(|(_, outcome, _)| *outcome == Outcome::Interrupted);
        let (status, exit) = match (interrupted, failed || self.fatal.is_some()) {
            (true, _) => (RunStatus::Interrupted, exit::INTERRUPTED),
            (false, true) => (RunStatus::Failed, self.exit.max(exit::STAGE_FAILED)),
            (false, false) => (RunStatus::Ok, exit::OK),
        };
        let metrics = if self.run.is_some() { self.final_metrics() } else { Vec::new() };
        let took: Millis = self.began.elapsed().into();
        let ended = now();
        self.tell(Event::RunEnded { run: self.run, at: ended, status, took });
        if let Some(error) = self.fatal {
            return Err(error);
        }
        let fresh = self.project.rest.count();
        Ok(Report {
            run: self.run,
            fresh,
            stages,
            absent: absent(self.project),
            metrics,
            status,
            ended,
            took,
            exit,
            index: None,
        })
    }

    fn final_metrics(&mut self) -> Vec<(String, f64)> {
        let mut all = Vec::new();
        let project = self.project;
        for (ix, stage) in project.pipeline.stages.iter().enumerate() {
            // Of a stage that failed, or was not looked at, the files are of another time.
            let holds = |(outcome, _): &(Outcome, Millis)| {
                matches!(outcome, Outcome::Fresh | Outcome::Restored | Outcome::Ran)
            };
            if !self.stages[ix].ended.as_ref().is_some_and(holds) {
                continue;
            }
            let mut complaints = Vec::new();
            let values = metrics::read(&project.root, stage, |text| complaints.push(text));
            for text in complaints {
                self.tell(Event::Warning { stage: Some(stage.name.clone()), text });
            }
            if !values.is_empty() {
                all.extend(values.iter().map(|(key, value)| (format!("{}.{key}", stage.name), *value)));
                self.tell(Event::FinalMetrics { stage: stage.name.clone(), values });
            }
        }
        all
    }
}

fn absent(project: &Project) -> BTreeSet<RepoPath> {
    let outs = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
    let optional = outs.filter(|out| out.presence == Presence::Optional).map(|out| &out.path);
    optional.filter(|path| path.under(&project.root).symlink_metadata().is_err()).cloned().collect()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX)
}
