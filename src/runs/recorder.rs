//! Listens to a run and writes it down, on a thread of its own so that no stage waits for the disk. Knows nothing of
//! who tells the events. What goes wrong here is said once, at the end, and never fails the run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::TransactionBehavior;

use super::lock_owner::lock_owner;
use super::store::{DATABASE, Store, failed, hold_recording};
use super::write;
use crate::error::{Error, Result};
use crate::event::{Event, RunName, Subscriber};

/// How old the newest point of a series may be for a reader of the database.
const DELAY: Duration = Duration::from_millis(200);
/// With so many events a transaction costs next to nothing each.
const BATCH: usize = 10_000;
/// So many events may be on their way to the writer, who takes a batch before it writes: who tells faster than a disk writes
/// is held up, and not kept in memory.
const MOST_COMING: usize = 1024;
/// How long a run waits, in all, for another process that keeps the database to itself. After that each further attempt
/// is made at once or not at all; a write that succeeds gives the patience back.
const PATIENCE: Duration = Duration::from_secs(3);
/// A wait that is longer is told, so that nobody wonders.
const NOTICED: Duration = Duration::from_millis(300);
/// When so many events wait for a database that cannot be written at the moment, further points of series are dropped.
const MOST_WAITING: usize = 200_000;

/// Records one run. Started under the run lock, so that one records at a time.
#[derive(Debug)]
pub struct Recorder {
    root: PathBuf,
    /// Hears what is waited for.
    tell: fn(&str),
    /// Once there is something to write.
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    events: SyncSender<Event>,
    /// Hears once that the run's beginning was written, or could not be, and then of the writer's end.
    writer_says: Receiver<()>,
    writer: std::io::Result<JoinHandle<Option<Error>>>,
}

impl Recorder {
    /// Begins to listen for the project at `root`. Nothing is created before [`Event::RunStarted`].
    pub fn start(root: &Path, tell: fn(&str)) -> Recorder {
        Recorder { root: root.to_owned(), tell, writing: None }
    }

    /// Waits until everything is written; the warning to show if something could not be.
    pub fn finish(self) -> Option<Error> {
        let Writing { events, writer_says, writer } = self.writing?;
        drop(events);
        wait(&self.root, self.tell, &writer_says);
        match writer.map(JoinHandle::join) {
            Ok(Ok(warning)) => warning,
            Ok(Err(_)) => Some(Error::environment(
                "the run was not recorded whole: the recorder stopped early",
            )),
            Err(err) => Some(Error::environment("the run was not recorded").because(err)),
        }
    }
}

/// Waits for the writer, and tells who keeps it waiting.
fn wait(root: &Path, tell: fn(&str), writer_says: &Receiver<()>) {
    if writer_says.recv_timeout(NOTICED) == Err(RecvTimeoutError::Timeout) {
        // A slow disk is no news.
        if let Some(owner) = lock_owner(root) {
            tell(&format!("waiting for `{DATABASE}`, to which {owner} writes"));
        }
        let _ = writer_says.recv();
    }
}

impl Writing {
    fn start(root: PathBuf) -> Writing {
        let (events, inbox) = mpsc::sync_channel(MOST_COMING);
        let (say, writer_says) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("recorder".into())
            .spawn(move || Writer::new(root, say).listen(&inbox));
        Writing { events, writer_says, writer }
    }
}

impl Subscriber for Recorder {
    fn on_event(&mut self, event: &Event) {
        if !write::concerns(event) {
            return;
        }
        let writing = self.writing.get_or_insert_with(|| Writing::start(self.root.clone()));
        // A writer that is gone is reported by `finish`.
        let _ = writing.events.send(event.clone());
        // A run is on record before its first process starts: what a killed run did can then be told from nothing.
        if matches!(event, Event::RunStarted { .. }) {
            wait(&self.root, self.tell, &writing.writer_says);
        }
    }
}

struct Writer {
    root: PathBuf,
    /// What it says is said once; then who waits hears of its end.
    say: Sender<()>,
    begun: bool,
    run: Option<RunName>,
    open: Option<Open>,
    /// Not yet in the database. Also what came before the run was known to be one: stages that are fresh.
    waiting: Vec<Event>,
    lost: usize,
    trouble: Option<Error>,
    /// What is left of it.
    patience: Duration,
}

struct Open {
    store: Store,
    /// Tells readers that the run is alive.
    _recording: File,
}

impl Writer {
    fn new(root: PathBuf, say: Sender<()>) -> Writer {
        Writer {
            root,
            say,
            begun: false,
            run: None,
            open: None,
            waiting: Vec::new(),
            lost: 0,
            trouble: None,
            patience: PATIENCE,
        }
    }

