//! The work of a stage as units: handed in by the thread that performs the stage, started by the loop of the run one by one
//! as the scheduler finds room. Knows nothing of what a unit is.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::message::Message;
use crate::pipeline::StageIx;
use crate::schedule::End;

/// The way of one stage to the loop.
#[derive(Debug)]
pub(super) struct Units {
    pub ix: StageIx,
    pub sender: Sender<Message>,
}

/// What came of units.
#[derive(Debug)]
pub(super) struct Done<E> {
    /// Those that failed, by number.
    pub bad: BTreeMap<usize, E>,
    /// How many were never started, since something failed or everything stops.
    pub unstarted: usize,
}

impl Units {
    /// Hands in so many units of work and waits for them. Each runs on a thread of its own; they fail one by one.
    pub(super) fn perform<E: Send>(
        &self,
        count: usize,
        unit: impl Fn(usize) -> Result<(), E> + Sync,
    ) -> Done<E> {
        let (start, starting) = channel();
        let bad = Mutex::new(BTreeMap::new());
        let mut started = 0;
        // The loop outlives every stage.
        let _ = self.sender.send(Message::Units(self.ix, count, start));
        thread::scope(|scope| {
            // Until the loop lets go of its end.
            for number in &starting {
                started += 1;
                let (unit, bad) = (&unit, &bad);
                scope.spawn(move || {
                    let done = catch_unwind(AssertUnwindSafe(|| unit(number)));
                    let end = if matches!(done, Ok(Ok(()))) { End::Success } else { End::Failure };
                    let _ = self.sender.send(Message::UnitEnded(self.ix, end));
                    match done {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            bad.lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .insert(number, error);
                        }
                        // Told as a panic of the thread that waits here.
                        Err(panic) => resume_unwind(panic),
                    }
                });
            }
        });
        let bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
        Done { bad, unstarted: count - started }
    }
}
