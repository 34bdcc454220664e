//! The work on stages that are neither up to date nor blocked: restores and runs, on other threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use super::super::artifacts::Reported;
use super::super::job::{RunContext, create_folder};
use super::super::message::{Message, Spent};
use super::super::meter::Meter;
use super::super::outcome::{StageResult, unstarted};
use super::super::processes::Delivery;
use super::super::units::Units;
use super::super::worker;
use super::observing::inputs_of;
use super::{Dispatcher, PANICKED};
use crate::clock::now_millis;
use crate::engine::observe::{Observation, observe_failed};
use crate::error::{Error, exit};
use crate::event::{Event, RunName, StageInputs, Work};
use crate::exec::StageMessage;
use crate::pipeline::StageIx;
use crate::plan::{Change, Decision, Force};
use crate::runs;

/// The work on a stage that starts, and why.
struct Started {
    work: Work,
    reasons: Vec<Change>,
    inputs: StageInputs,
}

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

impl Dispatcher<'_, '_> {
    /// Starts the work on a stage. The first one begins the run in the history.
    pub(super) fn start_work(&mut self, ix: StageIx) {
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

    /// Runs a stage that was to be restored from objects that turned out to be damaged.
    pub(super) fn rerun_damaged(&mut self, ix: StageIx, error: &Error) {
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

    pub(super) fn announce(
        &mut self,
        ix: StageIx,
        work: Work,
        reasons: Vec<Change>,
        inputs: StageInputs,
    ) {
        let stage = self.ledger.name(ix);
        self.ledger.emit(Event::StageStarted { stage, at: now_millis(), work, reasons, inputs });
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
}
