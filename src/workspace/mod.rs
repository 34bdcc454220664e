//! The user's files: finds the project root, scans paths and computes their digests.
//! Does not know about stages, the cache or runs.

mod glob;
mod hash;
pub mod ignore;
pub mod index;
pub mod links;
mod observe;
pub mod restore;
pub mod root;
pub mod run_lock;
pub mod scan;
mod stamp;
pub mod traverse;
pub mod watch;
pub mod write;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub use observe::{Indexed, Observed};
pub use stamp::Stamp;

use crate::error::Result;
use crate::repo_path::RepoPath;
use index::Index;

/// The paths that stages write.
type OutPaths = LazyLock<BTreeSet<RepoPath>, Box<dyn FnOnce() -> BTreeSet<RepoPath> + Send>>;

/// The files below a project root, and the stat index with their known digests.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    outs: OutPaths,
    index: Index,
}

impl Workspace {
    /// Opens the workspace at `root` with the stat index in the file `index`.
    ///
    /// `outs` returns the paths that stages write; it is called only when they are needed. A
    /// missing or damaged index is treated as empty: files are then hashed again.
    pub fn open(
        root: &Path,
        outs: impl FnOnce() -> BTreeSet<RepoPath> + Send + 'static,
        index: &Path,
    ) -> Workspace {
        let outs: OutPaths = LazyLock::new(Box::new(outs));
        Workspace { root: root.to_owned(), outs, index: Index::load(index) }
    }

    /// Scans `path` by names and stats, without reading any file.
    fn scan(&self, path: &RepoPath) -> Result<Option<scan::Node>> {
        scan::scan(&self.root, path, &|path| self.is_out(path))
    }

    /// Reports whether `path` is an out of a stage or is inside one.
    fn is_out(&self, path: &RepoPath) -> bool {
        self.outs.contains(path) || path.ancestors().any(|above| self.outs.contains(above))
    }

    /// Returns the project root, an absolute path without symlinks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Saves the stat index for the next command.
    pub fn save_index(&self) -> Result<()> {
        self.index.save()
    }
}
