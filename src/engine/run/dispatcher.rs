//! The dispatcher: one thread that owns the state of a run, carries out the scheduler's effects on
//! other threads, and feeds their messages back to the scheduler.
//!
//! The dispatcher never waits for a worker; it waits only for the next message. It is unaware of
//! what the work of a stage is, and of how a process is started: another executor beside local
//! processes belongs behind [`worker::execute_stage`].

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Instant;

use super::job::RunContext;
use super::ledger::{Ledger, now};
use super::message::Message;
use super::options::Options;
use super::outcome::StageResult;
use super::processes::{Delivery, GRACE, ProcessGroups};
use super::stage_output::StageOutput;
use super::thread_pool::ThreadPool;
use super::units::Units;
use super::worker;
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::{Observation, observe, observe_failed};
use crate::engine::{Project, resources};
use crate::error::{Error, Result, exit};
use crate::event::{Event, Failure, Millis, Outcome, RunName, Subscriber, Work};
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::plan::{Change, Decision, Force};
use crate::schedule::{Effect, End, Msg, Need, Scheduler};

/// Failure of a stage whose worker panicked; without it the dispatcher would wait forever.
const PANICKED: &str = "a thread of `repro` panicked: this is a bug";

/// Sends output of a stage to the dispatcher.
///
/// Waiting for the returned [`Delivery`] bounds memory to one piece of the stage's files. The wait
/// always ends: a dispatcher that is gone has dropped its messages.
fn deliver_to(sender: &Sender<Message>, ix: StageIx, said: Vec<StageMessage>) -> Delivery {
    if said.is_empty() {
        return Delivery::NOTHING;
    }
    let (delivery, delivered) = channel();
    let _ = sender.send(Message::Output(ix, said, delivery));
    Delivery::until_dropped(delivered)
}

/// The state of a run, which one thread owns.
pub(super) struct Dispatcher<'a, 's> {
    project: &'a Arc<Project>,
    options: &'a Options,
    groups: &'a Arc<ProcessGroups>,
    sender: Sender<Message>,
    observers: ThreadPool,
    performers: ThreadPool,
    pub(super) ledger: Ledger<'a, 's>,
    scheduler: Scheduler<'a>,
    stages: Vec<Progress>,
    /// Stages being observed; empty once the run stops, since nothing waits for them then.
    observing: BTreeSet<StageIx>,
    /// The stage whose observation was the last message, so that its observation is still current.
    just_seen: Option<StageIx>,
    stop_by: Option<Instant>,
}

#[derive(Debug, Default)]
struct Progress {
    observed: Option<Result<Arc<Observation>>>,
    /// Its objects in the cache are damaged, so it has to run.
    damaged: bool,
    output: StageOutput,
    /// Receives the indices of the units to start.
    units: Option<Sender<usize>>,
}

