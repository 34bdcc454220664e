//! Everything ever computed: immutable objects named by their digest, and traces named by the key of
//! their fingerprint. Knows nothing of stages or of what is in the workspace.
//!
//! ```text
//! cache/objects/ab/cdef…   content; read-only
//! cache/traces/ab/cdef…    what a fingerprint produced
//! cache/tmp/               files on their way
//! cache/damaged/           what `repro fsck --repair` has taken out
//! cache/unsynced           there may be names whose content the disk does not have yet
//! ```
//! A file gets its name in one rename after it was written whole, so whatever has a name is whole, whenever the process stops.
//! Many are [synced together](unsynced); what a power cut leaves torn is found by that and removed.

mod copy;
pub mod inventory;
mod objects;
mod pending_sync;
mod traces;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use self::copy::{ReflinkSupport, create};
use self::pending_sync::PendingSync;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::unique::unique;

#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    pending: PendingSync,
    reflinks: ReflinkSupport,
}

impl Cache {
    /// The cache in `dir`, which need not exist yet.
    pub fn open(dir: &Path) -> Cache {
        Cache { dir: dir.to_owned(), pending: PendingSync::default(), reflinks: ReflinkSupport::default() }
    }

    /// Removes what processes that were killed, or a power cut, left behind. Only safe under the run lock.
    pub fn sweep_temporaries(&self) {
        self.recover();
        let Ok(entries) = fs::read_dir(self.dir.join("tmp")) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().as_encoded_bytes().starts_with(b"object-") {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path_of(&self, kind: &str, digest: &Digest) -> PathBuf {
        let hex = digest.to_string();
        let (shard, rest) = hex.split_at(2);
        self.dir.join(kind).join(shard).join(rest)
    }

    /// Fills a new file in `tmp`, on the same file system as the objects, and gives it a name; if that fails, it is removed.
    fn with_temporary<T>(&self, fill: impl FnOnce(&Path, &File) -> Result<T>) -> Result<T> {
        let tmp = self.dir.join("tmp");
        let temporary = tmp.join(format!("object-{}", unique()));
        // The folder may go at any time, as with all of the cache.
        let file = or_in_new_folder(&tmp, || create(&temporary, 0o444));
        let file = file.map_err(|err| Error::io("write to", &tmp, &err))?;
        fill(&temporary, &file).inspect_err(|_| drop(fs::remove_file(&temporary)))
    }
}

/// Makes the folder, if it turns out to be missing, and tries again.
fn or_in_new_folder<T>(folder: &Path, put: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match put() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            put()
        }
        other => other,
    }
}
