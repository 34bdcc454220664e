//! The cache: immutable objects named by their digest, and traces named by the key of their
//! fingerprint. Does not know about stages or the workspace.
//!
//! ```text
//! cache/objects/ab/cdef…   contents; read-only files
//! cache/traces/ab/cdef…    outs of an execution, by fingerprint
//! cache/tmp/               files being written, and locks of what is being computed
//! cache/partial/           objects that are being fetched in pieces
//! cache/damaged/           files that `repro fsck --repair` has moved out of the folders above
//! cache/unsynced           marker: some named files may not be on the disk yet
//! cache/lock, projects/    for several users of one cache (`sharing.rs`)
//! ```
//! A file is written completely before one rename gives it its name, so a named file is complete
//! even if the process is killed. Files are synced in groups (`pending_sync.rs`); after a power
//! cut, torn objects are found and removed.
//!
//! # Entering and leaving the cache
//!
//! Objects and traces enter and leave the cache in one place each. Code that fetches them from
//! elsewhere or sends them there must use these functions, which keep the following contract:
//!
//! - [`Cache::put_file`], [`Cache::put_bytes`] and [`Cache::put_verified`] add an object. They go
//!   through `Cache::insert_object`, which compares the digest of the stored bytes with the
//!   expected one before the object gets its name. [`PartialObject::finish`] does the same for an
//!   object that arrived in pieces. Wrong bytes never get a name.
//! - [`Cache::put_trace`] adds a trace under the key that it computes from the trace's fingerprint.
//!   Objects come before traces: add every object a trace refers to before the trace.
//! - [`Cache::restore_file`] and [`Cache::bytes`] (and [`Cache::tree`], which uses it) return an
//!   object. Both verify the digest of the bytes they return, and remove a damaged object.
//!   [`Cache::open_object`] reads an object in pieces; [`ObjectFile::verify`] verifies it.
//! - [`Cache::trace`] returns a trace after it has verified its key; a damaged trace is treated as
//!   missing.
//! - [`Cache::has`], [`Cache::missing`] and [`Cache::first_missing`] query for objects by name
//!   only, without reading them. [`Cache::list`] lists and [`Cache::remove`] deletes; both need a
//!   complete view of what refers to what, which the cache does not have.
//! - Nothing outside the cache may refer to a new object or trace before [`Cache::sync`] has
//!   returned.

mod computing;
mod copy;
pub mod inventory;
mod objects;
mod pending_sync;
mod real_path;
mod sharing;
pub mod traces;
mod transfer;
pub mod walk;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

pub use self::computing::{Computing, Elsewhere};
use self::copy::{ReflinkSupport, create, or_in_new_folder};
use self::pending_sync::PendingSync;
pub use self::real_path::real_path;
pub use self::sharing::Member;
use self::sharing::Sharing;
pub use self::transfer::{ObjectFile, PartialObject};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::unique::{is_left_over, unique};

/// Mode of files in the cache that anyone may read, before the umask applies.
const READABLE: u32 = 0o444;

/// The cache in one directory.
#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    pending: PendingSync,
    reflinks: ReflinkSupport,
    sharing: Sharing,
}

impl Cache {
    /// Opens a project's own cache in `dir`, which need not exist.
    pub fn open(dir: &Path) -> Cache {
        Cache::open_as(dir, Member::Owner)
    }

    /// Opens a cache that others may use at the same time.
    pub fn open_as(dir: &Path, member: Member) -> Cache {
        let sharing = Sharing::new(dir, member);
        Cache {
            dir: dir.to_owned(),
            pending: PendingSync::new(dir, sharing.id()),
            reflinks: ReflinkSupport::default(),
            sharing,
        }
    }

    /// Returns the folder of the cache.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Removes temporary files and locks of killed processes, and objects torn by a power cut.
    ///
    /// Call it only while holding the run lock. In a cache of several projects, whose processes may
    /// run on other machines, [`Cache::join`] removes the temporary files.
    pub fn sweep_temporaries(&self) {
        self.recover();
        self.remove_dead_claims();
        if !self.is_shared() {
            self.remove_temporaries(is_left_over);
        }
    }

    fn recover(&self) {
        self.pending.recover(|| self.remove_torn_objects());
    }

    fn remove_temporaries(&self, is_unused: impl Fn(&str) -> bool) {
        for entry in fs::read_dir(self.dir.join("tmp")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let unique = name.to_str().and_then(|name| name.strip_prefix("object-"));
            if unique.is_some_and(&is_unused) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Reports whether other projects may use the cache at the same time.
    pub fn is_shared(&self) -> bool {
        self.sharing.has_other_projects()
    }

    /// Keeps `gc` away until the cache is dropped, and registers the project in a cache that is not
    /// its own.
    ///
    /// # Errors
    /// The folder cannot be written, or `gc` is at work.
    pub fn join(&self) -> Result<()> {
        self.sharing.join(|| {
            if self.is_shared() {
                self.remove_temporaries(|_| true);
            }
            self.pending.recover_others(|| self.remove_torn_objects());
        })
    }

    /// Waits until no other command uses the cache, and keeps all others away until the cache is
    /// dropped.
    ///
    /// # Errors
    /// Another command is at work for longer than a moment.
    pub fn hold_alone(&self) -> Result<()> {
        self.sharing.hold_alone()
    }

    /// Returns the roots of all registered projects but this one, sorted.
    pub fn other_projects(&self) -> Result<Vec<PathBuf>> {
        self.sharing.other_projects()
    }

    /// Removes the registration of the project at `root`, and reports whether there was one.
    pub fn forget(&self, root: &Path) -> Result<bool> {
        self.sharing.forget(root)
    }

    /// Flushes all new objects and traces to disk.
    ///
    /// Write references from outside the cache, and remove files that were copied into it, only
    /// after this returns.
    pub fn sync(&self) -> Result<()> {
        self.pending.sync()
    }

    /// Returns the path of the entry of a kind, `objects` or `traces`.
    fn path_of(&self, kind: &str, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        let (shard, rest) = hex.split_at(2);
        self.dir.join(kind).join(shard).join(rest)
    }

    /// Creates a temporary file in `tmp/`, on the file system of the objects, and calls `fill` with
    /// it, which renames it to its final name. If `fill` fails, the file is removed.
    ///
    /// `mode` is that of the file, less what the umask removes.
    fn with_temporary<T>(
        &self,
        mode: u32,
        fill: impl FnOnce(&Path, &File) -> Result<T>,
    ) -> Result<T> {
        let tmp = self.dir.join("tmp");
        let temporary = tmp.join(format!("object-{}", unique()));
        // The user may delete the cache or parts of it at any time.
        let file = or_in_new_folder(&tmp, || create(&temporary, mode));
        let file = file.map_err(|err| Error::io("write to", &tmp, &err))?;
        fill(&temporary, &file).inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}
