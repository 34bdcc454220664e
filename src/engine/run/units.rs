//! Units: pieces of a stage's work that the scheduler starts one by one. The stage's thread submits
//! them and waits. Unaware of what a unit does.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::message::Message;
use crate::pipeline::StageIx;
use crate::schedule::End;

/// Submits units of one stage to the dispatcher.
#[derive(Debug)]
pub(super) struct Units {
    pub ix: StageIx,
    pub sender: Sender<Message>,
}

/// Result of a stage's units.
#[derive(Debug)]
pub(super) struct Done<E> {
    /// Errors of failed units, by index.
    pub failed: BTreeMap<usize, E>,
    /// Number of units that were not started because something failed or the run stops.
    pub unstarted: usize,
}

impl Units {
    /// Submits `count` units and waits for them. Each runs on a thread of its own and can fail
    /// alone.
    pub(super) fn run_all<E: Send>(
        &self,
        count: usize,
        unit: impl Fn(usize) -> Result<(), E> + Sync,
    ) -> Done<E> {
        let (start, starting) = channel();
        let failed = Mutex::new(BTreeMap::new());
        let mut started = 0;
        // The dispatcher outlives every stage.
        let _ = self.sender.send(Message::Units(self.ix, count, start));
        thread::scope(|scope| {
            // Ends when the dispatcher drops its sender.
            for number in &starting {
                started += 1;
                let (unit, failed) = (&unit, &failed);
                let work = move || {
                    let done = catch_unwind(AssertUnwindSafe(|| unit(number)));
                    let end = if matches!(done, Ok(Ok(()))) { End::Success } else { End::Failure };
                    let _ = self.sender.send(Message::UnitEnded(self.ix, end));
                    match done {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            failed
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .insert(number, error);
                        }
                        // The scope reports it as a panic of the waiting thread.
                        Err(panic) => resume_unwind(panic),
                    }
                };
                // Without another thread, the units run one after the other on this one.
                if thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    work();
                }
            }
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        Done { failed, unstarted: count - started }
    }
}
