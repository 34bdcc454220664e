//! Processes of stages while they run: stopping them, keeping them to their time, passing on what they say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Result;
use crate::exec::{Exit, Follower, Group, Halt, Job, More, Process, StageMessage};

/// How often a running stage's files are looked at. Shorter would cost, longer would show.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long a process has, once asked, to end by itself.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// Hands over what a stage says.
pub(super) type Deliver<'a> = dyn Fn(Vec<StageMessage>) -> Delivery + Sync + 'a;

/// What a stage said, on its way to those who watch.
#[derive(Debug)]
pub(super) struct Delivery(Option<Receiver<()>>);

impl Delivery {
    pub(super) const NOTHING: Delivery = Delivery(None);

    /// It is over when the other end is dropped.
    pub(super) fn until_dropped(end: Receiver<()>) -> Delivery {
        Delivery(Some(end))
    }

    pub(super) fn wait(self) {
        let _ = self.0.map(|end| end.recv());
    }

    /// Whether it is over before so much time has passed.
    fn exits_within(&self, patience: Duration) -> bool {
        self.0
            .as_ref()
            .is_none_or(|end| end.recv_timeout(patience) != Err(RecvTimeoutError::Timeout))
    }
}

/// The processes at work, so that they can be stopped from elsewhere.
#[derive(Debug, Default)]
pub(super) struct ProcessGroups(Mutex<Live>);

#[derive(Debug, Default)]
struct Live {
    stopping: Option<Stopping>,
    groups: BTreeMap<u64, Group>,
    entered: u64,
    /// One of them could not write to its log any more.
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

    /// Whether no process before this one filled the disk.
    fn is_first_full(&self) -> bool {
        !std::mem::replace(&mut self.live().met_full_disk, true)
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

/// Runs a process to its end, and says when it is halted. `meanwhile` is called after each pause, and tells whether to call it again
/// at once; while it waits, nobody keeps the process to its time.
pub(super) fn execute(
    groups: &ProcessGroups,
    job: &Job,
    limit: Option<Duration>,
    deliver: &Deliver<'_>,
    mut meanwhile: impl FnMut() -> More,
) -> Result<(Exit, Stop)> {
    let process = Process::start(job)?;
    let group = process.group();
    let number = groups.enter(group);
    let mut watch = Watch { group, began: Instant::now(), limit, is_late: false, halted: None };
    let mut pause = LOOK_EVERY;
    while !process.exits_within(pause) {
        deliver(watch.observe_dep().map(StageMessage::Halted).into_iter().collect());
        pause = pause_before(meanwhile());
    }
    let ended = process.wait();
    // What a stage that failed left in the background would write into the next attempt's outs.
    if !matches!(ended, Ok(Exit::Code(0))) {
        group.kill();
    }
    if job.is_log_full() && groups.is_first_full() {
        deliver(vec![StageMessage::Warning(format!(
            "the disk of `{}` is full: of what it wrote there, and of its metrics, the end may be missing",
            job.log.display()
        ))]);
    }
    let stop = match groups.leave(number) {
        true => Stop::Stopped,
        false if watch.is_late => Stop::TimedOut,
        false => Stop::None,
    };
    Ok((ended?, stop))
}

fn pause_before(more: More) -> Duration {
    match more {
        More::Now => Duration::ZERO,
        More::Later => LOOK_EVERY,
    }
}

/// Keeps a process to its time, and notices when it is halted.
struct Watch {
    group: Group,
    began: Instant,
    limit: Option<Duration>,
    is_late: bool,
    halted: Option<Halt>,
}

impl Watch {
    /// Says so when it has come to a halt.
    fn observe_dep(&mut self) -> Option<Halt> {
        if let Some(over) = self.limit.and_then(|limit| self.began.elapsed().checked_sub(limit)) {
            if !std::mem::replace(&mut self.is_late, true) {
                self.group.terminate();
            } else if over > GRACE {
                self.group.kill();
            }
        }
        let before = std::mem::replace(&mut self.halted, self.group.halted());
        self.halted.filter(|_| self.halted != before)
    }
}

/// Runs a process to its end and passes on what it writes, a piece when the one before has arrived: the rest waits in the files, and
/// the process is kept to its time however long that takes.
pub(super) fn execute_and_follow(
    groups: &ProcessGroups,
    job: &Job,
    limit: Option<Duration>,
    deliver: &Deliver<'_>,
) -> Result<(Exit, Stop)> {
    let mut follower = Follower::new(&job.log, &job.events());
    let mut delivery = Delivery::NOTHING;
    let ended = execute(groups, job, limit, deliver, || {
        if !delivery.exits_within(LOOK_EVERY) {
            return More::Now;
        }
        let (said, more) = follower.poll();
        delivery = deliver(said);
        more
    });
    delivery.wait();
    follower.drain(|said| deliver(said).wait());
    ended
}

/// The same while `work` goes on, of which `deliver` may take its time: on a thread of its own, so that no process waits for it.
pub(super) fn following<T>(
    log: &Path,
    events: &Path,
    deliver: &(dyn Fn(Vec<StageMessage>) + Sync),
    work: impl FnOnce() -> T,
) -> T {
    let mut follower = Follower::new(log, events);
    thread::scope(|scope| {
        let (done, is_done) = channel::<()>();
        scope.spawn(move || {
            let mut pause = LOOK_EVERY;
            while is_done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let (said, more) = follower.poll();
                deliver(said);
                pause = pause_before(more);
            }
            follower.drain(deliver);
        });
        let result = work();
        drop(done);
        result
    })
}
