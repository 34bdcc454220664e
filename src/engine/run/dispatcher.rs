//! The dispatcher: one thread that owns the state of a run, carries out the scheduler's effects on
//! other threads, and feeds their messages back to the scheduler.
//!
//! ```text
//!              effects                       messages
//! Scheduler ───────────▶ Dispatcher ◀──────────────────── observers, executors, signals
//!     ▲                      │ events
//!     └────── inputs ────────┴────────▶ Ledger ──▶ subscribers, lock
//! ```
//!
//! The usual course of a stage: `Observe` sends it to an observer, whose `Observed` message either
//! ends it as up to date or makes it wait for resources; `Execute` sends it to an executor, whose
//! `Ended` message ends it. Output arrives in between, one acknowledged piece at a time.
//!
//! Three courses are less usual:
//!
//! - *A damaged restore.* Objects are verified only while they are restored, so the decision to
//!   restore can turn out wrong. The executor ends with `Damaged`; the scheduler is not told, since
//!   the stage still holds its resources, and the stage is executed again, now by force.
//! - *A failing item.* A stage with one process per item submits its items as units and gives up
//!   its own resources. A failed unit reports `UnitEnded`, the others go on or are cut short by the
//!   scheduler, and `Close` tells the waiting executor that no unit is left. Only then does the
//!   stage end.
//! - *A stop.* The first signal asks all process groups to terminate, drops what has not started,
//!   and sets a deadline. Observations are abandoned at once: reading a large dep may take minutes.
//!   Executors still report, so that finished outs are recorded. At the deadline, and on a second
//!   signal, the process groups are killed.
//!
//! The dispatcher never waits for a worker; it waits only for the next message. An executor
//! other than local processes replaces the three verbs in `processes.rs`: start, poll and kill.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::artifacts::Reported;
use super::job::{RunContext, create_folder};
use super::last_line::names_a_problem;
use super::ledger::Ledger;
use super::message::{Message, Spent};
use super::meter::Meter;
use super::options::Options;
use super::outcome::{StageResult, unstarted};
use super::processes::{Delivery, GRACE, ProcessGroups};
use super::shared::{Claim, Membership, Shared};
use super::stage_output::StageOutput;
use super::supply::{Supplied, observe_supplied, reasons_to_restore};
use super::thread_pool::ThreadPool;
use super::units::Units;
use super::worker;
use crate::clock::now_millis;
use crate::engine::observe::{Observation, observe_failed};
use crate::engine::{Project, resources};
use crate::error::{Error, Result, exit};
use crate::event::{Event, Failure, Millis, Outcome, RunName, StageInputs, Subscriber, Work};
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::plan::{Change, Decision, Fingerprint, Force};
use crate::runs;
use crate::schedule::{Effect, End, Input, Need, Scheduler};

/// Failure of a stage whose worker panicked; without it the dispatcher would wait forever.
const PANICKED: &str = "a thread of `repro` panicked: this is a bug";

/// Sends output of a stage to the dispatcher.
///
/// Waiting for the returned [`Delivery`] bounds memory to one piece of the stage's files. The wait
/// always ends: a dispatcher that is gone has dropped its messages.
fn deliver_to(sender: &Sender<Message>, ix: StageIx, messages: Vec<StageMessage>) -> Delivery {
    if messages.is_empty() {
        return Delivery::NOTHING;
    }
    let (delivery, delivered) = channel();
    let _ = sender.send(Message::Output(ix, messages, delivery));
    Delivery::until_dropped(delivered)
}

/// The state of a run, which one thread owns.
pub(super) struct Dispatcher<'a, 's> {
    project: &'a Arc<Project>,
    options: &'a Options,
    groups: &'a Arc<ProcessGroups>,
    sender: Sender<Message>,
    observers: ThreadPool,
    executors: ThreadPool,
    pub(super) ledger: Ledger<'a, 's>,
    scheduler: Scheduler<'a>,
    shared: Membership,
    stages: Vec<Progress>,
    /// Stages being observed; empty once the run stops, since nothing waits for them then.
    observing: BTreeSet<StageIx>,
    /// The stage whose observation was the last message, so that its observation is still current.
    just_observed: Option<StageIx>,
    stop_by: Option<Instant>,
    /// The folder for the files of the run, once a process needs it.
    folder: Option<PathBuf>,
}

