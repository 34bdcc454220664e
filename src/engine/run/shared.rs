//! State that the runs of one process share: the machine's resources, and the fingerprints that
//! are being computed. The trials of a sweep run at once. What other processes compute, the cache
//! tells.
//!
//! A run announces itself with [`Shared::join`] and gets messages from the others: that resources
//! became free, and that a stage has ended which it waited for.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::message::Message;
use crate::cache::{Cache, Computing};
use crate::digest::Digest;
use crate::pipeline::StageIx;
use crate::schedule::{Effect, Input, Scheduler};

#[derive(Debug)]
pub(in crate::engine) struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Free amount of each resource.
    free: Vec<u64>,
    runs: BTreeMap<u64, Sender<Message>>,
    joined: u64,
    /// The stages that wait for the computation of a fingerprint, by its key.
    computing: BTreeMap<Digest, Vec<(Sender<Message>, StageIx)>>,
}

/// A run among those that share; leaves when it is dropped.
#[derive(Debug)]
pub(super) struct Membership {
    shared: Arc<Shared>,
    number: u64,
    sender: Sender<Message>,
}

/// The right to compute a fingerprint, given up when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    shared: Arc<Shared>,
    key: Digest,
    /// Given up before others of this process ask for it.
    among_processes: Option<Computing>,
}

impl Shared {
    /// Creates the state with all resources free.
    pub(in crate::engine) fn new(limits: Vec<u64>) -> Arc<Shared> {
        Arc::new(Shared(Mutex::new(State {
            free: limits,
            runs: BTreeMap::new(),
            joined: 0,
            computing: BTreeMap::new(),
        })))
    }

    pub(super) fn join(self: &Arc<Shared>, sender: Sender<Message>) -> Membership {
        let mut state = self.state();
        state.joined += 1;
        let number = state.joined;
        state.runs.insert(number, sender.clone());
        Membership { shared: Arc::clone(self), number, sender }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Membership {
    /// Advances the scheduler of this run, and wakes the others if resources became free.
    pub(super) fn advance(&self, scheduler: &mut Scheduler<'_>, input: Input) -> Vec<Effect> {
        let mut state = self.shared.state();
        let before = state.free.clone();
        let effects = scheduler.advance_sharing(&mut state.free, input);
        if state.free.iter().zip(&before).any(|(after, before)| after > before) {
            for (_, run) in state.runs.iter().filter(|(number, _)| **number != self.number) {
                let _ = run.send(Message::Freed);
            }
        }
        effects
    }

    /// Claims the computation of a fingerprint; `None` if another stage is computing it. The
    /// message `Computed` follows when that one has ended.
    pub(super) fn claim(&self, cache: &Cache, key: Digest, stage: StageIx) -> Option<Claim> {
        let mut state = self.shared.state();
        if let Some(waiting) = state.computing.get_mut(&key) {
            waiting.push((self.sender.clone(), stage));
            return None;
        }
        let among_processes = match cache.claim(&key) {
            Ok(computing) => Some(computing),
            Err(elsewhere) => {
                let sender = self.sender.clone();
                let wait = move || {
                    elsewhere.wait();
                    let _ = sender.send(Message::Computed(stage));
                };
                // It ends with the other process at the latest; nobody waits for the thread.
                match thread::Builder::new().spawn(wait) {
                    Ok(_) => return None,
                    Err(_) => None,
                }
            }
        };
        state.computing.insert(key, Vec::new());
        Some(Claim { shared: Arc::clone(&self.shared), key, among_processes })
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.shared.state().runs.remove(&self.number);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        drop(self.among_processes.take());
        let waiting = self.shared.state().computing.remove(&self.key);
        for (run, stage) in waiting.into_iter().flatten() {
            let _ = run.send(Message::Computed(stage));
        }
    }
}