    fn listen(mut self, inbox: &Receiver<Event>) -> Option<Error> {
        let mut due: Option<Instant> = None;
        let mut flushed: Option<Instant> = None;
        loop {
            let event = match due {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => inbox.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match event {
                Ok(event) => {
                    // The first of them at once, as when a stage begins; a quick succession of them together.
                    let from = if is_milestone(&event) { flushed } else { Some(Instant::now()) };
                    let wanted = from.map_or_else(Instant::now, |from| from + DELAY);
                    self.keep(event);
                    let due_at = due.map_or(wanted, |due| due.min(wanted));
                    due = Some(due_at);
                    let many = self.waiting.len() >= BATCH && self.trouble.is_none();
                    if !many && Instant::now() < due_at {
                        continue;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.flush();
            (due, flushed) = (None, Some(Instant::now()));
        }
        self.flush();
        self.warning()
    }

    fn keep(&mut self, event: Event) {
        if let Event::RunStarted { run, .. } = event {
            self.run = Some(run);
            // The rows of everything else refer to the run's.
            self.waiting.insert(0, event);
        } else if self.trouble.is_some()
            && self.waiting.len() >= MOST_WAITING
            && matches!(event, Event::Metric { .. })
        {
            self.lost += 1;
        } else {
            self.waiting.push(event);
        }
    }

    /// Writes what is waiting. If it cannot be written now it waits for the next time: a disk that is full for a minute
    /// leaves no hole.
    fn flush(&mut self) {
        let Some(run) = self.run else { return };
        if self.waiting.is_empty() {
            return;
        }
        let began = Instant::now();
        match self.write(run) {
            Ok(()) => {
                self.waiting.clear();
                self.trouble = None;
                self.patience = PATIENCE;
            }
            Err(err) => {
                self.trouble = Some(err);
                self.patience = self.patience.saturating_sub(began.elapsed());
            }
        }
        if !std::mem::replace(&mut self.begun, true) {
            let _ = self.say.send(());
        }
    }

    fn write(&mut self, run: RunName) -> Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let until = Instant::now() + self.patience;
                let store = Store::open(&self.root, self.patience)?;
                let left = until.saturating_duration_since(Instant::now());
                none.insert(Open { store, _recording: hold_recording(&self.root, left)? })
            }
        };
        open.store.conn.busy_timeout(self.patience).map_err(|err| failed("write", err))?;
        let waiting = &self.waiting;
        let mut write = || {
            let transaction =
                open.store.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for event in waiting {
                write::apply(&transaction, run, event)?;
            }
            transaction.commit()
        };
        write().map_err(|err| failed("write", err))
    }

    fn warning(self) -> Option<Error> {
        let run = self.run?;
        let not_recorded = match self.open {
            None => format!("{run} was not recorded; what it did is done all the same"),
            Some(_) => format!("{run} was not recorded whole; what it did is done all the same"),
        };
        match (self.trouble, self.lost) {
            (Some(trouble), _) => {
                let causes = std::iter::once(trouble.what).chain(trouble.causes);
                let warning = causes.fold(Error::environment(not_recorded), Error::because);
                Some(match trouble.hint {
                    Some(hint) => warning.hint(hint),
                    None => warning,
                })
            }
            (None, 0) => None,
            (None, lost) => Some(Error::environment(format!(
                "{run} was not recorded whole: {lost} points of series came while the database was not writable"
            ))),
        }
    }
}

/// What a reader of the database wants to see at once.
fn is_milestone(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStarted { .. }
            | Event::StageStarted { .. }
            | Event::StageEnded { .. }
            | Event::RunEnded { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Millis, RunStatus};

    #[test]
    fn a_database_that_stays_locked_is_waited_for_once_and_warned_of_once() {
        let dir = tempfile::tempdir().unwrap();
        let other = Store::open(dir.path(), PATIENCE).unwrap();
        other.conn.execute_batch("BEGIN IMMEDIATE").unwrap();
        let (begin, _begun) = mpsc::channel();
        let mut writer = Writer::new(dir.path().to_owned(), begin);
        let run = RunName(1);
        writer.keep(Event::RunStarted { run, at: 0, about: crate::runs::tests::about(1) });
        writer.flush();
        assert_eq!(writer.patience, Duration::ZERO);
        writer.keep(Event::RunEnded {
            run: Some(run),
            at: 0,
            status: RunStatus::Ok,
            took: Millis(1),
        });
        writer.flush();
        assert_eq!(
            writer.trouble.as_ref().unwrap().to_string(),
            "cannot write `runs/runs.db`: database is locked"
        );
        other.conn.execute_batch("ROLLBACK").unwrap();
        writer.flush();
        assert_eq!(writer.patience, PATIENCE);
        assert!(writer.warning().is_none());
        assert_eq!(other.count().unwrap(), 1);
    }
}
