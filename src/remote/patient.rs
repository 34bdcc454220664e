//! A [`Backend`] over another one that repeats calls which may succeed later.
//!
//! All threads share one limiter. When the store asks for fewer requests, the limit halves and all
//! of them pause; it recovers by one after as many successes as the limit has places. The time that
//! a call may take in all is bounded, and so is the number of its attempts.

mod hurry;
mod limiter;
mod notice;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use self::hurry::hurry;
use self::hurry::{is_hurried, sleep};
use self::limiter::Limiter;
pub use self::notice::on_retry;
use super::backend::{Backend, Entry, Fault, FaultKind, Listed};
use super::redact::redact;
use super::remedy::remedy;
use crate::pipeline::Location;

/// The bounds of repetition.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// Pause after the first failure; it doubles with each.
    pub(super) first: Duration,
    /// Longest pause, unless the store names a longer one.
    pub(super) longest: Duration,
    /// Time after which a call is not repeated.
    pub(super) total: Duration,
}

impl Patience {
    /// Returns the bounds for a store that may be silent for `timeout`.
    pub(super) fn new(timeout: Duration) -> Patience {
        let total = timeout.saturating_mul(3);
        Patience { first: Duration::from_millis(250), longest: Duration::from_secs(20), total }
    }
}

/// Attempts at a file that ends early: if it is the file that is short, no attempt helps.
const ATTEMPTS_TRUNCATED: u32 = 3;
/// Attempts at a store that never answered: its address may be wrong.
const ATTEMPTS_FIRST: u32 = 5;
/// Attempts at a call before a message says that calls are repeated.
const ATTEMPTS_SILENT: u32 = 3;

/// Repeats the calls of a store.
#[derive(Debug)]
pub(super) struct Patient<B> {
    inner: B,
    /// Name of the remote, for remedies.
    name: String,
    location: Location,
    patience: Patience,
    limiter: Limiter,
    jobs: usize,
    /// The store has answered once, so it exists and a failure may pass.
    has_succeeded: AtomicBool,
    /// The user knows that calls are repeated.
    has_told: AtomicBool,
}

impl<B: Backend> Patient<B> {
    /// Wraps a store; `jobs` replaces the number of calls at once that it names.
    pub(super) fn new(
        inner: B,
        name: &str,
        location: Location,
        jobs: Option<usize>,
        patience: Patience,
    ) -> Patient<B> {
        let jobs = jobs.unwrap_or_else(|| inner.parallelism()).max(1);
        let (name, limiter) = (name.to_owned(), Limiter::new(jobs));
        let (has_succeeded, has_told) = (AtomicBool::new(false), AtomicBool::new(false));
        Patient { inner, name, location, patience, limiter, jobs, has_succeeded, has_told }
    }

    fn repeat<T>(&self, call: impl Fn(&B) -> Result<T, Fault>) -> Result<T, Fault> {
        let start = Instant::now();
        let mut attempts = 0;
        let mut short = 0;
        loop {
            let permit = self.limiter.acquire();
            let started = Instant::now();
            let result = call(&self.inner);
            drop(permit);
            attempts += 1;
            let fault = match result {
                Ok(value) => {
                    self.has_succeeded.store(true, Ordering::Relaxed);
                    self.limiter.succeeded();
                    return Ok(value);
                }
                Err(fault) => fault,
            };
            let pause = self.pause(attempts, fault.kind);
            let alike = match fault.kind {
                FaultKind::Truncated => {
                    short += 1;
                    short
                }
                _ => attempts,
            };
            if is_hurried()
                || alike >= self.attempts(fault.kind)
                || start.elapsed().saturating_add(pause) > self.patience.total
            {
                return Err(explained(fault, attempts, start.elapsed()));
            }
            if attempts == ATTEMPTS_SILENT && !self.has_told.swap(true, Ordering::Relaxed) {
                self.tell(&fault);
            }
            match fault.kind {
                FaultKind::Busy(_) => self.limiter.pause(started, pause),
                _ => sleep(pause),
            }
        }
    }

    /// Says once that calls are repeated, since it may take minutes.
    fn tell(&self, fault: &Fault) {
        let most = self.patience.total.as_secs_f64();
        let message = redact(&fault.message);
        let of = match self.name.as_str() {
            "" => format!("`{}`", self.location),
            name => format!("remote `{name}`"),
        };
        notice::tell(&format!("{of}: {message}; trying again for up to {most:.0}s"));
    }

    /// Returns the largest number of attempts at a call that fails in one way.
    fn attempts(&self, kind: FaultKind) -> u32 {
        match kind {
            FaultKind::Truncated => ATTEMPTS_TRUNCATED,
            FaultKind::Unavailable if !self.has_succeeded.load(Ordering::Relaxed) => ATTEMPTS_FIRST,
            kind if kind.is_passing() => u32::MAX,
            _ => 1,
        }
    }

    /// Returns the pause after the given number of attempts: between half and all of what doubling
    /// gives, so that many callers do not come back at once, and at least what the store asks for.
    fn pause(&self, attempts: u32, kind: FaultKind) -> Duration {
        if let FaultKind::Busy(Some(asked)) = kind {
            return asked.saturating_add(self.patience.first.mul_f64(limiter::random()));
        }
        let doubled = self.patience.first.saturating_mul(1 << (attempts - 1).min(16));
        doubled.min(self.patience.longest).mul_f64(0.5 + 0.5 * limiter::random())
    }
}

/// Adds the effort to a fault that is final.
fn explained(fault: Fault, attempts: u32, took: Duration) -> Fault {
    let mut message = redact(&fault.message);
    if attempts > 1 {
        let seconds = took.as_secs_f64().max(1.0);
        message.push_str(&format!(" ({attempts} attempts in {seconds:.0}s)"));
    }
    Fault { message, ..fault }
}

impl<B: Backend> Backend for Patient<B> {
    fn place(&self) -> String {
        self.inner.place()
    }

    fn list(&self, folder: &str) -> Result<Vec<Listed>, Fault> {
        self.repeat(|store| store.list(folder))
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> Result<Vec<u8>, Fault> {
        self.repeat(|store| store.get(path, range.clone()))
    }

    fn put(&self, path: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.repeat(|store| store.put(path, bytes))
    }

    fn delete(&self, path: &str) -> Result<(), Fault> {
        self.repeat(|store| store.delete(path))
    }

    fn entry(&self, path: &str) -> Result<Option<Entry>, Fault> {
        self.repeat(|store| store.entry(path))
    }

    fn entries(&self, folder: &str) -> Result<Vec<Entry>, Fault> {
        self.repeat(|store| store.entries(folder))
    }

    fn parallelism(&self) -> usize {
        self.jobs
    }

    fn remedy(&self, kind: FaultKind) -> Option<String> {
        remedy(&self.name, &self.location, kind)
    }
}

#[cfg(test)]
mod tests;
