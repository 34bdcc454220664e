//! Notices changes of the run store and of the workspace while somebody listens.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::readers::Reader;
use crate::pipeline;
use crate::plan::lock;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_millis(200);

/// Numbers that grow with each change that was noticed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Revisions {
    pub(super) store: u64,
    pub(super) workspace: u64,
}

/// The source of [`Revisions`].
#[derive(Debug)]
pub(super) struct Changes {
    revisions: watch::Sender<Revisions>,
    listened: Notify,
    seen: Arc<Mutex<Seen>>,
}

impl Changes {
    pub(super) fn new(root: PathBuf, history: PathBuf) -> Changes {
        let seen = Seen { root, history, reader: Reader::default(), store: None, files: None };
        Changes {
            revisions: watch::Sender::new(Revisions::default()),
            listened: Notify::new(),
            seen: Arc::new(Mutex::new(seen)),
        }
    }

    /// Returns the revisions as they change from now on.
    pub(super) async fn subscribe(&self) -> watch::Receiver<Revisions> {
        // Without this look, what changes before the next one would not be noticed.
        self.look().await;
        self.listened.notify_one();
        self.revisions.subscribe()
    }

    /// Looks again and again, as long as somebody listens.
    pub(super) async fn notice(&self) {
        loop {
            if self.revisions.receiver_count() == 0 {
                self.listened.notified().await;
            }
            self.look().await;
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn look(&self) {
        let seen = Arc::clone(&self.seen);
        let look = move || seen.lock().unwrap_or_else(PoisonError::into_inner).look();
        let (store, workspace) = tokio::task::spawn_blocking(look).await.unwrap_or_default();
        if store || workspace {
            self.revisions.send_modify(|revisions| {
                revisions.store += u64::from(store);
                revisions.workspace += u64::from(workspace);
            });
        }
    }
}

/// State of a file, which differs after a change.
type Stamp = Option<(u64, i64, i64, u64)>;
/// State of the run store: its file, and SQLite's number of its content.
type StoreStamp = (Option<(u64, u64)>, i64);

/// Stamps of the last look.
#[derive(Debug)]
struct Seen {
    root: PathBuf,
    history: PathBuf,
    reader: Reader,
    store: Option<StoreStamp>,
    files: Option<[Stamp; 2]>,
}

impl Seen {
    /// Reports whether the run store and the workspace have changed since the last look.
    fn look(&mut self) -> (bool, bool) {
        // A run store that cannot be read is reported to those who ask for its content.
        let version = self.reader.store(&self.history).and_then(|store| store.data_version());
        let store = version.ok().map(|version| (self.reader.file(), version));
        let files = Some([pipeline::FILE, lock::FILE].map(|name| stamp(&self.root.join(name))));
        let is_new = |before: bool, differs: bool| before && differs;
        let changed = (
            is_new(self.store.is_some(), self.store != store),
            is_new(self.files.is_some(), self.files != files),
        );
        (self.store, self.files) = (store, files);
        changed
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = path.metadata().ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec(), found.size()))
}
