//! Connections to the run store that read.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use crate::error::{Error, Result};
use crate::runs::Store;

/// Maximum number of connections.
const READERS: usize = 3;

/// Connections that are opened when needed, and used again.
#[derive(Debug)]
pub(super) struct Readers {
    history: PathBuf,
    idle: Arc<Mutex<Vec<Reader>>>,
    places: Semaphore,
}

impl Readers {
    pub(super) fn new(history: PathBuf) -> Readers {
        Readers { history, idle: Arc::default(), places: Semaphore::new(READERS) }
    }

    pub(super) async fn read<T, E>(
        &self,
        work: impl FnOnce(&Store) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        // Fails only if the semaphore is closed, which it never is.
        let _place = self.places.acquire().await;
        let (idle, history) = (Arc::clone(&self.idle), self.history.clone());
        let idle_readers = move || idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let back = Arc::clone(&self.idle);
        let read = move || {
            let mut reader = idle_readers().unwrap_or_default();
            let result = match reader.store(&history) {
                Ok(store) => work(store),
                Err(error) => Err(error.into()),
            };
            back.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
            result
        };
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(Error::panicked().into()))
    }
}

/// A connection to whatever database exists at the moment.
#[derive(Debug, Default)]
pub(super) struct Reader(Option<(Store, Option<FileId>)>);

/// Device and inode of a database.
type FileId = (u64, u64);

impl Reader {
    /// Returns the run store at `history`; an empty one if it does not exist.
    pub(super) fn store(&mut self, history: &Path) -> Result<&Store> {
        let found = file_id(history);
        if self.0.as_ref().is_none_or(|(_, opened)| *opened != found) {
            let opened = match Store::open_existing(history)? {
                Some(store) => (store, found),
                // A recorder may be creating it, so the next request looks again.
                None => (Store::empty(history)?, None),
            };
            opened.0.refuse_writes()?;
            self.0 = Some(opened);
        }
        match &self.0 {
            Some((store, _)) => Ok(store),
            None => panic!("BUG: no connection after opening one"),
        }
    }

    /// Returns the file that is open.
    pub(super) fn file(&self) -> Option<FileId> {
        self.0.as_ref().and_then(|(_, file)| *file)
    }
}

fn file_id(history: &Path) -> Option<FileId> {
    let found = Store::database(history).symlink_metadata().ok()?;
    Some((found.dev(), found.ino()))
}
