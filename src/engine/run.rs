//! `repro run`, from the top down: the dispatcher gives each stage to a worker, a worker runs jobs
//! (one per stage, or one per item), and the ledger keeps what became of each stage.

mod artifacts;
mod dep_watch;
mod dispatcher;
mod items;
mod job;
mod last_line;
mod ledger;
mod message;
mod meter;
mod obtain;
mod options;
mod outcome;
mod outs;
mod processes;
mod shared;
mod stage_output;
mod supply;
mod thread_pool;
mod units;
mod worker;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use self::dispatcher::Dispatcher;
use self::message::Message;
use self::processes::ProcessGroups;
pub(super) use self::shared::Shared;
use super::gitignore::ignore_new_outs;
use super::{Project, ended_orphan, resources};
use crate::error::{Result, exit};
use crate::event::{Event, Outcome, Subscriber};
use crate::exec::{kill_orphans, signals};
use crate::workspace::run_lock::RunLock;

pub(super) use self::items::missing_item_out;
pub use self::ledger::{OtherFolder, Report};
pub use self::options::{NoTracking, Options, Role, Tracking, TrialOf};
pub use self::supply::{NoSupply, Progress, Supply};

/// Brings the wanted stages up to date.
///
/// `at_exit` is called before a second signal exits the process; it may not wait.
///
/// # Errors
/// If the run cannot be started or recorded. The failure of a stage is part of the report.
pub fn run(
    project: &Arc<Project>,
    held: &RunLock,
    options: &Options,
    subscribers: Vec<&mut dyn Subscriber>,
    at_exit: impl Fn() + Send + 'static,
) -> Result<Report> {
    let (prepared, stopper) = prepare();
    let _signals = watch_signals(stopper, at_exit)?;
    let shared = Shared::new(resources::capacity(&project.pipeline, options.cpus).limits);
    run_sharing(project, held, options, subscribers, &shared, prepared)
}

/// The means to stop a run, which exist before it begins.
#[derive(Debug)]
pub(super) struct Prepared {
    groups: Arc<ProcessGroups>,
    sender: Sender<Message>,
    inbox: Receiver<Message>,
}

/// Stops a run from another thread.
#[derive(Debug, Clone)]
pub(super) struct Stopper {
    groups: Arc<ProcessGroups>,
    sender: Sender<Message>,
}

impl Stopper {
    /// Asks the run to end: nothing starts any more, and what is running is terminated.
    pub(super) fn stop(&self) -> bool {
        self.sender.send(Message::Signal).is_ok()
    }

    /// Kills the processes of the run.
    pub(super) fn kill(&self) {
        self.groups.kill();
    }
}

/// Prepares a run, so that it can be stopped before it begins.
pub(super) fn prepare() -> (Prepared, Stopper) {
    let groups = Arc::new(ProcessGroups::default());
    let (sender, inbox) = channel();
    let stopper = Stopper { groups: Arc::clone(&groups), sender: sender.clone() };
    (Prepared { groups, sender, inbox }, stopper)
}

/// Does the same as [`run`] beside other runs of this process. The caller watches for signals.
///
/// # Errors
/// The same as of [`run`].
pub(super) fn run_sharing(
    project: &Arc<Project>,
    _held: &RunLock,
    options: &Options,
    subscribers: Vec<&mut dyn Subscriber>,
    shared: &Arc<Shared>,
    Prepared { groups, sender, inbox }: Prepared,
) -> Result<Report> {
    project.cache.sweep_temporaries();
    let orphans = kill_orphans(&project.markers())?;
    let mut work = Dispatcher::new(project, options, &groups, sender, shared, subscribers);
    for stage in &orphans {
        work.ledger.emit(Event::Warning { stage: None, text: ended_orphan(stage) });
    }
    if matches!(options.role, Role::Trial(_)) {
        // A trial is in the history even if nothing is to be done for it.
        work.ledger.begin();
    }
    work.run(&inbox);
    let report = work.ledger.close();
    let index = project.workspace.save_index().err();
    report.map(|report| {
        let stages = &project.pipeline.stages;
        let made = report
            .stages
            .iter()
            .filter(|(_, outcome, _)| matches!(outcome, Outcome::Ran | Outcome::Restored { .. }));
        let made = made.filter_map(|(name, ..)| stages.iter().find(|stage| stage.name == *name));
        let ignored = match report.run {
            Some(_) => ignore_new_outs(project, made),
            None => Ok(Vec::new()),
        };
        Report { index, ignored, ..report }
    })
}

/// Stops the run in order on the first signal; kills all stages and exits on the second.
fn watch_signals(
    stopper: Stopper,
    at_exit: impl Fn() + Send + 'static,
) -> Result<signals::SignalGuard> {
    let mut seen = 0;
    signals::watch(move || {
        seen += 1;
        if seen == 1 && stopper.stop() {
            return ControlFlow::Continue(());
        }
        stopper.kill();
        at_exit();
        std::process::exit(i32::from(exit::INTERRUPTED));
    })
}
