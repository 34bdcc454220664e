//! Several users of one cache at the same time: projects, and the worktrees of a project.
//!
//! # Mechanism
//!
//! ```text
//! cache/lock                    kernel lock: shared by commands at work, exclusive for `gc`
//! cache/projects/DIGEST-OF-ROOT the root of each project that uses the cache of no project
//! cache/unsynced-DIGEST-OF-ROOT as `unsynced`, one for each user but the owner
//! ```
//! A command that holds its project's run lock [joins](Sharing::join): it takes the lock shared and
//! registers its project, before it puts or reads objects. `repro gc` takes the lock
//! [alone](Sharing::hold_alone), and counts what every registered project refers to. The owner of
//! a cache and worktrees are not registered: the owner's `gc` knows its own references, and a
//! worktree holds the lock for as long as it exists.
//!
//! # Invariants
//!
//! - While a command of any user is at work, nothing is removed from the cache but objects that
//!   do not match their digest. So objects of an unfinished run stay.
//! - Temporary files and the unsynced markers of other users are removed only by a command that
//!   had the lock alone: then nobody writes.
//! - A project is registered before it puts its first object, and stays so until it is forgotten.
//!
//! # Known limits
//!
//! - Commands that only read, such as `repro status`, do not join: they may find that an object has
//!   just been removed.
//! - An object that is found to be damaged is removed without a lock between processes. Another
//!   process may take it as stored at this moment; it will be missed when it is next needed.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::state_folder;
use crate::unique::unique;

const LOCK: &str = "lock";
const PROJECTS: &str = "projects";
/// Time that a command waits for others: enough for all but `gc` and runs.
const PATIENCE: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A user of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// The project in whose state the cache is.
    Owner,
    /// The project at this root, beside others.
    Project(PathBuf),
    /// The worktree at this root, of the owner.
    Worktree(PathBuf),
    /// The worktree at this root, of one of several projects.
    WorktreeOfProject(PathBuf),
}

/// The part of one member in the use of a cache.
#[derive(Debug)]
pub(super) struct Sharing {
    /// The cache directory.
    dir: PathBuf,
    member: Member,
    /// The lock, from [`Sharing::join`] on until this is dropped.
    lock: Mutex<Option<File>>,
}

impl Sharing {
    pub(super) fn new(dir: &Path, member: Member) -> Sharing {
        Sharing { dir: dir.to_owned(), member, lock: Mutex::default() }
    }

    /// Returns the root that distinguishes the member; `None` for the owner.
    fn root(&self) -> Option<&Path> {
        match &self.member {
            Member::Owner => None,
            Member::Project(root) | Member::Worktree(root) | Member::WorktreeOfProject(root) => {
                Some(root)
            }
        }
    }

    /// Returns the name of this member in the cache; `None` for the owner.
    pub(super) fn id(&self) -> Option<Digest> {
        self.root().map(id)
    }

    /// Reports whether the cache may hold what other projects refer to.
    pub(super) fn has_other_projects(&self) -> bool {
        matches!(self.member, Member::Project(_) | Member::WorktreeOfProject(_))
    }

    /// Takes the lock shared, and registers the project. Calls `alone` if no other command uses the
    /// cache at this moment.
    pub(super) fn join(&self, alone: impl FnOnce()) -> Result<()> {
        let lock = self.lock_file()?;
        if lock.try_lock().is_ok() {
            alone();
        }
        self.wait(|| lock.try_lock_shared())?;
        *self.held() = Some(lock);
        match &self.member {
            Member::Project(root) => self.register(root),
            _ => Ok(()),
        }
    }

    /// Waits until no other command uses the cache, and takes the lock exclusively.
    pub(super) fn hold_alone(&self) -> Result<()> {
        // Two commands that waited with a shared lock would wait for each other.
        drop(self.held().take());
        let lock = self.lock_file()?;
        self.wait(|| lock.try_lock())?;
        *self.held() = Some(lock);
        Ok(())
    }

    /// Returns the roots of all registered projects but this one, sorted.
    pub(super) fn other_projects(&self) -> Result<Vec<PathBuf>> {
        let mut roots = self.registered()?;
        roots.retain(|(_, root)| Some(&**root) != self.root());
        roots.sort();
        Ok(roots.into_iter().map(|(_, root)| root).collect())
    }

