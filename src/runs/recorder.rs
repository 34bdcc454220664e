//! Records the events of a run in the run store.
//!
//! # Mechanism
//!
//! [`Recorder`] receives events and sends those that are recorded over a bounded [queue] to a
//! writer thread, so that stages do not wait for the disk. The thread has a lower priority than
//! they have. It collects events and applies them in one transaction: the first milestone (a stage
//! starts or ends) at once, others within 200 ms or 10,000 events. A batch that cannot be written
//! stays pending and is retried with the next one.
//!
//! # Invariants
//!
//! - Nothing is created on the disk before [`Event::RunStarted`]: a run without work leaves
//!   nothing.
//! - The start of a run is written, or has failed to be written, before its first process starts,
//!   so a killed run leaves a record.
//! - A failure here never fails the run. It is reported once, as a warning at the end.
//! - Memory is bounded: the queue blocks a sender that outruns the disk, and while the database
//!   cannot be written, metric points beyond 200,000 pending events are dropped and counted.
//! - In total, a run waits at most 3 s for a locked database. A successful write restores that
//!   time.
//! - The lock of the run is held while the store is open, so that readers see that it is alive.
//! - Several recorders, in one process or in several, write to one store at the same time.
//!
//! # Known limits
//!
//! - Events other than metric points are never dropped, so memory grows with their number while the
//!   database cannot be written.
//! - Events of the last 200 ms before a `kill -9` may be missing.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;
use rustix::process::nice;

use super::queue::{self, BATCH};
use super::store::{DATABASE, Store, database_error};
use super::write::{self, EventWriter};
use super::{liveness, lock_owner::lock_owner};
use crate::error::{Error, Result};
use crate::event::{Event, Outcome, RunName, Subscriber};

/// Total time that a run waits for another process that has locked the database.
///
/// After it, further attempts fail at once if the database is locked. A successful write resets it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(3);
/// Waiting time after which the user is notified.
const NOTIFY_AFTER: Duration = Duration::from_millis(300);
/// Number of pending events beyond which metric points are dropped while writing fails.
const MAX_PENDING: usize = 200_000;

/// Amount by which the priority of the writer is below that of stages: while they compute, it gets
/// about a tenth of a processor, and otherwise all.
const NICENESS: i32 = 10;

/// Records one run.
#[derive(Debug)]
pub struct Recorder {
    /// The folder with the run store, `runs`.
    history: PathBuf,
    /// Shows a message when the recorder has to wait.
    notify: fn(&str),
    /// `None` until there is an event to write.
    writer: Option<WriterHandle>,
}

/// The sending side of the writer thread.
#[derive(Debug)]
struct WriterHandle {
    events: queue::Sender,
    /// Receives one message after the first attempt to write the run, and is closed when the writer
    /// ends.
    progress: Receiver<()>,
    thread: std::io::Result<JoinHandle<Option<Error>>>,
}

impl Recorder {
    /// Starts recording into the run store of the project at `history`. Nothing is created before
    /// [`Event::RunStarted`].
    pub fn start(history: &Path, notify: fn(&str)) -> Recorder {
        Recorder { history: history.to_owned(), notify, writer: None }
    }

    /// Waits until all events are written, and returns the warning to show if some were not.
    pub fn finish(self) -> Option<Error> {
        let WriterHandle { events, progress, thread } = self.writer?;
        drop(events);
        wait(&self.history, self.notify, &progress);
        match thread.map(JoinHandle::join) {
            Ok(Ok(warning)) => warning,
            Ok(Err(_)) => Some(Error::environment(
                "the run was not fully recorded: the recorder stopped early",
            )),
            Err(err) => Some(Error::environment("the run was not recorded").because(err)),
        }
    }
}

/// Waits for the writer, and notifies the user which process it waits for.
fn wait(history: &Path, notify: fn(&str), progress: &Receiver<()>) {
    if progress.recv_timeout(NOTIFY_AFTER) == Err(RecvTimeoutError::Timeout) {
        // If no process holds the lock, the disk is slow, which needs no message.
        if let Some(owner) = lock_owner(history) {
            notify(&format!("waiting for {owner}, which is writing to `{DATABASE}`"));
        }
        let _ = progress.recv();
    }
}

impl WriterHandle {
    fn start(history: PathBuf) -> WriterHandle {
        let (events, inbox) = queue::queue();
        let (signal, progress) = mpsc::channel();
        let thread = thread::Builder::new().name("recorder".into()).spawn(move || {
            // On a busy machine it would slow down the stage whose points it writes.
            let _ = nice(NICENESS);
            Writer::new(history, signal).receive(&inbox)
        });
        WriterHandle { events, progress, thread }
    }
}

impl Subscriber for Recorder {
    fn on_event(&mut self, event: &Event) {
        if !write::is_recorded(event) {
            return;
        }
        let writer = self.writer.get_or_insert_with(|| WriterHandle::start(self.history.clone()));
        // If the writer has ended, `finish` reports it.
        writer.events.send(event.clone());
        // The run is recorded before its first process starts, so that a killed run leaves a
        // record.
        if matches!(event, Event::RunStarted { .. }) {
            wait(&self.history, self.notify, &writer.progress);
        }
    }
}

/// The writer thread.
struct Writer {
    history: PathBuf,
    /// Used once, after the first attempt to write the run; dropped when the writer ends.
    signal: Sender<()>,
    has_signalled: bool,
    run: Option<RunName>,
    /// Some stage ran or was restored.
    has_results: bool,
    open: Option<OpenStore>,
    /// Events not yet in the database, including those before [`Event::RunStarted`] (fresh stages).
    pending: Vec<Event>,
    /// Number of dropped metric points.
    dropped: usize,
    last_error: Option<Error>,
    /// Rest of [`BUSY_TIMEOUT`].
    time_left: Duration,
}

