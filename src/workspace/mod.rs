//! The user's files: where the project is, what lies at a path, and the digests of it.
//! Knows nothing of stages, the cache or runs.

mod glob;
pub mod ignore;
pub mod index;
pub mod links;
mod observe;
pub mod restore;
pub mod root;
pub mod run_lock;
pub mod scan;
mod stamp;
pub mod watch;
pub mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

pub use observe::{Seen, now};
pub use stamp::Stamp;

use crate::error::Result;
use crate::repo_path::RepoPath;
use index::Index;

/// The files below a project root, and what is remembered of their digests.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    /// What stages write.
    made: BTreeSet<RepoPath>,
    index: Mutex<Index>,
}

impl Workspace {
    /// `made` are the paths that stages write; `index` is where the stat index is kept: one that is missing or damaged
    /// costs only time.
    pub fn open(root: &Path, made: BTreeSet<RepoPath>, index: &Path) -> Workspace {
        Workspace { root: root.to_owned(), made, index: Mutex::new(Index::load(index)) }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps what was learnt for the next time.
    pub fn save_index(&self) -> Result<()> {
        self.index().save()
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        // A panic elsewhere leaves the index as it was: every entry is written whole.
        self.index.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
