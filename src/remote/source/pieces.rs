//! Reads pieces of files of a store, on as many threads as the store handles well. Whoever waits
//! for them can give up at any time: the threads then end with the calls that they have begun.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::remote::backend::{Backend, Fault};

/// Interval at which a wait asks whether to give up.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A piece of a file; `file` is a number that the caller chose.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: usize,
    pub(super) path: String,
    pub(super) range: Range<u64>,
}

type Read = (Piece, std::result::Result<Vec<u8>, Fault>);

#[derive(Debug)]
pub(super) struct Reader {
    wanted: Sender<Piece>,
    read: Receiver<Read>,
    is_over: Arc<AtomicBool>,
}

impl Reader {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(store: &Arc<dyn Backend>, count: usize) -> Result<Reader> {
        let (wanted, queue) = channel::<Piece>();
        let (results, read) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let is_over = Arc::new(AtomicBool::new(false));
        for number in 0..count {
            let (store, results) = (Arc::clone(store), results.clone());
            let (queue, is_over) = (Arc::clone(&queue), Arc::clone(&is_over));
            let next = move || {
                let piece = queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
                piece.filter(|_| !is_over.load(Ordering::Relaxed))
            };
            let work = move || {
                while let Some(piece) = next() {
                    let bytes = store.get(&piece.path, Some(piece.range.clone()));
                    if results.send((piece, bytes)).is_err() {
                        return;
                    }
                }
            };
            match std::thread::Builder::new().name("pieces".into()).spawn(work) {
                Err(err) if number == 0 => return Err(Error::thread(&err)),
                _ => {}
            }
        }
        Ok(Reader { wanted, read, is_over })
    }

    pub(super) fn request(&self, piece: Piece) {
        // The threads end after this value.
        let _ = self.wanted.send(piece);
    }

    /// Returns a piece that was requested, in any order; `None` if it gives up.
    pub(super) fn next(&self, is_stopped: &(dyn Fn() -> bool + Sync)) -> Option<Read> {
        wait(&self.read, is_stopped)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Makes a call on a thread of its own, and waits for its end; `None` if it gives up.
///
/// # Errors
/// The system gives no thread.
pub(super) fn unless_stopped<T: Send + 'static>(
    is_stopped: &(dyn Fn() -> bool + Sync),
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<Option<T>> {
    let (result, end) = channel();
    let work = move || drop(result.send(call()));
    std::thread::Builder::new()
        .name("store".into())
        .spawn(work)
        .map_err(|err| Error::thread(&err))?;
    Ok(wait(&end, is_stopped))
}

fn wait<T>(end: &Receiver<T>, is_stopped: &(dyn Fn() -> bool + Sync)) -> Option<T> {
    loop {
        match end.recv_timeout(LOOK_EVERY) {
            Ok(value) => return Some(value),
            Err(RecvTimeoutError::Timeout) if !is_stopped() => {}
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => panic!("BUG: a thread of a store ended early"),
        }
    }
}
