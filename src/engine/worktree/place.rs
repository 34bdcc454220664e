//! Folders of worktrees: `cache/worktrees/ID` in the main project, each with a lock `ID.lock`
//! beside it. Does not know what is in a worktree.
//!
//! The process that uses a worktree holds the lock, a `flock`, so a worktree whose lock can be
//! taken was left by a killed process. The lock is created before the folder and removed after it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::kill_orphans;
use crate::regular_file;
use crate::state_folder;
use crate::unique::unique;
use crate::workspace::restore::remove_any;

/// The folder of a project's state.
pub(in crate::engine) const STATE: &str = "cache";
const FOLDER: &str = "worktrees";
const LOCK: &str = "lock";
/// Length of an id: paths of worktrees must stay short.
const ID: usize = 8;

/// Returns the root of the project whose cache and history the project at `root` uses: that of the
/// main project for a worktree, `root` itself for any other.
pub fn home(root: &Path) -> PathBuf {
    let state = Path::new(STATE).join(FOLDER);
    let folder = root.parent().filter(|folder| folder.ends_with(&state));
    let main = folder.and_then(|folder| folder.ancestors().nth(2));
    let has_lock = || root.with_extension(LOCK).is_file();
    main.filter(|_| has_lock()).unwrap_or(root).to_owned()
}

/// Returns the folder with the marker files of the running stages of the project at `root`.
pub(in crate::engine) fn markers(root: &Path) -> PathBuf {
    root.join(STATE).join("tmp/running")
}

/// The folder of a worktree in use, removed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    _lock: File,
}

impl Place {
    /// Creates an empty folder for a worktree of the project at `home`.
    pub(super) fn create(home: &Path) -> Result<Place> {
        let state = home.join(STATE);
        let folder = state.join(FOLDER);
        let cannot = |err: io::Error| Error::io("create a worktree in", &folder, &err);
        state_folder::create(&state).and_then(|()| fs::create_dir_all(&folder)).map_err(cannot)?;
        loop {
            let id = Digest::of(unique().as_bytes()).to_string();
            let root = folder.join(&id[..ID]);
            if let Some(lock) = take_new(&root.with_extension(LOCK)).map_err(cannot)? {
                let place = Place { root, _lock: lock };
                fs::create_dir(&place.root).map_err(cannot)?;
                return Ok(place);
            }
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is left to the next command.
        if remove_any(&self.root).is_ok() {
            let _ = fs::remove_file(self.root.with_extension(LOCK));
        }
    }
}

/// Creates a lock and takes it; `None` if it exists, or another process has just removed it.
fn take_new(path: &Path) -> io::Result<Option<File>> {
    let file = match File::create_new(path) {
        Err(err) if err.kind() == ErrorKind::AlreadyExists => return Ok(None),
        created => created?,
    };
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let named = path.symlink_metadata();
    let opened = file.metadata()?;
    let is_same = |named: fs::Metadata| (named.dev(), named.ino()) == (opened.dev(), opened.ino());
    Ok(named.is_ok_and(is_same).then_some(file))
}

/// Removes the worktrees of the project at `home` that killed processes have left, and ends what
/// still runs in them.
///
/// Errors are ignored: the next command tries again.
pub(in crate::engine) fn sweep(home: &Path) {
    let folder = home.join(STATE).join(FOLDER);
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let root = path.with_extension("");
        if path == root {
            // A lock is removed after its worktree, so this one was left without.
            let is_left = !path.with_extension(LOCK).exists() && path.exists();
            is_left.then(|| remove(&root));
        } else if let Ok(lock) = regular_file::open(&path)
            && lock.try_lock().is_ok()
            && remove(&root)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Removes the worktree at `root` and reports whether nothing is left.
fn remove(root: &Path) -> bool {
    kill_orphans(&markers(root)).is_ok() && remove_any(root).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_places_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path();
        let used = Place::create(main).unwrap();
        let killed = Place::create(main).unwrap();
        let root = killed.root().to_owned();
        fs::write(root.join("file"), "").unwrap();
        assert_eq!(home(&root), main);
        assert_eq!(home(&root.join("below")), root.join("below"));
        sweep(main);
        assert!(root.exists() && used.root().exists());
        // As by a kill: the kernel gives up the lock, and nothing is removed.
        let lock = killed._lock.try_clone().unwrap();
        std::mem::forget(killed);
        sweep(main);
        assert!(root.exists());
        lock.unlock().unwrap();
        sweep(main);
        assert!(!root.exists() && !root.with_extension(LOCK).exists());
        fs::create_dir(&root).unwrap();
        sweep(main);
        assert!(!root.exists() && used.root().exists());
        assert_eq!(home(&root), root);
        let gone = used.root().to_owned();
        drop(used);
        assert!(!gone.exists() && !gone.with_extension(LOCK).exists());
    }
}
