//! The user's files: finds the project root, scans paths and computes their digests.
//! Does not know about stages, the cache or runs.

pub mod duplicate;
pub mod edit_lock;
pub mod filter;
mod glob;
mod hash;
pub mod ignore;
pub mod index;
pub mod links;
mod observe;
pub mod reproignore;
pub mod restore;
pub mod root;
pub mod run_lock;
pub mod scan;
mod stamp;
pub mod traverse;
pub mod watch;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

pub use observe::{Indexed, Observed};
pub use stamp::Stamp;

use crate::error::Result;
use crate::repo_path::RepoPath;
use filter::{Context, Named};
use index::Index;
use reproignore::Ignores;
use write::Staging;

/// The paths that stages write.
type OutPaths = LazyLock<BTreeSet<RepoPath>, Box<dyn FnOnce() -> BTreeSet<RepoPath> + Send>>;

/// The files below a project root, and the stat index with their known digests.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    outs: OutPaths,
    index: Index,
    ignores: Ignores,
    links_to_outs: Mutex<BTreeMap<RepoPath, RepoPath>>,
    staging: Staging,
}

impl Workspace {
    /// Opens the workspace at `root` with the stat index in the folder `state`.
    ///
    /// `outs` returns the paths that stages write; it is called only when they are needed. A
    /// missing or damaged index is treated as empty: files are then hashed again.
    pub fn open(
        root: &Path,
        outs: impl FnOnce() -> BTreeSet<RepoPath> + Send + 'static,
        state: &Path,
    ) -> Workspace {
        let outs: OutPaths = LazyLock::new(Box::new(outs));
        let ignores = Ignores::of(root);
        Workspace {
            root: root.to_owned(),
            ignores,
            outs,
            index: Index::load(&state.join("index")),
            links_to_outs: Mutex::default(),
            staging: Staging::in_state(state),
        }
    }

    /// Scans `path` by names and stats, without reading any file.
    fn scan<S: scan::FileMeta>(&self, path: &RepoPath) -> Result<Option<scan::Node<S>>> {
        self.scan_if(path, Named::Explicitly)
    }

    /// Does the same; a path from a listing must count by the rules.
    fn scan_if<S: scan::FileMeta>(
        &self,
        path: &RepoPath,
        named: Named,
    ) -> Result<Option<scan::Node<S>>> {
        let context = Context {
            root: &self.root,
            ignores: &self.ignores,
            is_out: &|path| self.is_out(path),
            has_outs: &|path| self.has_outs(path),
            on_link: &|path| self.note_link(path),
        };
        scan::scan(context, path, named)
    }

    /// Records a link if it leads to outs.
    fn note_link(&self, link: &RepoPath) {
        let target = links::target(&self.root, link, &|path| self.is_out(path));
        if let Some(target) = target.filter(|target| self.is_out(target) || self.has_outs(target)) {
            let mut links = self.links_to_outs.lock().unwrap_or_else(PoisonError::into_inner);
            links.insert(link.clone(), target);
        }
    }

    /// Reports whether the ignore rules leave out `path`, which no stage writes.
    pub fn is_ignored(&self, path: &RepoPath) -> bool {
        !self.is_out(path) && self.ignores.is_ignored(path)
    }

    /// Returns the links at or below `top`, outside of outs, that were found so far and lead to
    /// outs, with their targets; `None` stands for the root.
    pub fn links_to_outs(&self, top: Option<&RepoPath>) -> Vec<(RepoPath, RepoPath)> {
        let links = self.links_to_outs.lock().unwrap_or_else(PoisonError::into_inner);
        let from = top.map_or(Bound::Unbounded, |top| Bound::Included(top.as_str()));
        let is_near =
            |link: &RepoPath| top.is_none_or(|top| link.as_str().starts_with(top.as_str()));
        let found = links.range::<str, _>((from, Bound::Unbounded));
        let found = found.take_while(|(link, _)| is_near(link));
        let found = found.filter(|(link, _)| top.is_none_or(|top| top.contains(link)));
        found.map(|(link, target)| (link.clone(), target.clone())).collect()
    }

    /// Reports whether an out of a stage is inside `path`.
    fn has_outs(&self, path: &RepoPath) -> bool {
        let after = (Bound::Excluded(path.as_str()), Bound::Unbounded);
        let next = self.outs.range::<str, _>(after);
        let mut next = next.take_while(|out| out.as_str().starts_with(path.as_str()));
        next.any(|out| path.contains(out))
    }

    /// Reports whether `path` is an out of a stage or is inside one.
    fn is_out(&self, path: &RepoPath) -> bool {
        self.outs.contains(path) || path.ancestors().any(|above| self.outs.contains(above))
    }

    /// Returns the paths that stages write.
    pub fn outs(&self) -> &BTreeSet<RepoPath> {
        &self.outs
    }

    /// Returns the project root, an absolute path without symlinks.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the folder where files are written before they become part of the workspace.
    pub fn staging(&self) -> &Staging {
        &self.staging
    }

    /// Saves the stat index for the next command.
    pub fn save_index(&self) -> Result<()> {
        self.index.save()
    }
}
