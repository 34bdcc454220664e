//! Group sync: makes many new cache files durable at once.
//!
//! # Mechanism
//!
//! Syncing each file would cost more than the work of a small stage. Instead files get their names
//! unsynced, and [`PendingSync::sync`] syncs all of them before anything outside the cache refers
//! to them:
//!
//! ```text
//! cache/unsynced written and synced → objects and traces named → all of them synced →
//! cache/unsynced removed → the lock written
//! ```
//! The marker `cache/unsynced` contains the boot id. If the process dies, the kernel still has the
//! data: a marker of the current boot only means that everything must be synced again. A marker of
//! another boot means that a power cut may have torn files: all small objects are hashed, and those
//! that do not match their digest are removed. File times are not used to limit the search, because
//! the clock may have been wrong.
//!
//! # Invariants
//!
//! - The marker is on the disk before a file gets its name, and stays until every named file is on
//!   the disk.
//! - Whatever refers to a cache file from outside is written after [`PendingSync::sync`]. A file
//!   that was copied into the cache may be removed after it.
//! - Objects of 1 MiB or more are synced before they get their names, so recovery skips them.
//! - A torn trace needs no recovery: its key no longer matches, so it is treated as missing.
//! - Names are published under the shared side of the marker lock. The exclusive side is held to
//!   take the pending names, to set or remove the marker, and to remove a damaged file, so none of
//!   these can run between the check and the rename of another thread.
//! - Only one thread syncs at a time; a second one waits and may then rely on the first.
//!
//! # Known limits
//!
//! - The locks are per process. [`PendingSync::recover`] needs the run lock. All users of a cache
//!   but its owner have a marker each, `unsynced-DIGEST-OF-ROOT`.
//! - If the marker cannot be removed, the next recovery after a reboot hashes the cache once more
//!   than necessary.
//! - Above 64 files the whole file system is synced (`syncfs`), including data of other programs.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::copy::or_in_new_folder;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;

const MARKER: &str = "unsynced";
/// Maximum number of files that are synced one by one.
///
/// Beyond it, syncing the whole file system costs less unless other programs write much to it.
const MAX_FILE_SYNCS: usize = 64;
/// Size in bytes from which an object is synced before it is named.
pub(super) const LARGE: u64 = 1 << 20;

/// Files that have a name and may not be on the disk.
#[derive(Debug)]
pub(super) struct PendingSync {
    /// The cache directory.
    dir: PathBuf,
    marker_file: PathBuf,
    /// Locked shared while publishing a name, exclusively while changing the set of names.
    marker: RwLock<Marker>,
    names: Mutex<Pending>,
    /// Locked during a sync, so that a second caller returns only when the first has finished.
    syncing: Mutex<()>,
}

/// State of the marker file on the disk, as far as this process knows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Marker {
    #[default]
    Missing,
    Set,
}

/// Treatment of an existing file with the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnExisting {
    /// Keep it. It has the same content, and another thread may have verified it and be about to
    /// link to it.
    Keep,
    Replace,
}

/// Names to sync.
#[derive(Debug, Default)]
enum Pending {
    #[default]
    Nothing,
    Few(Vec<PathBuf>),
    /// Too many to sync one by one.
    Many,
}

impl PendingSync {
    /// Creates the group sync of the cache in `dir`; `user` is `None` for its owner.
    pub(super) fn new(dir: &Path, user: Option<Digest>) -> PendingSync {
        let name = user.map_or(MARKER.to_owned(), |user| format!("{MARKER}-{user}"));
        PendingSync {
            dir: dir.to_owned(),
            marker_file: dir.join(name),
            marker: RwLock::default(),
            names: Mutex::default(),
            syncing: Mutex::default(),
        }
    }

    /// Renames a complete but unsynced file to its final name, and adds it to the pending names.
    pub(super) fn publish(
        &self,
        temporary: &Path,
        name: &Path,
        on_existing: OnExisting,
    ) -> io::Result<()> {
        let _marker = self.with_marker()?;
        // Also if the name exists already: its content may not be on the disk, and the thread that
        // added it may sync later than this one.
        self.pending().add(name);
        let shard = name.parent().unwrap_or(name);
        or_in_new_folder(shard, || rename(temporary, name, on_existing))
    }