struct OpenStore {
    store: Store,
    events: EventWriter,
    /// The lock by which readers see that the run is alive.
    _alive: liveness::Alive,
}

impl Writer {
    fn new(history: PathBuf, signal: Sender<()>) -> Writer {
        Writer {
            history,
            signal,
            has_signalled: false,
            run: None,
            has_results: false,
            open: None,
            pending: Vec::new(),
            dropped: 0,
            last_error: None,
            time_left: BUSY_TIMEOUT,
        }
    }

    /// Receives events until the sender is dropped, and returns the warning to show.
    fn receive(mut self, inbox: &queue::Receiver) -> Option<Error> {
        let (mut due, mut flushed) = (None, None);
        loop {
            let taken = inbox.take(due, flushed);
            taken.events.into_iter().for_each(|event| self.add(event));
            if taken.is_last {
                break;
            }
            due = taken.due;
            // While writing fails, the batch stays full. Trying again for each batch would hold up
            // the senders, so only time triggers the next attempt.
            let is_full = self.pending.len() >= BATCH && self.last_error.is_none();
            if is_full || due.is_some_and(|due| due <= Instant::now()) {
                self.flush();
                (due, flushed) = (None, Some(Instant::now()));
            }
        }
        self.flush();
        self.warning()
    }

    fn add(&mut self, event: Event) {
        self.has_results |= matches!(
            event,
            Event::StageEnded { outcome: Outcome::Ran | Outcome::Restored { .. }, .. }
        );
        if let Event::RunStarted { run, .. } = event {
            self.run = Some(run);
            // All other rows refer to the row of the run.
            self.pending.insert(0, event);
        } else if self.last_error.is_some()
            && self.pending.len() >= MAX_PENDING
            && matches!(event, Event::Metric { .. })
        {
            self.dropped += 1;
        } else {
            self.pending.push(event);
        }
    }

    /// Writes the pending events.
    ///
    /// If that fails, they stay pending for the next flush, so that a disk that is full for a
    /// minute leaves no gap.
    fn flush(&mut self) {
        let Some(run) = self.run else { return };
        if self.pending.is_empty() {
            return;
        }
        let began = Instant::now();
        match self.write(run) {
            Ok(()) => {
                self.pending.clear();
                self.last_error = None;
                self.time_left = BUSY_TIMEOUT;
            }
            Err(err) => {
                self.last_error = Some(err);
                self.time_left = self.time_left.saturating_sub(began.elapsed());
            }
        }
        if !std::mem::replace(&mut self.has_signalled, true) {
            let _ = self.signal.send(());
        }
    }

    fn write(&mut self, run: RunName) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let until = Instant::now() + self.time_left;
                let store = Store::open(&self.history, self.time_left)?;
                let left = until.saturating_duration_since(Instant::now());
                let alive = liveness::hold(&self.history, run, left)?;
                let events = EventWriter::new(self.history.clone(), run);
                none.insert(OpenStore { store, events, _alive: alive })
            }
        };
        open.store.conn.busy_timeout(self.time_left).map_err(|err| database_error("write", err))?;
        let pending = &self.pending;
        let events = &mut open.events;
        let mut write = || {
            // Immediate: waits for another writer here, where the timeout applies. A transaction
            // that becomes a writer later can fail at once.
            let transaction =
                open.store.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            events.apply(&transaction, pending)?;
            transaction.commit()
        };
        let written = write();
        if written.is_err() {
            open.events.rolled_back();
        }
        written.map_err(|err| database_error("write", err))
    }

    /// Returns the warning to show if some events were not written.
    fn warning(self) -> Option<Error> {
        let run = self.run?;
        let kept = if self.has_results { "; its results are kept" } else { "" };
        let not_recorded = match self.open {
            None => format!("{run} is not in the history{kept}"),
            Some(_) => format!("{run} is only partly in the history{kept}"),
        };
        match (self.last_error, self.dropped) {
            (Some(last_error), _) => {
                let causes = std::iter::once(last_error.what).chain(last_error.causes);
                let warning = causes.fold(Error::environment(not_recorded), Error::because);
                Some(match last_error.hint {
                    Some(hint) => warning.hint(hint),
                    None => warning,
                })
            }
            (None, 0) => None,
            (None, dropped) => Some(Error::environment(format!(
                "{run} is only partly in the history: {dropped} metric points were dropped while \
                 the database was not writable"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Millis, RunStatus};

    #[test]
    fn locked_database_spends_time_left() {
        let dir = tempfile::tempdir().unwrap();
        let other = Store::open(dir.path(), BUSY_TIMEOUT).unwrap();
        other.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (signal, _progress) = mpsc::channel();
        let mut writer = Writer::new(dir.path().to_owned(), signal);
        let run = RunName(1);
        writer.add(Event::RunStarted { run, at: 0, info: Box::new(crate::runs::tests::info(1)) });
        writer.flush();
        assert_eq!(writer.time_left, Duration::ZERO);
        writer.add(Event::RunEnded {
            run: Some(run),
            at: 0,
            status: RunStatus::Ok,
            took: Millis(1),
        });
        writer.flush();
        assert_eq!(
            writer.last_error.as_ref().unwrap().to_string(),
            "cannot write `runs/runs.db`: database is locked"
        );
        other.conn.execute_batch("ROLLBACK").unwrap();
        writer.flush();
        assert_eq!(writer.time_left, BUSY_TIMEOUT);
        assert!(writer.warning().is_none());
        assert_eq!(other.count().unwrap(), 1);
    }
}
