//! Names in the cache that the disk may not have yet. Syncing each costs more than computing what small stages compute, so many
//! are synced together, before anything outside of the cache refers to them:
//!
//! ```text
//! cache/unsynced written and synced → objects and traces named → all of them synced → the lock written → cache/unsynced removed
//! ```
//! The kernel has all of it even if this process dies. After a power cut the file is still there, and of another boot: then
//! all objects but the large ones are digested, since no clock is to be trusted with what is older than the file, and those that did not
//! arrive whole are removed. Traces that did not are none anyway.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Cache, or_in_new_folder};
use crate::error::{Error, Result};

const MARKER: &str = "unsynced";
/// So many files are synced one by one. To sync more, the whole file system is: that costs less, unless others write a lot to it.
const MAX_FILE_SYNCS: usize = 64;
/// A file at least this large is synced before it is named.
pub(super) const LARGE: u64 = 1 << 20;

/// What was named and is not known to be on the disk.
#[derive(Debug, Default)]
pub(super) struct PendingSync {
    /// Held together by all who give names, alone by who takes account of them.
    marker: RwLock<Marker>,
    names: Mutex<Pending>,
    /// Held while all of it is brought to the disk: who comes meanwhile may rely on it only afterwards.
    syncing: Mutex<()>,
}

/// Whether the file that says so is on the disk.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Marker {
    #[default]
    Missing,
    Set,
}

/// What becomes of a file that has the name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnExisting {
    /// It has the same content, and others may be about to link it: a file that is replaced between the look and the link is gone.
    Keep,
    Replace,
}

#[derive(Debug, Default)]
enum Pending {
    #[default]
    Nothing,
    Few(Vec<PathBuf>),
    Many,
}

impl Cache {
    /// Gives a finished file, whose content is not synced, its name.
    pub(super) fn publish(
        &self,
        temporary: &Path,
        name: &Path,
        on_existing: OnExisting,
    ) -> io::Result<()> {
        let _marker = self.with_marker()?;
        // Also one that another thread has just given: who comes first to sync has noted it.
        self.pending().add(name);
        let shard = name.parent().unwrap_or(name);
        or_in_new_folder(shard, || rename(temporary, name, on_existing))
    }

    /// While this is held, the marker stays.
    fn with_marker(&self) -> io::Result<RwLockReadGuard<'_, Marker>> {
        let marker = self.pending.marker.read().unwrap_or_else(PoisonError::into_inner);
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

    /// Takes the name from what is not what it says. `is_intact` looks once more, while nothing is named: another thread may have
    /// found the same, and have put it anew, and a third may link to that already.
    pub(super) fn remove_damaged(&self, name: &Path, is_intact: impl FnOnce() -> bool) {
        let _exclusive = self.lock_marker();
        if !is_intact() {
            let _ = fs::remove_file(name);
        }
    }

    /// Brings everything that has a name to the disk. What refers to it from outside is to be written afterwards, and what it was copied
    /// from to be removed.
    pub fn sync(&self) -> Result<()> {
        let _syncing = self.pending.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = self.take_pending();
        let synced = match &taken {
            Pending::Nothing => return Ok(()),
            Pending::Few(names) => names.iter().try_for_each(|name| match File::open(name) {
                Ok(file) => file.sync_all(),
                // Found to be damaged, and removed.
                Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(err) => Err(err),
            }),
            Pending::Many => File::open(&self.dir).and_then(|dir| Ok(rustix::fs::syncfs(dir)?)),
        };
        match synced {
            Ok(()) => self.remove_marker(),
            Err(_) => *self.pending() = Pending::Many,
        }
        synced.map_err(|err| Error::io("sync", &self.dir, &err))
    }

    /// What is to be synced now. The marker stays: others go on naming.
    fn take_pending(&self) -> Pending {
        let _exclusive = self.lock_marker();
        std::mem::take(&mut *self.pending())
    }

    /// What was taken is on the disk. The marker goes, unless more was named meanwhile.
    fn remove_marker(&self) {
        let mut marker = self.lock_marker();
        if matches!(*self.pending(), Pending::Nothing) {
            // If it stays, objects are digested once more than need be.
            let _ = fs::remove_file(self.dir.join(MARKER));
            *marker = Marker::Missing;
        }
    }

    /// Makes up for the end of a run that did not come to syncing. Only safe under the run lock.
    pub(super) fn recover(&self) {
        let Ok(marker) = fs::read_to_string(self.dir.join(MARKER)) else { return };
        if marker == boot_id() {
            *self.lock_marker() = Marker::Set;
            *self.pending() = Pending::Many;
            return;
        }
        self.remove_torn_objects();
        let _ = fs::remove_file(self.dir.join(MARKER));
    }