    /// Sets the marker if it is missing. It stays while the returned guard is held.
    fn with_marker(&self) -> io::Result<RwLockReadGuard<'_, Marker>> {
        let marker = self.marker.read().unwrap_or_else(PoisonError::into_inner);
        if *marker == Marker::Set {
            return Ok(marker);
        }
        drop(marker);
        let mut marker = self.lock_marker();
        if *marker == Marker::Missing {
            self.write_marker()?;
            *marker = Marker::Set;
        }
        Ok(RwLockWriteGuard::downgrade(marker))
    }

    /// Removes an object that does not match its digest.
    ///
    /// `is_intact` checks again while no name can be published: another thread may have found the
    /// same damage and added the object again, and a third may already link to it.
    pub(super) fn remove_damaged(&self, name: &Path, is_intact: impl FnOnce() -> bool) {
        let _exclusive = self.lock_marker();
        if !is_intact() {
            let _ = fs::remove_file(name);
        }
    }

    /// Flushes all pending objects and traces to disk.
    ///
    /// Write references from outside the cache, and remove files that were copied into it, only
    /// after this returns.
    pub(super) fn sync(&self) -> Result<()> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.take_pending();
        let synced = match &taken {
            Pending::Nothing => return Ok(()),
            Pending::Few(names) => names.iter().try_for_each(|name| {
                match File::open(name) {
                    Ok(file) => file.sync_all(),
                    // It was found to be damaged and removed.
                    Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
                    // It existed already, as the private object of another user, who synced it.
                    Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Ok(()),
                    Err(err) => Err(err),
                }
            }),
            Pending::Many => File::open(&self.dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)),
        };
        match synced {
            Ok(()) => self.remove_marker(),
            Err(_) => *self.pending() = Pending::Many,
        }
        synced.map_err(|err| Error::io("sync", &self.dir, &err))
    }

    /// Takes the names to sync now. The marker stays, since other threads continue to publish.
    fn take_pending(&self) -> Pending {
        let _exclusive = self.lock_marker();
        std::mem::take(&mut *self.pending())
    }

    /// Removes the marker after a successful sync, unless more names were published meanwhile.
    fn remove_marker(&self) {
        let mut marker = self.lock_marker();
        if matches!(*self.pending(), Pending::Nothing) {
            // If this fails, a later recovery hashes objects once more than necessary.
            let _ = fs::remove_file(&self.marker_file);
            *marker = Marker::Missing;
        }
    }

    /// Recovers from a process that ended before it synced. Call it only under the run lock.
    ///
    /// `remove_torn` removes objects that a power cut tore.
    pub(super) fn recover(&self, remove_torn: impl FnOnce()) {
        let Ok(marker) = regular_file::read(&self.marker_file) else { return };
        if marker == boot_id().as_bytes() {
            *self.lock_marker() = Marker::Set;
            *self.pending() = Pending::Many;
            return;
        }
        remove_torn();
        let _ = fs::remove_file(&self.marker_file);
    }

    /// Does the same for the other users of the cache. Call it only while none of them is
    /// at work.
    pub(super) fn recover_others(&self, remove_torn: impl FnOnce()) {
        let is_torn = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(MARKER)
                && *path != self.marker_file
                && regular_file::read(path).is_ok_and(|marker| marker != boot_id().as_bytes())
        };
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let torn: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_torn).collect();
        if !torn.is_empty() {
            remove_torn();
            torn.iter().for_each(|marker| drop(fs::remove_file(marker)));
        }
    }

    // Poisoning is ignored here and below: each value is replaced in one step, so a panic elsewhere
    // leaves it consistent.
    fn lock_marker(&self) -> RwLockWriteGuard<'_, Marker> {
        self.marker.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the marker and syncs it and its folder.
    fn write_marker(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut file = regular_file::create(&self.marker_file)?;
        file.write_all(boot_id().as_bytes())?;
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()
    }
}

impl Pending {
    fn add(&mut self, name: &Path) {
        match self {
            Pending::Nothing => *self = Pending::Few(vec![name.to_owned()]),
            Pending::Few(names) if names.len() < MAX_FILE_SYNCS => names.push(name.to_owned()),
            Pending::Few(_) => *self = Pending::Many,
            Pending::Many => {}
        }
    }
}

/// Renames `temporary` to `name`; with [`OnExisting::Keep`] removes it instead if `name` exists.
fn rename(temporary: &Path, name: &Path, on_existing: OnExisting) -> io::Result<()> {
    if on_existing == OnExisting::Replace {
        return fs::rename(temporary, name);
    }
    match renameat_with(CWD, temporary, CWD, name, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) => match name.symlink_metadata() {
            Ok(meta) if meta.is_file() => fs::remove_file(temporary),
            // A link or a FIFO is no object.
            _ => fs::rename(temporary, name),
        },
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_by_link(temporary, name),
        renamed => Ok(renamed?),
    }
}

/// Emulates a rename that does not replace, on file systems without `RENAME_NOREPLACE`.
fn rename_by_link(temporary: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, name) {
        Ok(()) => fs::remove_file(temporary),
        Err(_) if name.is_file() => fs::remove_file(temporary),
        // The file system has no hard links either.
        Err(_) => fs::rename(temporary, name),
    }
}

