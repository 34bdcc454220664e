//! Locks by which the processes that use one cache avoid computing the same result twice.
//!
//! # Mechanism
//!
//! A process that computes the result for a key holds a `flock` on `cache/tmp/computing-KEY`. The
//! kernel releases it when the process ends. The file is removed before the lock is released, so a
//! lock counts only while its file still has that name.
//!
//! # Known limits
//!
//! - On a file system without locks, or in a cache that cannot be written, every process computes.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Cache;
use super::copy::or_in_new_folder;
use crate::digest::Digest;
use crate::regular_file;

const FOLDER: &str = "tmp";
const PREFIX: &str = "computing-";

/// The right to compute something, given up when it is dropped.
#[derive(Debug)]
pub struct Computing(Option<(File, PathBuf)>);

/// Another process that computes the same.
#[derive(Debug)]
pub struct Elsewhere(File);

impl Cache {
    /// Claims the computation of what `key` stands for.
    ///
    /// # Errors
    /// Another process computes it.
    pub fn claim(&self, key: &Digest) -> Result<Computing, Elsewhere> {
        let folder = self.dir.join(FOLDER);
        let path = folder.join(name(key));
        loop {
            let opened = or_in_new_folder(&folder, || regular_file::open_or_create(&path));
            let Ok(file) = opened else { return Ok(Computing(None)) };
            match file.try_lock() {
                Ok(()) if is_named(&file, &path) => return Ok(Computing(Some((file, path)))),
                // The other one has just ended.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Elsewhere(file)),
                Err(TryLockError::Error(_)) => return Ok(Computing(None)),
            }
        }
    }

    /// Removes the lock files that killed processes have left.
    pub(super) fn remove_dead_claims(&self) {
        for entry in fs::read_dir(self.dir.join(FOLDER)).into_iter().flatten().flatten() {
            let path = entry.path();
            if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
                continue;
            }
            if let Ok(file) = regular_file::open(&path)
                && file.try_lock().is_ok()
                && is_named(&file, &path)
            {
                drop(Computing(Some((file, path))));
            }
        }
    }

    /// Does the same as [`Cache::claim`], and waits for other processes.
    pub fn claim_waiting(&self, key: &Digest) -> Computing {
        loop {
            match self.claim(key) {
                Ok(computing) => return computing,
                Err(elsewhere) => elsewhere.wait(),
            }
        }
    }
}

impl Elsewhere {
    /// Waits until the other process has computed it, or has died.
    pub fn wait(&self) {
        // If it fails, waiting longer does not help.
        let _ = self.0.lock_shared();
        let _ = self.0.unlock();
    }
}

impl Drop for Computing {
    fn drop(&mut self) {
        if let Some((file, path)) = &self.0 {
            let _ = fs::remove_file(path);
            // A child process that was forked, but has not executed its program yet, has the file.
            let _ = file.unlock();
        }
    }
}

fn name(key: &Digest) -> String {
    format!("{PREFIX}{key}")
}

fn is_named(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    let named = path.symlink_metadata().map(identity);
    matches!((named, file.metadata().map(identity)), (Ok(named), Ok(own)) if named == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_claim_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (cache, other) = (Cache::open(dir.path()), Cache::open(dir.path()));
        let key = Digest::of(b"a");
        let claim = cache.claim(&key).unwrap();
        assert!(cache.claim(&Digest::of(b"b")).is_ok());
        let elsewhere = other.claim(&key).unwrap_err();
        let waiting = std::thread::spawn(move || elsewhere.wait());
        assert!(other.claim(&key).is_err());
        drop(claim);
        waiting.join().unwrap();
        drop(other.claim(&key).unwrap());
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 0);
        // Of a killed process, the file stays, and nobody holds it.
        fs::write(dir.path().join(FOLDER).join(name(&key)), "").unwrap();
        assert!(cache.claim(&key).is_ok());
        fs::write(dir.path().join(FOLDER).join(name(&key)), "").unwrap();
        let held = cache.claim(&Digest::of(b"b")).unwrap();
        other.remove_dead_claims();
        let left =
            fs::read_dir(dir.path().join(FOLDER)).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(left.collect::<Vec<_>>(), [held.0.as_ref().unwrap().1.clone()]);
        let unwritable = Cache::open(Path::new("/proc/none"));
        assert!(unwritable.claim(&key).is_ok() && unwritable.claim(&key).is_ok());
    }
}
