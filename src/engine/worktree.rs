//! Worktrees: isolated copies of a project, in which stages run without touching the workspace of
//! the user. Sweeps and `repro runs reproduce` use them.
//!
//! # Mechanism
//!
//! A worktree is a project of its own in [`cache/worktrees/ID`](place): files, lock, stat index,
//! run lock and markers of running stages. It uses the cache of the main project, and its runs are
//! recorded in the history of the main project ([`home`](place::home)). Its files are
//! [chosen](files) by git and the declarations of the stages, and
//! [copied](crate::workspace::duplicate) by reflink where the disk can. Outs come from the cache,
//! when a run in the worktree needs them.
//!
//! # Invariants
//!
//! - Nothing in a worktree is a link to a file of the user's workspace but what `[worktrees] share`
//!   names, so a stage that keeps to other paths in its project does not reach the workspace.
//! - `repro gc` removes nothing while a worktree is in use: it holds the lock of the cache.
//! - A worktree is removed when it is dropped. One of a killed process is removed by the next
//!   command that takes the run lock of the main project.
//!
//! # Known limits
//!
//! - A command that names an absolute path reaches it, as in the workspace. One that names a
//!   relative path out of the project is refused.
//! - With `link = ["hardlink"]` or `"symlink"`, outs share their bytes with the cache, as in the
//!   workspace: a stage that changes the mode of its deps and writes to them damages objects.
//! - Git, asked inside a worktree, finds the repository of the main project.
//! - Files that git ignores and no stage declares are missing, such as a virtual environment.

pub(in crate::engine) mod files;
pub(in crate::engine) mod place;
mod revision;

use std::collections::BTreeSet;
use std::path::Path;

use self::place::Place;
pub use self::revision::Revision;
use super::{Project, project, shared_cache};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;
use crate::state_folder;

/// A worktree in use.
#[derive(Debug)]
pub struct Worktree {
    // Removed before the lock of the cache is given up.
    place: Place,
    _cache: Cache,
    warnings: Vec<String>,
}

impl Worktree {
    /// Creates a worktree of the whole project as it is now, edits included. The project may be
    /// in a worktree itself.
    ///
    /// # Errors
    /// A command of a stage names a relative path out of the project, or a file cannot be copied.
    pub fn create(project: &Project) -> Result<Worktree> {
        Worktree::create_with(project, &BTreeSet::new())
    }

    /// Does the same as [`Worktree::create`] with the files at the paths `also`, which the project
    /// reads with other params.
    ///
    /// # Errors
    /// The same as of [`Worktree::create`].
    pub fn create_with(project: &Project, also: &BTreeSet<RepoPath>) -> Result<Worktree> {
        files::check_commands(project)?;
        let place = empty(&project.history)?;
        let cache = join(&place, &project.history, project.pipeline.cache_dir.as_deref())?;
        let root = place.root();
        let state = root.join(place::STATE);
        let wanted = files::wanted(project, also)?;
        let unread = project.workspace.duplicate(&wanted, root, &state)?;
        let unread = unread.iter().map(|path| {
            format!("`{}` cannot be read, so it is not in the worktree", path.display())
        });
        let mut warnings: Vec<String> = unread.collect();
        warnings.extend(files::share(&project.pipeline, &project.history, root)?);
        warnings.extend(files::missing(project, root));
        Ok(Worktree { place, _cache: cache, warnings })
    }

    /// Creates a worktree of the project at `home` as it was at a git revision.
    ///
    /// # Errors
    /// Git does not know the revision, or its `pipeline.toml` is not valid.
    pub fn of_revision(home: &Path, revision: &Revision<'_>) -> Result<Worktree> {
        let place = empty(home)?;
        let index = place.root().join(place::STATE).join("git-index");
        revision::check_out(home, revision, place.root(), &index)?;
        // Deps that git does not have are still missing.
        let text = project::text(place.root())?;
        let pipeline = project::parse(place.root(), &text, &[], &|_| true)?;
        let cache = join(&place, home, pipeline.cache_dir.as_deref())?;
        let warnings = files::share(&pipeline, home, place.root())?;
        Ok(Worktree { place, _cache: cache, warnings })
    }

    /// Returns the root of the project in the worktree.
    pub fn root(&self) -> &Path {
        self.place.root()
    }

    /// Returns remarks about files that are not in the worktree.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Creates the folder of a worktree, and in it that of its state.
fn empty(home: &Path) -> Result<Place> {
    let place = Place::create(home)?;
    let state = place.root().join(place::STATE);
    state_folder::create(&state).map_err(|err| Error::io("create", &state, &err))?;
    Ok(place)
}

/// Opens the cache for a worktree and keeps `gc` away. `setting` is `[cache] dir`.
fn join(place: &Place, home: &Path, setting: Option<&str>) -> Result<Cache> {
    let own = home.join(place::STATE);
    let cache = shared_cache::open(place.root(), home, &own, setting)?;
    cache.join()?;
    Ok(cache)
}
