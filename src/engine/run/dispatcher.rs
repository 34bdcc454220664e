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

mod ending;
mod observing;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Instant;

use super::ledger::Ledger;
use super::message::{Message, Spent};
use super::options::Options;
use super::outcome::StageResult;
use super::processes::{GRACE, ProcessGroups};
use super::shared::{Claim, Membership, Shared};
use super::stage_output::StageOutput;
use super::thread_pool::ThreadPool;
use crate::clock::now_millis;
use crate::engine::observe::Observation;
use crate::engine::{Project, resources};
use crate::error::Result;
use crate::event::{Event, Millis, Outcome, Subscriber};
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::schedule::{Effect, Input, Need, Scheduler};

/// Failure of a stage whose worker panicked; without it the dispatcher would wait forever.
const PANICKED: &str = "a thread of `repro` panicked: this is a bug";

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
            Effect::Observe(ix) => self.observe(ix),
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
            Message::Observed(ix, observed, supplied) => self.observed(ix, observed, supplied),
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

    fn report_output(&mut self, ix: StageIx, message: StageMessage) {
        let stage = self.ledger.name(ix);
        if let Some(event) = self.stages[ix].output.event(stage, now_millis(), message) {
            self.ledger.emit(event);
        }
    }
}