/// The work on a stage that starts, and why.
struct Started {
    work: Work,
    reasons: Vec<Change>,
    inputs: StageInputs,
}

fn inputs_of(fingerprint: &Fingerprint) -> StageInputs {
    let set = fingerprint.env.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    let inherited = fingerprint.env_deps.clone().into_iter();
    StageInputs { tools: fingerprint.tools.clone(), env: inherited.chain(set).collect() }
}

#[derive(Debug, Default)]
struct Progress {
    observed: Option<Result<Arc<Observation>>>,
    /// Its objects in the cache are damaged, so it has to run.
    damaged: bool,
    /// Name of where its outs are from, and the time that this took, if the supply has brought
    /// them.
    supplied: Option<(Option<String>, Millis)>,
    /// The supply is bringing its outs, and its start was reported.
    is_announced: bool,
    output: StageOutput,
    /// Receives the indices of the units to start.
    units: Option<Sender<usize>>,
    /// Keeps other runs from computing the same at the same time.
    claim: Option<Claim>,
}

impl<'a, 's> Dispatcher<'a, 's> {
    pub(super) fn new(
        project: &'a Arc<Project>,
        options: &'a Options,
        groups: &'a Arc<ProcessGroups>,
        sender: Sender<Message>,
        shared: &Arc<Shared>,
        subscribers: Vec<&'s mut dyn Subscriber>,
    ) -> Dispatcher<'a, 's> {
        let pipeline = &project.pipeline;
        let capacity = resources::capacity(pipeline, options.cpus);
        let scheduler =
            Scheduler::new(&pipeline.graph, &options.wanted, capacity, options.on_failure);
        Dispatcher {
            project,
            options,
            groups,
            shared: shared.join(sender.clone()),
            sender,
            observers: ThreadPool::at_most(crate::engine::processors()),
            // The scheduler limits the number of stages at work.
            executors: ThreadPool::at_most(usize::MAX),
            ledger: Ledger::open(project, options, subscribers),
            scheduler,
            stages: pipeline.stages.iter().map(|_| Progress::default()).collect(),
            observing: BTreeSet::new(),
            just_observed: None,
            stop_by: None,
            folder: None,
        }
    }

    pub(super) fn run(&mut self, inbox: &Receiver<Message>) {
        let mut effects = self.scheduler.start();
        loop {
            for effect in std::mem::take(&mut effects) {
                self.apply(effect);
            }
            if self.scheduler.is_finished() {
                return;
            }
            if let Some(message) = self.next(inbox) {
                effects = self.handle(message);
            }
        }
    }

    fn advance(&mut self, input: Input) -> Vec<Effect> {
        self.shared.advance(&mut self.scheduler, input)
    }

