//! A thread pool that starts threads on demand and keeps them, since starting a thread costs as
//! much as observing a small stage. rayon's pool is unsuitable: its threads spin while idle, and it
//! is meant for short tasks.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Error, Result};

type Work = Box<dyn FnOnce() + Send>;

/// Dropping the pool lets the threads finish their queued work and then ends them.
#[derive(Debug)]
pub(super) struct ThreadPool {
    /// Maximum number of threads; further work waits.
    most: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl ThreadPool {
    pub(super) fn at_most(most: usize) -> ThreadPool {
        ThreadPool { most, shared: Arc::default() }
    }

    /// Runs `work`, which must not panic, on an idle thread or a new one. If no new one can be
    /// started, it waits until a thread is idle.
    ///
    /// # Errors
    /// The first thread cannot be started.
    pub(super) fn spawn(&self, work: impl FnOnce() + Send + 'static) -> Result<()> {
        let mut state = self.shared.state();
        state.waiting.push_back(Box::new(work));
        if state.waiting.len() <= state.idle || state.threads == self.most {
            self.shared.changed.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            Err(_) if state.threads > 0 => {}
            Err(err) => {
                state.waiting.pop_back();
                return Err(Error::thread(&err));
            }
        }
        Ok(())
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                drop(state);
                work();
                state = self.state();
            } else if state.is_over {
                return;
            } else {
                state.idle += 1;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn pool_respects_thread_limit() {
        deadline::within(|| {
            let workers = ThreadPool::at_most(3);
            let (sender, done) = channel();
            for number in 0..100 {
                let sender = sender.clone();
                let work = move || sender.send((number, thread::current().id())).unwrap();
                workers.spawn(work).unwrap();
            }
            drop((sender, workers));
            let (mut numbers, threads): (Vec<_>, BTreeSet<_>) =
                done.iter().map(|(number, id)| (number, format!("{id:?}"))).unzip();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..100));
            assert!(threads.len() <= 3, "{threads:?}");
        });
    }

    #[test]
    fn pool_runs_concurrently() {
        deadline::within(|| {
            let workers = ThreadPool::at_most(usize::MAX);
            for _ in 0..3 {
                let together = Arc::new(Barrier::new(9));
                for _ in 0..8 {
                    let together = Arc::clone(&together);
                    let work = move || {
                        together.wait();
                    };
                    workers.spawn(work).unwrap();
                }
                together.wait();
            }
        });
    }
}
