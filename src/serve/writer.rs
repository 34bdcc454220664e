//! The thread that writes the run store.
//!
//! # Invariants
//!
//! - A request is answered after its change is committed, so a killed server has lost nothing that
//!   it has answered.
//! - Each request is a savepoint: one that fails takes nothing with it.
//! - Requests that queue up while a transaction is written share the next one, so the number of
//!   commits does not grow with the number of clients.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::runs::Store;

/// Maximum number of requests in one transaction.
const BATCH: usize = 1_000;
/// Maximum number of requests that wait; further clients wait before they are queued.
const QUEUE: usize = 4_096;
/// Time that a transaction waits for another process that has locked the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Applies a change, and returns what answers it once the transaction has ended.
type Job = Box<dyn FnOnce(Result<&Store>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Result<()>)>;

/// The sending side. When it is dropped, the thread has written everything.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. The run store is created by the first change.
    pub(super) fn start(history: PathBuf) -> Result<Writer> {
        let (queue, inbox) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("writer".into())
            .spawn(move || receive(&history, inbox))
            .map_err(|err| Error::thread(&err))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            let result = store.map_err(E::from).and_then(|store| store.atomically(work));
            Box::new(move |committed: Result<()>| {
                // Nobody waits if the client has gone.
                let _ = answer.send(committed.map_err(E::from).and(result));
            })
        });
        let lost = || E::from(Error::panicked());
        let Some(queue) = &self.queue else { return Err(lost()) };
        queue.send(job).await.map_err(|_| lost())?;
        answered.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Applies changes until the sender is dropped.
fn receive(history: &Path, mut inbox: mpsc::Receiver<Job>) {
    let mut open = None;
    while let Some(job) = inbox.blocking_recv() {
        // Another process may have moved the database away.
        if !Store::database(history).exists() {
            open = None;
        }
        let store = match open.take() {
            Some(store) => Ok(store),
            None => Store::open(history, BUSY_TIMEOUT),
        };
        match store {
            Ok(store) => write_batch(open.insert(store), job, &mut inbox),
            Err(error) => job(Err(error.clone()))(Err(error)),
        }
    }
}

/// Writes a change, and those that have queued up behind it, in one transaction.
fn write_batch(store: &Store, first: Job, inbox: &mut mpsc::Receiver<Job>) {
    let mut next = Some(first);
    let mut replies = Vec::new();
    let committed: Result<()> = store.atomically(|store| {
        while let Some(job) = next.take() {
            // Whoever waits for a change that panics gets an error, since its reply is dropped.
            replies.extend(catch_unwind(AssertUnwindSafe(|| job(Ok(store)))));
            next = if replies.len() < BATCH { inbox.try_recv().ok() } else { None };
        }
        Ok(())
    });
    if let (Some(job), Err(error)) = (next, &committed) {
        replies.push(job(Err(error.clone())));
    }
    for reply in replies {
        reply(committed.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn tag(value: &str) -> impl FnOnce(&Store) -> Result<()> + Send + 'static {
        let value = value.to_owned();
        move |store| store.set_note(crate::event::RunName(1), &value)
    }

    #[test]
    fn failing_and_panicking_requests() {
        let dir = tempfile::tempdir().unwrap();
        let writer = Writer::start(dir.path().to_owned()).unwrap();
        wait(async {
            let fine = writer.write(tag("a"));
            let failing = writer.write(|_| Err::<(), _>(Error::usage("no")));
            let panicking = writer.write(|_| -> Result<()> { panic!("on purpose") });
            let last = writer.write(tag("b"));
            let (fine, failing, panicking, last) = tokio::join!(fine, failing, panicking, last);
            fine.unwrap();
            assert_eq!(failing.unwrap_err().what, "no");
            panicking.unwrap_err();
            last.unwrap();
        });
    }

    #[test]
    fn unusable_store_is_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("runs")).unwrap();
        std::fs::write(dir.path().join("runs/runs.db"), "not a database".repeat(100)).unwrap();
        let writer = Writer::start(dir.path().to_owned()).unwrap();
        let error = wait(writer.write(tag("a"))).unwrap_err();
        assert_eq!(error.to_string(), "cannot open `runs/runs.db`: file is not a database");
    }
}
