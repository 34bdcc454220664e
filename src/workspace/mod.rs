//! The user's files: where the project is, what lies at a path, and the digests of it.
//! Knows nothing of stages, the cache or runs.

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

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

pub use observe::{Observed, now};
pub use stamp::Stamp;

use crate::error::Result;
use crate::repo_path::RepoPath;
use index::Index;

/// The paths that stages write.
type OutPaths = LazyLock<BTreeSet<RepoPath>, Box<dyn FnOnce() -> BTreeSet<RepoPath> + Send>>;

/// The files below a project root, and what is remembered of their digests.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    outs: OutPaths,
    index: Index,
}

impl Workspace {
    /// `made` tells the paths that stages write, should it matter; `index` is where the stat index is kept: one that is missing or damaged
    /// costs only time.
    pub fn open(
        root: &Path,
        outs: impl FnOnce() -> BTreeSet<RepoPath> + Send + 'static,
        index: &Path,
    ) -> Workspace {
        let outs: OutPaths = LazyLock::new(Box::new(outs));
        Workspace { root: root.to_owned(), outs, index: Index::load(index) }
    }

    /// What lies at `path`, by names and stats.
    fn scan(&self, path: &RepoPath) -> Result<Option<scan::Node>> {
        scan::scan(&self.root, path, &|path| self.is_out(path))
    }

    /// Whether a path is, or lies in, something that a stage writes.
    fn is_out(&self, path: &RepoPath) -> bool {
        self.outs.contains(path) || path.ancestors().any(|above| self.outs.contains(above))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps what was learnt for the next time.
    pub fn save_index(&self) -> Result<()> {
        self.index.save()
    }
}

/// Maps in order, on all processors if there are more than `grain`, of which each then has as many at least.
fn par_map<T: Send, U: Send>(
    items: Vec<T>,
    grain: usize,
    map: impl Fn(T) -> Result<U> + Sync + Send,
) -> Result<Vec<U>> {
    // To hand over to other threads costs more than a few stats.
    if items.len() <= grain {
        return items.into_iter().map(map).collect();
    }
    items.into_par_iter().with_min_len(grain).map(map).collect()
}