impl<'a, 's> Dispatcher<'a, 's> {
    pub(super) fn new(
        project: &'a Arc<Project>,
        options: &'a Options,
        groups: &'a Arc<ProcessGroups>,
        sender: Sender<Message>,
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
            sender,
            observers: ThreadPool::at_most(crate::engine::processors()),
            performers: ThreadPool::at_most(usize::MAX),
            ledger: Ledger::open(project, options, subscribers),
            scheduler,
            stages: pipeline.stages.iter().map(|_| Progress::default()).collect(),
            observing: BTreeSet::new(),
            just_seen: None,
            stop_by: None,
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
                effects = self.take(message);
            }
        }
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
                self.observers.spawn(move || {
                    let looking =
                        AssertUnwindSafe(|| observe(&project, ix, force, &Predicted::new()));
                    let observed =
                        catch_unwind(looking).unwrap_or_else(|_| Err(Error::environment(PANICKED)));
                    // The dispatcher outlives every observation.
                    let _ = sender.send(Message::Observed(ix, observed.map(Arc::new)));
                });
            }
            Effect::Perform(ix) => self.start(ix),
            Effect::Start(ix, unit) => {
                if let Some(units) = &self.stages[ix].units {
                    // The receiver is gone if the stage's thread panicked.
                    let _ = units.send(unit);
                }
            }
            Effect::Close(ix) => self.stages[ix].units = None,
            Effect::Skip { stage, because } => {
                let because = self.ledger.name(because);
                self.ledger.end(stage, Outcome::Skipped { because }, Millis(0), BTreeMap::new());
            }
            Effect::Abandon(stage) => {
                self.ledger.end(stage, Outcome::Interrupted, Millis(0), BTreeMap::new());
            }
        }
    }

    fn take(&mut self, message: Message) -> Vec<Effect> {
        self.just_seen = None;
        match message {
            Message::Signal => {
                self.groups.terminate();
                self.stop_by = Some(Instant::now() + GRACE);
                self.ledger.tell(Event::Stopping);
                let mut effects = self.scheduler.advance(Msg::Stop);
                // Observing a large dep may take minutes, and its result is not needed any more.
                for ix in std::mem::take(&mut self.observing) {
                    effects.extend(self.scheduler.advance(Msg::Observed(ix, Need::Work)));
                }
                effects
            }
            Message::Observed(ix, _) if !self.observing.remove(&ix) => Vec::new(),
            Message::Observed(ix, observed) => {
                if let Ok(Decision::Fresh(trace)) = observed.as_ref().map(|seen| &seen.decision) {
                    self.ledger.remember(ix, trace.clone());
                    self.ledger.end(ix, Outcome::Fresh, Millis(0), trace.outs.clone());
                    return self.scheduler.advance(Msg::Observed(ix, Need::Nothing));
                }
                self.stages[ix].observed = Some(observed);
                self.just_seen = Some(ix);
                self.scheduler.advance(Msg::Observed(ix, Need::Work))
            }
            Message::Output(ix, said, _passed_on) => {
                said.into_iter().for_each(|said| self.pass_on(ix, said));
                Vec::new()
            }
            Message::Ended(ix, StageResult::Damaged(error), _) => {
                self.rerun_damaged(ix, &error);
                Vec::new()
            }
            Message::Ended(ix, performed, took) => self.ended(ix, performed, took),
            Message::Units(ix, count, start) => {
                self.stages[ix].units = Some(start);
                self.scheduler.advance(Msg::Units(ix, count))
            }
            Message::UnitEnded(ix, end) => self.scheduler.advance(Msg::UnitEnded(ix, end)),
        }
    }

    /// Starts the work on a stage. The first one begins the run in the history.
    fn start(&mut self, ix: StageIx) {
        let run = self.ledger.begin();
        let observation = match self.stages[ix].observed.take() {
            Some(Ok(observation)) => observation,
            Some(Err(error)) => {
                let performed =
                    StageResult::Failed { exit: error.exit_code(), failure: observe_failed(error) };
                let _ = self.sender.send(Message::Ended(ix, performed, Millis(0)));
                return;
            }
            None => panic!("BUG: work on a stage that was not observed"),
        };
        let (work, reasons) = match &observation.decision {
            Decision::Restore(_, changes) => (Work::Restore, changes.clone()),
            Decision::Run(changes) => (Work::Run, changes.clone()),
            Decision::Fresh(_) | Decision::Blocked(_) => {
                panic!("BUG: work on a stage that has nothing to do")
            }
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
        self.ledger.tell(Event::StageStarted {
            stage: self.ledger.name(ix),
            at: now(),
            work,
            reasons,
        });
        let (project, groups, sender) =
            (Arc::clone(self.project), Arc::clone(self.groups), self.sender.clone());
        let force = if self.options.forced.contains(ix) || self.stages[ix].damaged {
            Force::Yes
        } else {
            Force::No
        };
        self.performers.spawn(move || {
            let units = Units { ix, sender: sender.clone() };
            let context = RunContext { project: &project, run, groups: &groups, units: &units };
            let deliver = |said| deliver_to(&sender, ix, said);
            let began = Instant::now();
            let working =
                AssertUnwindSafe(|| worker::execute_stage(context, ix, force, as_seen, &deliver));
            let (performed, took) = catch_unwind(working).unwrap_or_else(|_| {
                let failure = observe_failed(Error::environment(PANICKED));
                (StageResult::Failed { exit: exit::ENVIRONMENT, failure }, began.elapsed().into())
            });
            let _ = sender.send(Message::Ended(ix, performed, took));
        });
    }

    /// Runs a stage that was to be restored from objects that turned out to be damaged.
    fn rerun_damaged(&mut self, ix: StageIx, error: &Error) {
        self.ledger.tell(Event::Warning {
            stage: Some(self.ledger.name(ix)),
            text: format!("{error}; the stage runs instead"),
        });
        self.stages[ix].damaged = true;
        let run = self.ledger.begin();
        self.work_on(ix, run, Work::Run, vec![Change::Forced], None);
    }

    fn ended(&mut self, ix: StageIx, performed: StageResult, took: Millis) -> Vec<Effect> {
        let (outcome, outs, end) = match performed {
            StageResult::Done(trace, work) => {
                let outs = trace.outs.clone();
                self.ledger.remember(ix, trace);
                self.ledger.save_lock_now_and_then();
                let outcome = match work {
                    Work::Restore => Outcome::Restored,
                    Work::Run => Outcome::Ran,
                };
                (outcome, outs, End::Success)
            }
            StageResult::Failed { failure, exit } => {
                self.ledger.exit_with(exit);
                (
                    Outcome::Failed(self.with_circumstances(ix, failure)),
                    BTreeMap::new(),
                    End::Failure,
                )
            }
            StageResult::Stopped => (Outcome::Interrupted, BTreeMap::new(), End::Failure),
            StageResult::Cut => {
                let outcome = match self.ledger.first_failed() {
                    Some(because) => Outcome::Skipped { because: self.ledger.name(because) },
                    None => Outcome::Interrupted,
                };
                (outcome, BTreeMap::new(), End::Failure)
            }
            StageResult::Damaged(_) => panic!("BUG: damage reaches `ended`"),
        };
        self.ledger.end(ix, outcome, took, outs);
        self.scheduler.advance(Msg::Ended(ix, end))
    }

    /// Adds the last line that the process printed, and a hint at its log.
    fn with_circumstances(&self, ix: StageIx, mut failure: Failure) -> Failure {
        if let Some(line) = self.stages[ix].output.last_line() {
            failure.causes.push(format!("its last line: \"{}\"", line.trim()));
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

    fn pass_on(&mut self, ix: StageIx, said: StageMessage) {
        let stage = self.ledger.name(ix);
        if let Some(event) = self.stages[ix].output.event(stage, now(), said) {
            self.ledger.tell(event);
        }
    }
}
