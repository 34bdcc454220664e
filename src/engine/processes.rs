//! Processes of stages while they run: stopping them, keeping them to their time, passing on what they say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::exec::{Ended, Follower, Group, Job, Process, Said};

/// How often a running stage's files are looked at. Shorter would cost, longer would show.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a process has, once asked, to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// The processes at work, so that they can be stopped from elsewhere.
#[derive(Debug, Default)]
pub(super) struct Groups(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    stopping: Option<Stopping>,
    groups: BTreeMap<u64, Group>,
    entered: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Asked,
    Forced,
}

impl Groups {
    pub(super) fn terminate(&self) {
        let mut live = self.live();
        live.stopping = live.stopping.or(Some(Stopping::Asked));
        live.groups.values().for_each(|group| group.terminate());
    }

    pub(super) fn kill(&self) {
        let mut live = self.live();
        live.stopping = Some(Stopping::Forced);
        live.groups.values().for_each(|group| group.kill());
    }

    /// Gives the number by which it leaves again.
    fn enter(&self, group: Group) -> u64 {
        let mut live = self.live();
        live.entered += 1;
        let number = live.entered;
        live.groups.insert(number, group);
        match live.stopping {
            None => {}
            Some(Stopping::Asked) => group.terminate(),
            Some(Stopping::Forced) => group.kill(),
        }
        number
    }

    /// Says whether the processes were being stopped.
    fn leave(&self, number: u64) -> bool {
        let mut live = self.live();
        // What a stopped stage left in the background goes with it.
        if let Some(group) = live.groups.remove(&number)
            && live.stopping.is_some()
        {
            group.kill();
        }
        live.stopping.is_some()
    }

    /// Waits, and says whether everything is being stopped.
    pub(super) fn stops_within(&self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        while self.live().stopping.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(LOOK_EVERY));
        }
        true
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Who ended a process, if it did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    None,
    TimedOut,
    Stopped,
}

/// Runs a process to its end.
pub(super) fn execute(groups: &Groups, job: &Job, limit: Option<Duration>) -> Result<(Ended, Stop)> {
    let process = Process::start(job)?;
    let group = process.group();
    let number = groups.enter(group);
    let timed_out = AtomicBool::new(false);
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        if let Some(limit) = limit {
            let late = &timed_out;
            scope.spawn(move || {
                for (wait, end) in [(limit, Group::terminate as fn(Group)), (GRACE, Group::kill)] {
                    if is_done.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                    late.store(true, Ordering::Relaxed);
                    end(group);
                }
            });
        }
        let ended = process.wait();
        // What a stage that failed left in the background would write into the next attempt's outs.
        if !matches!(ended, Ok(Ended::Code(0))) {
            group.kill();
        }
        drop(done);
        let stop = match groups.leave(number) {
            true => Stop::Stopped,
            false if timed_out.load(Ordering::Relaxed) => Stop::TimedOut,
            false => Stop::None,
        };
        Ok((ended?, stop))
    })
}

/// Passes on what processes write to `log` and `events` while `work` goes on.
pub(super) fn following<T>(
    log: &Path,
    events: &Path,
    say: &(dyn Fn(Said) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let mut follower = Follower::new(log, events);
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        scope.spawn(move || {
            while is_done.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                follower.news().into_iter().for_each(say);
            }
            follower.rest().into_iter().for_each(say);
        });
        let result = work();
        drop(done);
        result
    })
}