    // A panic elsewhere leaves both as they are: each is put there whole.
    fn lock_marker(&self) -> RwLockWriteGuard<'_, Marker> {
        self.pending.marker.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_marker(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut file = File::create(self.dir.join(MARKER))?;
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

fn rename(temporary: &Path, name: &Path, on_existing: OnExisting) -> io::Result<()> {
    if on_existing == OnExisting::Replace {
        return fs::rename(temporary, name);
    }
    match renameat_with(CWD, temporary, CWD, name, RenameFlags::NOREPLACE) {
        Err(Errno::EXIST) if name.is_file() => fs::remove_file(temporary),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_by_link(temporary, name),
        renamed => Ok(renamed?),
    }
}

/// Where the file system cannot look and rename in one.
fn rename_by_link(temporary: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(temporary, name) {
        Ok(()) => fs::remove_file(temporary),
        Err(_) if name.is_file() => fs::remove_file(temporary),
        // It has no links either.
        Err(_) => fs::rename(temporary, name),
    }
}

/// This start of the machine. Without a name for it, none is like another.
fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .unwrap_or_else(|_| format!("{:?}", SystemTime::now()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn after_a_power_cut_only_whole_objects_keep_their_names() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let (whole, torn) = (cache.put_bytes(b"whole").unwrap(), cache.put_bytes(b"torn").unwrap());
        let object = |digest: &crate::digest::Digest| {
            let hex = digest.to_string();
            dir.path().join("objects").join(&hex[..2]).join(&hex[2..])
        };
        fs::remove_file(object(&torn)).unwrap();
        fs::write(object(&torn), "").unwrap();
        // Whatever the clock said.
        File::open(object(&torn)).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        // Of this boot: the kernel has it all.
        Cache::open(dir.path()).recover();
        assert!(cache.has(&torn));
        fs::write(dir.path().join(MARKER), "another boot").unwrap();
        Cache::open(dir.path()).recover();
        assert!(cache.has(&whole) && !cache.has(&torn));
        assert!(!dir.path().join(MARKER).exists());
    }

    #[test]
    fn what_is_named_while_others_are_synced_stays_marked() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        cache.put_bytes(b"first").unwrap();
        let marked = fs::metadata(dir.path().join(MARKER)).unwrap();
        let _first = cache.take_pending();
        cache.put_bytes(b"second").unwrap();
        cache.remove_marker();
        let still = fs::metadata(dir.path().join(MARKER)).unwrap();
        assert_eq!((still.ino(), still.mtime_nsec()), (marked.ino(), marked.mtime_nsec()));
        cache.sync().unwrap();
        assert!(!dir.path().join(MARKER).exists());
    }

    #[test]
    fn an_object_that_two_put_at_once_is_named_once() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let name = dir.path().join("objects/ab/cd");
        let mut inodes = Vec::new();
        for _ in 0..2 {
            cache.write_small(b"same", &name, OnExisting::Keep).unwrap();
            assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
            inodes.push(fs::metadata(&name).unwrap().ino());
        }
        assert_eq!(inodes[0], inodes[1]);
    }

    #[test]
    fn what_cannot_be_renamed_at_once_is_linked() {
        let dir = tempfile::tempdir().unwrap();
        let (temporary, name) = (dir.path().join("temporary"), dir.path().join("shard/name"));
        fs::write(&temporary, "first").unwrap();
        assert_eq!(rename_by_link(&temporary, &name).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(dir.path().join("shard")).unwrap();
        for text in ["first", "second"] {
            fs::write(&temporary, text).unwrap();
            rename_by_link(&temporary, &name).unwrap();
            assert_eq!(fs::read_to_string(&name).unwrap(), "first", "the on_existing stays");
            assert!(!temporary.exists());
        }
        fs::write(&temporary, "third").unwrap();
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(rename_by_link(&temporary, &dir.path().join("folder")).is_err());
    }

    #[test]
    fn who_syncs_while_another_does_waits_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        cache.put_bytes(b"bytes").unwrap();
        // To open this waits for a writer, and to sync it fails.
        let slow = dir.path().join("slow");
        rustix::fs::mknodat(CWD, &slow, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        cache.pending().add(&slow);
        let shared = &cache;
        std::thread::scope(|scope| {
            let first = scope.spawn(|| shared.sync());
            while !matches!(*cache.pending(), Pending::Nothing) {
                std::thread::yield_now();
            }
            let (said, heard) = std::sync::mpsc::channel();
            let second = scope.spawn(move || said.send(shared.sync()));
            let early = heard.recv_timeout(std::time::Duration::from_millis(50));
            fs::OpenOptions::new().write(true).open(&slow).unwrap();
            assert!(first.join().unwrap().is_err());
            second.join().unwrap().unwrap();
            assert!(early.is_err(), "nothing was on the disk yet");
            heard.recv().unwrap().unwrap();
        });
        assert!(!dir.path().join(MARKER).exists());
    }

    #[test]
    fn folders_that_go_while_the_cache_is_in_use_are_made_again() {
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
    fn what_is_no_file_takes_no_name_from_an_object() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        fs::create_dir_all(cache.path_of("objects", &crate::digest::Digest::of(b"bytes"))).unwrap();
        assert!(cache.put_bytes(b"bytes").is_err());
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn what_was_put_anew_meanwhile_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let digest = cache.put_bytes(b"bytes").unwrap();
        let object = cache.path_of("objects", &digest);
        // Two find it damaged; one has it put anew before the other takes the name away.
        cache.remove_damaged(&object, || true);
        assert!(object.is_file());
        cache.remove_damaged(&object, || false);
        assert!(!object.exists());
    }

    #[test]
    fn many_are_synced_together_and_then_nothing_is_left() {
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
