//! All trials that have started, so that a second signal can kill their processes at once.

use std::ops::ControlFlow;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};

use super::news::News;
use crate::engine::run::Stopper;
use crate::error::{Result, exit};
use crate::exec::signals::{self, SignalGuard};

#[derive(Debug, Clone, Default)]
pub(super) struct Stoppers(Arc<Mutex<Vec<Stopper>>>);

impl Stoppers {
    pub(super) fn add(&self, stopper: Stopper) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(stopper);
    }

    /// Tells the driver about the first signal; kills all stages and exits on the second.
    pub(super) fn watch_signals(
        &self,
        driver: Sender<News>,
        at_exit: impl Fn() + Send + 'static,
    ) -> Result<SignalGuard> {
        let stoppers = self.clone();
        let mut seen = 0;
        signals::watch(move || {
            seen += 1;
            if seen == 1 && driver.send(News::Signal).is_ok() {
                return ControlFlow::Continue(());
            }
            stoppers
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .iter()
                .for_each(Stopper::kill);
            at_exit();
            std::process::exit(i32::from(exit::INTERRUPTED));
        })
    }
}