    /// Removes the registration of the project at `root`, and reports whether there was one.
    pub(super) fn forget(&self, root: &Path) -> Result<bool> {
        let found = self.registered()?.into_iter().find(|(_, known)| known == root);
        let Some((file, _)) = found else { return Ok(false) };
        fs::remove_file(&file).map_err(|err| Error::io("remove", &file, &err))?;
        Ok(true)
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_file(&self) -> Result<File> {
        let path = self.dir.join(LOCK);
        state_folder::create(&self.dir).map_err(|err| Error::io("create", &self.dir, &err))?;
        let opened = regular_file::open_or_create(&path).or_else(|err| match err.kind() {
            // Another user's file: for a lock, reading suffices.
            ErrorKind::PermissionDenied => regular_file::open(&path),
            _ => Err(err),
        });
        opened.map_err(|err| Error::io("open", &path, &err))
    }

    /// Calls `lock` until it succeeds, but not for long.
    fn wait(&self, lock: impl Fn() -> Result<(), TryLockError>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::sleep(POLL_INTERVAL);
                }
                Err(TryLockError::WouldBlock) => return Err(self.in_use()),
                Err(TryLockError::Error(err)) => {
                    return Err(Error::io("lock", &self.dir.join(LOCK), &err));
                }
            }
        }
    }

    fn in_use(&self) -> Error {
        let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
        let file = self.dir.join(LOCK).metadata();
        let holders = file.map(|file| holders(&locks, &file)).unwrap_or_default();
        let who = match self.has_other_projects() {
            true => "another project",
            false => "another command",
        };
        let by = match &holders[..] {
            [] => who.to_owned(),
            pids => {
                let described: Vec<String> = pids.iter().copied().map(described).collect();
                format!("{who}: {}", described.join(", "))
            }
        };
        Error::environment(format!("the cache `{}` is in use by {by}", self.dir.display()))
            .hint("wait until that command ends: `repro gc` and the others take turns")
    }

    fn register(&self, root: &Path) -> Result<()> {
        let folder = self.dir.join(PROJECTS);
        let file = folder.join(id(root).to_string());
        if file.is_file() {
            return Ok(());
        }
        let temporary = folder.join(format!(".{}", unique()));
        let write = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            let mut new = File::create_new(&temporary)?;
            new.write_all(root.as_os_str().as_bytes())?;
            new.write_all(b"\n")?;
            new.sync_all()?;
            fs::rename(&temporary, &file)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|err| Error::io("write", &file, &err))
    }

    /// Returns each registration with the root that it names.
    fn registered(&self) -> Result<Vec<(PathBuf, PathBuf)>> {
        let folder = self.dir.join(PROJECTS);
        let listed = match fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Err(err) if err.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|err| Error::io("read", &folder, &err))?,
        };
        // Hidden files are registrations that were never finished.
        let names =
            listed.into_iter().filter(|file| !file.file_name().as_bytes().starts_with(b"."));
        let read = |file: fs::DirEntry| {
            let path = file.path();
            let mut root =
                regular_file::read(&path).map_err(|err| Error::io("read", &path, &err))?;
            root.pop_if(|last| *last == b'\n');
            Ok((path, PathBuf::from(OsString::from_vec(root))))
        };
        names.map(read).collect()
    }
}

/// Returns the name in the cache of the member at `root`.
fn id(root: &Path) -> Digest {
    Digest::of(root.as_os_str().as_bytes())
}

fn described(pid: u32) -> String {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).ok();
    match link("cwd") {
        Some(dir) => format!("process {pid} in `{}`", dir.display()),
        None => format!("process {pid}"),
    }
}

/// Returns the processes that hold a lock on a file, from the lines of `/proc/locks`.
fn holders(locks: &str, file: &fs::Metadata) -> Vec<u32> {
    let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let holder = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The line of a waiting process has an arrow as its second word, so it does not match.
        let [_, "FLOCK", _, _, pid, locked, ..] = words[..] else { return None };
        pid.parse().ok().filter(|&pid| pid != 0 && locked == file)
    };
    locks.lines().filter_map(holder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;

    fn shared(dir: &Path, root: &str) -> Cache {
        Cache::open_as(dir, Member::Project(root.into()))
    }

    #[test]
    fn gc_waits_for_work() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (shared(dir.path(), "/a"), shared(dir.path(), "/b"));
        a.join().unwrap();
        b.join().unwrap();
        assert_eq!(a.other_projects().unwrap(), [Path::new("/b")]);
        let refused = a.hold_alone().unwrap_err();
        let pid = std::process::id();
        assert!(refused.what.contains(&format!("another project: process {pid} in")), "{refused}");
        drop(b);
        a.hold_alone().unwrap();
        let b = shared(dir.path(), "/b");
        assert!(b.join().is_err());
        drop(a);
        b.join().unwrap();
        assert!(!b.forget(Path::new("/c")).unwrap());
        assert!(b.forget(Path::new("/a")).unwrap());
        assert_eq!(b.other_projects().unwrap(), [] as [&Path; 0]);
    }

    #[test]
    fn temporaries_in_use_stay() {
        let dir = tempfile::tempdir().unwrap();
        let tmp = dir.path().join("tmp/object-1-0");
        let (a, b) = (shared(dir.path(), "/a"), shared(dir.path(), "/b"));
        a.join().unwrap();
        fs::create_dir_all(tmp.parent().unwrap()).unwrap();
        fs::write(&tmp, "").unwrap();
        b.join().unwrap();
        b.sweep_temporaries();
        assert!(tmp.exists());
        drop((a, b));
        shared(dir.path(), "/a").join().unwrap();
        assert!(!tmp.exists());
    }

    #[test]
    fn worktree_keeps_gc_away() {
        let dir = tempfile::tempdir().unwrap();
        let owner = Cache::open(dir.path());
        let worktree = Cache::open_as(dir.path(), Member::Worktree("/w".into()));
        owner.join().unwrap();
        worktree.join().unwrap();
        assert_eq!(owner.other_projects().unwrap(), [] as [&Path; 0]);
        let refused = owner.hold_alone().unwrap_err();
        assert!(refused.what.contains("in use by another command: process"), "{refused}");
        drop(worktree);
        owner.hold_alone().unwrap();
    }

    #[test]
    fn markers_of_other_projects() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (shared(dir.path(), "/a"), shared(dir.path(), "/b"));
        a.put_bytes(b"a").unwrap();
        let torn = b.put_bytes(b"b").unwrap();
        a.sync().unwrap();
        let marker = dir.path().join(format!("unsynced-{}", Digest::of(b"/b")));
        assert!(marker.exists(), "it belongs to the other project");
        fs::remove_file(b.object_path(&torn)).unwrap();
        fs::write(b.object_path(&torn), "").unwrap();
        a.join().unwrap();
        assert!(a.has(&torn) && marker.exists());
        fs::write(&marker, "another boot").unwrap();
        drop((a, b));
        let a = shared(dir.path(), "/a");
        a.join().unwrap();
        assert!(!a.has(&torn) && !marker.exists());
    }
}