/// Returns the id of this boot; where the kernel gives none, a value that never repeats.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_else(|_| format!("{:?}", SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::cache::Cache;

    #[test]
    fn torn_objects_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let (intact, torn) =
            (cache.put_bytes(b"intact").unwrap(), cache.put_bytes(b"torn").unwrap());
        let object = |digest: &crate::digest::Digest| {
            let hex = digest.to_string();
            dir.path().join("objects").join(&hex[..2]).join(&hex[2..])
        };
        fs::remove_file(object(&torn)).unwrap();
        fs::write(object(&torn), "").unwrap();
        // The time of the file must not matter.
        File::open(object(&torn)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // A marker of this boot: the kernel has all data, so nothing is removed.
        Cache::open(dir.path()).recover();
        assert!(cache.has(&torn));
        fs::write(dir.path().join(MARKER), "another boot").unwrap();
        Cache::open(dir.path()).recover();
        assert!(cache.has(&intact) && !cache.has(&torn));
        assert!(!dir.path().join(MARKER).exists());
    }

    #[test]
    fn names_during_sync_keep_marker() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        cache.put_bytes(b"first").unwrap();
        let marked = fs::metadata(dir.path().join(MARKER)).unwrap();
        let _first = cache.pending.take_pending();
        cache.put_bytes(b"second").unwrap();
        cache.pending.remove_marker();
        let still = fs::metadata(dir.path().join(MARKER)).unwrap();
        assert_eq!((still.ino(), still.mtime_nsec()), (marked.ino(), marked.mtime_nsec()));
        cache.sync().unwrap();
        assert!(!dir.path().join(MARKER).exists());
    }

    #[test]
    fn existing_object_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let name = dir.path().join("objects/ab/cd");
        let mut inodes = Vec::new();
        for _ in 0..2 {
            cache
                .with_temporary(0o444, |temporary, _| {
                    cache.pending.publish(temporary, &name, OnExisting::Keep).unwrap();
                    Ok(())
                })
                .unwrap();
            assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
            inodes.push(fs::metadata(&name).unwrap().ino());
        }
        assert_eq!(inodes[0], inodes[1]);
    }

    #[test]
    fn rename_by_link_keeps_existing() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, name) = (dir.path().join("temporary"), dir.path().join("shard/name"));
        fs::write(&temporary, "first").unwrap();
        assert_eq!(rename_by_link(&temporary, &name).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(dir.path().join("shard")).unwrap();
        for text in ["first", "second"] {
            fs::write(&temporary, text).unwrap();
            rename_by_link(&temporary, &name).unwrap();
            assert_eq!(fs::read_to_string(&name).unwrap(), "first", "the existing file is kept");
            assert!(!temporary.exists());
        }
        fs::write(&temporary, "third").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(rename_by_link(&temporary, &dir.path().join("folder")).is_err());
    }

    #[test]
    fn concurrent_sync_waits() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let cache = Cache::open(dir.path());
            cache.put_bytes(b"bytes").unwrap();
            // Opening a FIFO waits for a writer, and syncing it fails.
            let slow = dir.path().join("slow");
            rustix::fs::mknodat(CWD, &slow, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
                .unwrap();
            cache.pending.pending().add(&slow);
            let shared = &cache;
            std::thread::scope(|scope| {
                let first = scope.spawn(|| shared.sync());
                while !matches!(*cache.pending.pending(), Pending::Nothing) {
                    std::thread::yield_now();
                }
                let (sender, receiver) = std::sync::mpsc::channel();
                let second = scope.spawn(move || sender.send(shared.sync()));
                let early = receiver.recv_timeout(std::time::Duration::from_millis(50));
                fs::OpenOptions::new().write(true).open(&slow).unwrap();
                assert!(first.join().unwrap().is_err());
                second.join().unwrap().unwrap();
                assert!(early.is_err(), "the second sync returned before the first");
                receiver.recv().unwrap().unwrap();
            });
            assert!(!dir.path().join(MARKER).exists());
        });
    }

    #[test]
    fn removed_folders_are_recreated() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let digest = cache.put_bytes(b"first").unwrap();
        for folder in ["tmp", "objects"] {
            fs::remove_dir_all(dir.path().join(folder)).unwrap();
            cache.put_bytes(b"second").unwrap();
            cache.put_bytes(b"first").unwrap();
            assert!(cache.has(&digest));
        }
    }

    #[test]
    fn directory_in_place_of_object() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        fs::create_dir_all(cache.path_of("objects", &crate::digest::Digest::of(b"bytes"))).unwrap();
        assert!(cache.put_bytes(b"bytes").is_err());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn remove_damaged_checks_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let digest = cache.put_bytes(b"bytes").unwrap();
        let object = cache.path_of("objects", &digest);
        // Two threads find it damaged; one adds it again before the other removes it.
        cache.pending.remove_damaged(&object, || true);
        assert!(object.is_file());
        cache.pending.remove_damaged(&object, || false);
        assert!(!object.exists());
    }

    #[test]
    fn sync_removes_marker() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        for count in [1, MAX_FILE_SYNCS, 3 * MAX_FILE_SYNCS] {
            for number in 0..count {
                cache.put_bytes(format!("{count} {number}").as_bytes()).unwrap();
            }
            assert!(dir.path().join(MARKER).exists());
            cache.sync().unwrap();
            assert!(!dir.path().join(MARKER).exists());
        }
    }
}
