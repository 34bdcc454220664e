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

mod objects;
pub mod sweep;
mod traces;
mod unsynced;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use self::unsynced::Unsynced;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::unique::unique;

#[derive(Debug)]
pub struct Cache {
    dir: PathBuf,
    unsynced: Unsynced,
    /// Set when `tmp` is there.
    with_tmp: OnceLock<()>,
}

impl Cache {
    /// The cache in `dir`, which need not exist yet.
    pub fn open(dir: &Path) -> Cache {
        Cache { dir: dir.to_owned(), unsynced: Unsynced::default(), with_tmp: OnceLock::new() }
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

    /// A file name that nothing uses, in `tmp`, on the same file system as the objects.
    fn temporary(&self) -> Result<PathBuf> {
        let dir = self.dir.join("tmp");
        if self.with_tmp.get().is_none() {
            fs::create_dir_all(&dir).map_err(|err| Error::io("create", &dir, &err))?;
            let _ = self.with_tmp.set(());
        }
        Ok(dir.join(format!("object-{}", unique())))
    }
}

/// Renames a finished file to its name, making the shard folder if need be.
fn name_it(temporary: &Path, name: &Path) -> std::io::Result<()> {
    match fs::rename(temporary, name) {
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            if let Some(shard) = name.parent() {
                fs::create_dir_all(shard)?;
            }
            fs::rename(temporary, name)
        }
        other => other,
    }
}
