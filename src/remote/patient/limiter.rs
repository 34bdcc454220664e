//! The number of calls at once that a store puts up with: halves when the store complains, recovers
//! slowly.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::hurry::{NOTICE, is_hurried};

#[derive(Debug)]
pub(super) struct Limiter {
    state: Mutex<State>,
    freed: Condvar,
    most: f64,
}

#[derive(Debug)]
struct State {
    running: usize,
    limit: f64,
    /// The limit was halved then; complaints about earlier calls change nothing.
    halved: Option<Instant>,
    /// No call begins before.
    paused_until: Option<Instant>,
}

/// The right to make one call.
#[derive(Debug)]
pub(super) struct Permit<'a>(&'a Limiter);

impl Limiter {
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    pub(super) fn new(most: usize) -> Limiter {
        let most = most as f64;
        let state = State { running: 0, limit: most, halved: None, paused_until: None };
        Limiter { state: Mutex::new(state), freed: Condvar::new(), most }
    }

    /// Waits until a call may begin.
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    pub(super) fn acquire(&self) -> Permit<'_> {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let pause = state.paused_until.and_then(|until| until.checked_duration_since(now));
            if let Some(pause) = pause.filter(|pause| !pause.is_zero() && !is_hurried()) {
                let waited = self.freed.wait_timeout(state, pause.min(NOTICE));
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            } else if (state.running as f64) < state.limit.floor().max(1.0) {
                state.running += 1;
                return Permit(self);
            } else {
                state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Notes a success.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        if state.limit < self.most {
            state.limit = (state.limit + 1.0 / state.limit).min(self.most);
            drop(state);
            self.freed.notify_all();
        }
    }

    /// Notes that the store complained about a call that began at `started`, and keeps all calls
    /// back for some time.
    pub(super) fn pause(&self, started: Instant, pause: Duration) {
        let mut state = self.lock();
        let now = Instant::now();
        if state.halved.is_none_or(|halved| started >= halved) {
            state.limit = (state.limit / 2.0).max(1.0);
            state.halved = Some(now);
        }
        let until = now.checked_add(pause);
        state.paused_until = state.paused_until.max(until);
    }

    #[cfg(test)]
    pub(super) fn limit(&self) -> f64 {
        self.lock().limit
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
        self.0.freed.notify_one();
    }
}

/// Returns a number from 0 to 1, for jitter only.
#[expect(clippy::cast_precision_loss, reason = "a fraction needs no 64 bits")]
pub(super) fn random() -> f64 {
    // The keys of each `RandomState` differ.
    RandomState::new().hash_one(0_u8) as f64 / u64::MAX as f64
}