    /// Waits for the next message; `None` once the grace period of a stop is over.
    fn next(&mut self, inbox: &Receiver<Message>) -> Option<Message> {
        let Some(stop_by) = self.stop_by else {
            return inbox.recv().ok();
        };
        match inbox.recv_timeout(stop_by.saturating_duration_since(Instant::now())) {
            Ok(message) => Some(message),
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
                let force = if self.options.forced.contains(ix) { Force::Yes } else { Force::No };
                let on_foreign = self.options.on_foreign;
                let supply = Arc::clone(&self.options.supply);
                let progress_to = self.sender.clone();
                let spawned = self.observers.spawn(move || {
                    let progress = |observation: &Observation, done, total| {
                        let inputs = inputs_of(&observation.fingerprint);
                        let reasons = reasons_to_restore(&observation.decision);
                        let _ = progress_to.send(Message::Supplying(
                            ix,
                            (done, total),
                            Box::new((reasons, inputs)),
                        ));
                    };
                    let observing = AssertUnwindSafe(|| {
                        observe_supplied(&project, ix, force, on_foreign, &*supply, &progress)
                    });
                    let panicked = |_| (Err(Error::environment(PANICKED)), Supplied::default());
                    let (observed, supplied) = catch_unwind(observing).unwrap_or_else(panicked);
                    // The dispatcher outlives every observation.
                    let observed = observed.map(Arc::new);
                    let _ = sender.send(Message::Observed(ix, observed, supplied));
                });
                if let Err(error) = spawned {
                    let observed = Message::Observed(ix, Err(error), Supplied::default());
                    let _ = self.sender.send(observed);
                }
            }
            Effect::Execute(ix) => self.start_work(ix),
            Effect::Start(ix, unit) => {
                if let Some(units) = &self.stages[ix].units {
                    // The receiver is gone if the stage's thread panicked.
                    let _ = units.send(unit);
                }
            }
            Effect::Close(ix) => self.stages[ix].units = None,
            Effect::Skip { stage, because } => {
                self.stages[stage].claim = None;
                let outcome = self.skipped(stage, because);
                self.ledger.end(stage, outcome, BTreeMap::new(), Spent::default());
            }
            Effect::Abandon(stage) => {
                self.stages[stage].claim = None;
                self.ledger.end(stage, Outcome::Interrupted, BTreeMap::new(), Spent::default());
            }
        }
    }

    /// Updates the run for a message and returns the effects that follow.
    fn handle(&mut self, message: Message) -> Vec<Effect> {
        self.just_observed = None;
        match message {
            Message::Signal => {
                self.groups.terminate();
                self.options.supply.stop();
                self.stop_by = Some(Instant::now() + GRACE);
                self.ledger.emit(Event::Stopping);
                let mut effects = self.advance(Input::Stop);
                // Observing a large dep may take minutes, and its result is not needed any more.
                for ix in std::mem::take(&mut self.observing) {
                    effects.extend(self.advance(Input::Observed(ix, Need::Work)));
                }
                effects
            }
            Message::Observed(ix, observed, supplied) => {
                for text in supplied.warnings {
                    self.ledger.emit(Event::Warning { stage: None, text });
                }
                if supplied.from.is_some() {
                    self.stages[ix].supplied = Some((supplied.from, supplied.took));
                }
                if !self.observing.remove(&ix) {
                    // It arrived after a stop, which has already dropped the stage.
                    return Vec::new();
                }
                if let Ok(Decision::Fresh(trace)) = observed.as_ref().map(|one| &one.decision) {
                    self.ledger.remember(ix, trace.clone());
                    self.ledger.end(ix, Outcome::Fresh, trace.outs.clone(), Spent::default());
                    return self.advance(Input::Observed(ix, Need::Nothing));
                }
                if let Ok(observation) = &observed
                    && !self.may_compute(ix, observation)
                {
                    self.observing.insert(ix);
                    return Vec::new();
                }
                self.stages[ix].observed = Some(observed);
                self.just_observed = Some(ix);
                self.advance(Input::Observed(ix, Need::Work))
            }
            Message::Supplying(ix, progress, shown) => {
                let (reasons, inputs) = *shown;
                if self.observing.contains(&ix) {
                    self.show_supplying(ix, progress, reasons, inputs);
                }
                Vec::new()
            }
            Message::Output(ix, messages, acknowledgement) => {
                messages.into_iter().for_each(|message| self.report_output(ix, message));
                // Dropping it lets the sender go on.
                drop(acknowledgement);
                Vec::new()
            }
            Message::Ended(ix, StageResult::Damaged(error), _) => {
                self.rerun_damaged(ix, &error);
                Vec::new()
            }
            Message::Ended(ix, result, spent) => self.end_stage(ix, result, *spent),
            Message::Units(ix, count, start) => {
                self.stages[ix].units = Some(start);
                self.advance(Input::Units(ix, count))
            }
            Message::UnitEnded(ix, end) => self.advance(Input::UnitEnded(ix, end)),
            Message::Freed => self.advance(Input::Freed),
            Message::Computed(ix) if self.observing.contains(&ix) => vec![Effect::Observe(ix)],
            // The run has stopped meanwhile.
            Message::Computed(_) => Vec::new(),
        }
    }

    /// Reports whether the stage need not wait for another run that is computing the same.
    fn may_compute(&mut self, ix: StageIx, observation: &Observation) -> bool {
        let is_input = self.project.pipeline.stages[ix].is_tracked_input();
        if is_input || !matches!(observation.decision, Decision::Run(_)) {
            return true;
        }
        self.stages[ix].claim =
            self.shared.claim(&self.project.cache, observation.fingerprint.key(), ix);
        self.stages[ix].claim.is_some()
    }

    /// Starts the work on a stage. The first one begins the run in the history.
    fn start_work(&mut self, ix: StageIx) {
        let run = self.ledger.begin();
        let observation = match self.stages[ix].observed.take() {
            Some(Ok(observation)) => observation,
            Some(Err(error)) => {
                let result =
                    StageResult::Failed { exit: error.exit_code(), failure: observe_failed(error) };
                let _ = self.sender.send(Message::Ended(ix, result, Box::default()));
                return;
            }
            None => panic!("BUG: work on a stage that was not observed"),
        };
        if let Some(failure) = &observation.refusal {
            let result = StageResult::Failed { exit: exit::USAGE, failure: failure.clone() };
            let _ = self.sender.send(Message::Ended(ix, result, Box::default()));
            return;
        }
        let inputs = inputs_of(&observation.fingerprint);
        let (work, reasons) = match &observation.decision {
            Decision::Restore(_, changes) => (Work::Restore, changes.clone()),
            Decision::Run(changes) => (Work::Run, changes.clone()),
            Decision::Fresh(_) | Decision::Blocked(_) => {
                panic!("BUG: work on a stage that has nothing to do")
            }
        };
        let is_input = self.project.pipeline.stages[ix].is_tracked_input() && work == Work::Run;
        // A tracked input is stored as it was observed, unless anything happened since.
        let is_current = is_input && self.just_observed == Some(ix);
        let started = Started { work, reasons, inputs };
        self.execute(ix, run, started, is_current.then_some(observation));
    }

    /// Executes a stage on a thread of its own. `observation` is given if it is still current.
    fn execute(
        &mut self,
        ix: StageIx,
        run: RunName,
        Started { work, reasons, inputs }: Started,
        observation: Option<Arc<Observation>>,
    ) {
        let is_announced = std::mem::take(&mut self.stages[ix].is_announced);
        if !is_announced || work == Work::Run {
            self.announce(ix, work, reasons, inputs);
        }
        let folder = self.folder(ix, run, work);
        let (project, groups, sender) =
            (Arc::clone(self.project), Arc::clone(self.groups), self.sender.clone());
        let force = if self.options.forced.contains(ix) || self.stages[ix].damaged {
            Force::Yes
        } else {
            Force::No
        };
        let on_foreign = self.options.on_foreign;
        let (uid, tracking) = (self.ledger.uid(), Arc::clone(&self.options.tracking));
        let supply = Arc::clone(&self.options.supply);
        let sources = Arc::clone(&self.options.sources);
        let wish = self.options.origins;
        let spawned = self.executors.spawn(move || {
            let units = Units { ix, sender: sender.clone() };
            let (meter, reported) = (Meter::default(), Reported::default());
            let context = RunContext {
                project: &project,
                run,
                uid,
                folder: &folder,
                groups: &groups,
                meter: &meter,
                units: &units,
                on_foreign,
                tracking: &*tracking,
                supply: &*supply,
                sources: &*sources,
                wish,
            };
            let deliver = |messages: Vec<StageMessage>| {
                reported.note(&messages);
                deliver_to(&sender, ix, messages)
            };
            let began = Instant::now();
            let executing = AssertUnwindSafe(|| {
                worker::execute_stage(context, ix, force, observation, &deliver)
            });
            let (result, took) = catch_unwind(executing).unwrap_or_else(|_| {
                let failure = observe_failed(Error::environment(PANICKED));
                (StageResult::Failed { exit: exit::ENVIRONMENT, failure }, began.elapsed().into())
            });
            let artifacts = reported.store(&project, &project.pipeline.stages[ix]);
            let spent = Spent { took, usage: meter.usage(), artifacts };
            let _ = sender.send(Message::Ended(ix, result, Box::new(spent)));
        });
        if let Err(error) = spawned {
            let result = unstarted("could not be started", error);
            let _ = self.sender.send(Message::Ended(ix, result, Box::default()));
        }
    }

    fn announce(&mut self, ix: StageIx, work: Work, reasons: Vec<Change>, inputs: StageInputs) {
        let stage = self.ledger.name(ix);
        self.ledger.emit(Event::StageStarted { stage, at: now_millis(), work, reasons, inputs });
    }

    /// Reports that the outs of a stage are arriving, which is the first part of restoring it.
    fn show_supplying(
        &mut self,
        ix: StageIx,
        (done, total): (u64, u64),
        reasons: Vec<Change>,
        inputs: StageInputs,
    ) {
        self.ledger.begin();
        if !std::mem::replace(&mut self.stages[ix].is_announced, true) {
            self.announce(ix, Work::Restore, reasons, inputs);
        }
        if total > 0 {
            let stage = self.ledger.name(ix);
            self.ledger.emit(Event::Progress { stage, done, total });
        }
    }

    /// Returns the folder for the files of the run; creates it if the stage runs a process.
    fn folder(&mut self, ix: StageIx, run: RunName, work: Work) -> PathBuf {
        let has_process = work == Work::Run && self.project.pipeline.stages[ix].cmd.is_some();
        if self.folder.is_none() && has_process {
            let (folder, other) = create_folder(self.project, run);
            self.ledger.other_folder = other;
            self.folder = Some(folder);
        }
        self.folder.clone().unwrap_or_else(|| runs::run_dir(&self.project.history, run))
    }

    /// Runs a stage that was to be restored from objects that turned out to be damaged.
    fn rerun_damaged(&mut self, ix: StageIx, error: &Error) {
        self.ledger.emit(Event::Warning {
            stage: Some(self.ledger.name(ix)),
            text: format!("{error}; the stage runs instead"),
        });
        self.stages[ix].damaged = true;
        let run = self.ledger.begin();
        // The inputs were recorded when the stage was to be restored.
        let (reasons, inputs) = (vec![Change::Forced], StageInputs::default());
        self.execute(ix, run, Started { work: Work::Run, reasons, inputs }, None);
    }

    /// Records the result of a stage and returns the effects that follow.
    fn end_stage(&mut self, ix: StageIx, result: StageResult, mut spent: Spent) -> Vec<Effect> {
        let supplied = self.stages[ix].supplied.take();
        let (outcome, outs, end) = match result {
            StageResult::Done(trace, work) => {
                let outs = trace.outs.clone();
                self.ledger.remember(ix, *trace);
                self.ledger.save_lock_now_and_then();
                let outcome = match work {
                    Work::Restore => {
                        let (from, took) = supplied.unwrap_or_default();
                        spent.took.0 += took.0;
                        Outcome::Restored { from }
                    }
                    Work::Run => Outcome::Ran,
                };
                (outcome, outs, End::Success)
            }
            StageResult::Failed { failure, exit } | StageResult::Unstarted { failure, exit } => {
                self.ledger.exit_with(exit);
                (Outcome::Failed(self.with_last_line(ix, failure)), BTreeMap::new(), End::Failure)
            }
            StageResult::Unrecorded(failure) => {
                self.ledger.exit_with(exit::STAGE_FAILED);
                (Outcome::Unrecorded(failure), BTreeMap::new(), End::Failure)
            }
            StageResult::Stopped => (Outcome::Interrupted, BTreeMap::new(), End::Failure),
            StageResult::Cut => {
                let outcome = match self.ledger.first_failed() {
                    Some(because) => self.skipped(ix, because),
                    None => Outcome::Interrupted,
                };
                (outcome, BTreeMap::new(), End::Failure)
            }
            StageResult::Damaged(_) => panic!("BUG: damage reaches `end_stage`"),
        };
        self.stages[ix].claim = None;
        self.ledger.end(ix, outcome, outs, spent);
        self.advance(Input::Ended(ix, end))
    }

    /// Returns the outcome of a stage that does not run because `failed` failed.
    fn skipped(&self, stage: StageIx, failed: StageIx) -> Outcome {
        let is_needed = self.project.pipeline.graph.with_needs([stage]).contains(failed);
        Outcome::Skipped { because: self.ledger.name(failed), is_needed }
    }

    /// Adds the last line that the process printed, if it names a problem, and a hint at its log.
    fn with_last_line(&self, ix: StageIx, mut failure: Failure) -> Failure {
        if let Some(line) = self.stages[ix].output.last_line() {
            if names_a_problem(line) {
                failure.causes.push(format!("its last line: \"{}\"", line.trim()));
            }
            if failure.hint.is_none() {
                let run = self.ledger.run().map(|run| run.to_string()).unwrap_or_default();
                failure.hint = Some(format!(
                    "`repro runs logs {run} {}` shows the whole log",
                    self.ledger.name(ix)
                ));
            }
        }
        failure
    }

    fn report_output(&mut self, ix: StageIx, message: StageMessage) {
        let stage = self.ledger.name(ix);
        if let Some(event) = self.stages[ix].output.event(stage, now_millis(), message) {
            self.ledger.emit(event);
        }
    }
}
