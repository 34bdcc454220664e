//! Running processes of stages: following their output, enforcing timeouts, and stopping them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::exec::{Exit, Follower, Group, Halt, Job, More, Process, StageMessage, Usage};

/// Interval at which a running stage's files are read: long enough to be cheap, short enough to
/// seem immediate.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Time between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Sends output of a stage to the dispatcher.
pub(super) type Deliver<'a> = dyn Fn(Vec<StageMessage>) -> Delivery + Sync + 'a;

/// Acknowledgement that output of a stage was reported to all subscribers.
#[derive(Debug)]
pub(super) struct Delivery(Option<Receiver<()>>);

impl Delivery {
    pub(super) const NOTHING: Delivery = Delivery(None);

    /// Creates a delivery that is acknowledged by dropping the sender of `end`.
    pub(super) fn until_dropped(end: Receiver<()>) -> Delivery {
        Delivery(Some(end))
    }

    pub(super) fn wait(self) {
        let _ = self.0.map(|end| end.recv());
    }

    /// Waits for up to `patience` and reports whether the output was delivered.
    fn is_delivered_within(&self, patience: Duration) -> bool {
        self.0
            .as_ref()
            .is_none_or(|end| end.recv_timeout(patience) != Err(RecvTimeoutError::Timeout))
    }
}

/// The running process groups, so that other threads can stop them.
#[derive(Debug, Default)]
pub(super) struct ProcessGroups(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    stopping: Option<Stopping>,
    groups: BTreeMap<u64, Group>,
    entered: u64,
    /// Some process could not write to its log because the disk was full.
    met_full_disk: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    Asked,
    Forced,
}

impl ProcessGroups {
    pub(super) fn terminate(&self) {
        let mut live = self.live();
        live.stopping = live.stopping.or(Some(Stopping::Asked));
        Group::terminate(live.groups.values());
    }

    pub(super) fn kill(&self) {
        let mut live = self.live();
        live.stopping = Some(Stopping::Forced);
        Group::kill(live.groups.values());
    }

    /// Registers a group and returns the number for [`ProcessGroups::leave`].
    fn enter(&self, group: Group) -> u64 {
        let mut live = self.live();
        live.entered += 1;
        let number = live.entered;
        match live.stopping {
            None => {}
            Some(Stopping::Asked) => Group::terminate([&group]),
            Some(Stopping::Forced) => Group::kill([&group]),
        }
        live.groups.insert(number, group);
        number
    }

    /// Removes a group and reports whether the processes were being stopped.
    fn leave(&self, number: u64) -> bool {
        let mut live = self.live();
        // Background processes of a stopped stage are killed with it.
        if let Some(group) = live.groups.remove(&number)
            && live.stopping.is_some()
        {
            Group::kill([&group]);
        }
        live.stopping.is_some()
    }

    /// Reports whether this is the first process to meet a full disk.
    fn is_first_full(&self) -> bool {
        !std::mem::replace(&mut self.live().met_full_disk, true)
    }

    /// Waits for `wait` and reports whether the run is being stopped.
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

/// The reason why `repro` ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    None,
    TimedOut,
    Stopped,
}

/// The end of a process.
#[derive(Debug)]
pub(super) struct Ended {
    pub exit: Exit,
    pub usage: Usage,
    pub stop: Stop,
    /// Processes that it may have left in the background.
    pub group: Group,
}

/// Runs a process to its end and warns when it is suspended.
///
/// Calls `meanwhile` after each pause; its result says whether to call it again at once. The
/// timeout is not enforced while `meanwhile` blocks.
pub(super) fn execute(
    groups: &ProcessGroups,
    job: &Job,
    limit: Option<Duration>,
    deliver: &Deliver<'_>,
    mut meanwhile: impl FnMut() -> More,
) -> Result<Ended> {
    let process = Process::start(job)?;
    let group = process.group();
    let number = groups.enter(group.clone());
    let mut watch =
        Watch { group: group.clone(), began: Instant::now(), limit, is_late: false, halted: None };
    let mut pause = LOOK_EVERY;
    while !process.exits_within(pause) {
        deliver(watch.check().map(StageMessage::Halted).into_iter().collect());
        pause = pause_before(meanwhile());
    }
    let ended = process.wait();
    // Background processes of a failed stage would write into the next attempt's outs.
    if !matches!(ended, Ok((Exit::Code(0), _))) || watch.is_late {
        Group::kill([&group]);
    }
    if job.is_log_full() && groups.is_first_full() {
        deliver(vec![StageMessage::Warning(format!(
            "the disk of `{}` is full; the end of its log and its last metrics may be missing",
            job.log.display()
        ))]);
    }
    let stop = match groups.leave(number) {
        true => Stop::Stopped,
        false if watch.is_late => Stop::TimedOut,
        false => Stop::None,
    };
    let (exit, usage) = ended?;
    Ok(Ended { exit, usage, stop, group })
}

fn pause_before(more: More) -> Duration {
    match more {
        More::Now => Duration::ZERO,
        More::Later => LOOK_EVERY,
    }
}

/// Enforces the timeout of a process and notices when it is suspended.
struct Watch {
    group: Group,
    began: Instant,
    limit: Option<Duration>,
    is_late: bool,
    halted: Option<Halt>,
}

impl Watch {
    /// Stops the process if it is late; returns the reason if it has just been suspended.
    fn check(&mut self) -> Option<Halt> {
        if let Some(over) = self.limit.and_then(|limit| self.began.elapsed().checked_sub(limit)) {
            if !std::mem::replace(&mut self.is_late, true) {
                Group::terminate([&self.group]);
            } else if over > GRACE {
                Group::kill([&self.group]);
            }
        }
        let before = std::mem::replace(&mut self.halted, self.group.halted());
        self.halted.filter(|_| self.halted != before)
    }
}

/// Runs a process to its end and delivers its output, one piece at a time.
///
/// While a piece is on its way, the rest waits in the stage's files, and the timeout is still
/// enforced. `check` returns further messages; it is called after each pause and must be short.
pub(super) fn execute_and_follow(
    groups: &ProcessGroups,
    job: &Job,
    limit: Option<Duration>,
    deliver: &Deliver<'_>,
    check: impl Fn() -> Vec<StageMessage>,
) -> Result<Ended> {
    let mut follower = Follower::new(&job.log, &job.events());
    let mut delivery = Delivery::NOTHING;
    let ended = execute(groups, job, limit, deliver, || {
        if !delivery.is_delivered_within(LOOK_EVERY) {
            return More::Now;
        }
        let (mut messages, more) = follower.poll();
        messages.extend(check());
        delivery = deliver(messages);
        more
    });
    delivery.wait();
    follower.drain(|messages| deliver(messages).wait());
    ended
}

/// Delivers the output in `log` and `events` while `work` runs, on a thread of its own, so that a
/// slow `deliver` holds up no process. If the system gives no thread, it is delivered at the end.
pub(super) fn while_following<T>(
    log: &Path,
    events: &Path,
    deliver: &(dyn Fn(Vec<StageMessage>) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let mut follower = Follower::new(log, events);
    let (result, is_delivered) = thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        let follower = &mut follower;
        let follow = move || {
            let mut pause = LOOK_EVERY;
            while is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let (messages, more) = follower.poll();
                deliver(messages);
                pause = pause_before(more);
            }
            follower.drain(deliver);
        };
        let following = thread::Builder::new().spawn_scoped(scope, follow);
        let result = work();
        drop(done);
        (result, following.is_ok())
    });
    if !is_delivered {
        follower.drain(deliver);
    }
    result
}
