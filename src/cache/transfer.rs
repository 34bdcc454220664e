//! Objects that travel to and from other places: whole ones as bytes, large ones in pieces.
//!
//! ```text
//! cache/partial/DIGEST   an object that is being put together, locked by the process that does it
//! ```
//! A partial file stays after an interruption, so that its pieces need not be fetched again.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::copy::{Hashed, copy_and_hash, or_in_new_folder};
use super::objects::{Inserted, OBJECTS};
use super::pending_sync::OnExisting;
use super::{Cache, READABLE};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::unique::unique;

pub(super) const PARTIAL: &str = "partial";

impl Cache {
    /// Returns the length of an object in bytes; `None` if it does not exist.
    pub fn size(&self, digest: &Digest) -> Option<u64> {
        let meta = self.path_of(OBJECTS, digest).symlink_metadata().ok()?;
        meta.is_file().then_some(meta.len())
    }

    /// Adds `bytes` as the object `digest`, and reports whether they match it. Other bytes are not
    /// added.
    pub fn put_verified(&self, digest: &Digest, bytes: &[u8]) -> Result<bool> {
        let fill = |mut target: &File| {
            let hashed = Hashed { digest: Digest::of(bytes), count: bytes.len() as u64 };
            // Wrong bytes are refused, so they need not be written.
            if hashed.digest == *digest {
                io::Write::write_all(&mut target, bytes)?;
            }
            Ok(hashed)
        };
        let failed = |err| Error::io("write", &self.path_of(OBJECTS, digest), &err);
        let inserted = self.insert_object(digest, READABLE, fill, failed)?;
        Ok(matches!(inserted, Inserted::Yes))
    }

    /// Opens an object to read it in pieces, from several threads.
    ///
    /// # Errors
    /// The object is missing or cannot be read.
    pub fn open_object(&self, digest: &Digest) -> Result<ObjectFile<'_>> {
        let path = self.path_of(OBJECTS, digest);
        let file = regular_file::open(&path).map_err(|err| Error::io("read", &path, &err))?;
        Ok(ObjectFile { cache: self, digest: *digest, file, path })
    }

    /// Opens an object that is put together from pieces. Pieces of an earlier process are kept.
    pub fn partial_object(&self, digest: &Digest, bytes: u64) -> Result<PartialObject<'_>> {
        let folder = self.dir.join(PARTIAL);
        let open = |path: PathBuf| {
            let failed = |err| Error::io("write", &path, &err);
            let opened = or_in_new_folder(&folder, || regular_file::open_or_create(&path));
            let file = opened.map_err(failed)?;
            let is_ours = file.try_lock().is_ok();
            Ok::<_, Error>((file, path, is_ours))
        };
        let mut opened = open(folder.join(digest.to_string()))?;
        if !opened.2 {
            // Another project that shares the cache fetches the same object.
            opened = open(folder.join(format!("{digest}-{}", unique())))?;
        }
        let (file, path, _) = opened;
        let length = file.metadata().map_err(|err| Error::io("read", &path, &err))?.len();
        file.set_len(bytes).map_err(|err| Error::io("write", &path, &err))?;
        Ok(PartialObject { cache: self, digest: *digest, file, path, found: length.min(bytes) })
    }
}

/// An object that is open for reading.
#[derive(Debug)]
pub struct ObjectFile<'c> {
    cache: &'c Cache,
    digest: Digest,
    file: File,
    path: PathBuf,
}

impl ObjectFile<'_> {
    /// Returns the bytes from `offset` on. They are not verified: see [`ObjectFile::verify`].
    ///
    /// # Errors
    /// The object ends before, or cannot be read.
    pub fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, offset);
        read.map(|()| bytes).map_err(|err| Error::io("read", &self.path, &err))
    }

    /// Reads the whole object and compares its digest; returns false if it was stopped before the
    /// end.
    ///
    /// # Errors
    /// The object is damaged; it is then removed. It cannot be read.
    pub fn verify(&self, is_stopped: &dyn Fn() -> bool) -> Result<bool> {
        match hash(&self.path, &self.digest, is_stopped) {
            Ok(None) => Ok(false),
            Ok(Some(found)) if found == self.digest => Ok(true),
            Ok(Some(_)) => Err(self.cache.remove_damaged_object(&self.digest)),
            Err(err) => Err(Error::io("read", &self.path, &err)),
        }
    }
}

/// An object that is being put together.
#[derive(Debug)]
pub struct PartialObject<'c> {
    cache: &'c Cache,
    digest: Digest,
    file: File,
    path: PathBuf,
    /// Length of the file when it was opened.
    found: u64,
}

impl PartialObject<'_> {
    /// Returns the bytes that an earlier process left in a range; `None` if it did not get there.
    pub fn found(&self, offset: u64, length: usize) -> Option<Vec<u8>> {
        if offset.checked_add(length as u64)? > self.found {
            return None;
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    /// Writes a piece.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|err| Error::io("write", &self.path, &err))
    }

    /// Adds the object if its bytes match the digest, and reports whether they do. If they do not,
    /// the pieces are removed. Returns `None`, with the pieces in place, if it was stopped.
    pub fn finish(&self, is_stopped: &dyn Fn() -> bool) -> Result<Option<bool>> {
        let failed = |err: io::Error| Error::io("write", &self.path, &err);
        match hash(&self.path, &self.digest, is_stopped).map_err(failed)? {
            None => return Ok(None),
            Some(found) if found == self.digest => {}
            Some(_) => {
                let _ = fs::remove_file(&self.path);
                return Ok(Some(false));
            }
        }
        let publish = || {
            let mode = self.file.metadata()?.mode() & READABLE;
            self.file.set_permissions(Permissions::from_mode(mode))?;
            self.file.sync_all()?;
            let name = self.cache.path_of(OBJECTS, &self.digest);
            self.cache.pending.publish(&self.path, &name, OnExisting::Keep)
        };
        publish().map(|()| Some(true)).map_err(failed)
    }
}

/// Returns the digest of a file that probably has this one; `None` if it was stopped.
fn hash(path: &Path, digest: &Digest, is_stopped: &dyn Fn() -> bool) -> io::Result<Option<Digest>> {
    match copy_and_hash(&regular_file::open(path)?, digest, Until(is_stopped)) {
        Err(_) if is_stopped() => Ok(None),
        hashed => hashed.map(|hashed| Some(hashed.digest)),
    }
}

/// Takes bytes until it is stopped.
struct Until<'s>(&'s dyn Fn() -> bool);

impl io::Write for Until<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.0)() { Err(io::Error::other("stopped")) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_bytes_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let digest = Digest::of(b"right");
        assert!(!cache.put_verified(&digest, b"wrong").unwrap());
        assert!(!cache.has(&digest) && !cache.has(&Digest::of(b"wrong")));
        assert!(cache.put_verified(&digest, b"right").unwrap());
        assert!(cache.put_verified(&digest, b"right").unwrap(), "it exists already");
        assert_eq!(cache.bytes(&digest).unwrap(), b"right");
        assert_eq!(cache.size(&digest), Some(5));
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn partial_object_continues() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let digest = Digest::of(b"one two three");
        let partial = cache.partial_object(&digest, 13).unwrap();
        assert_eq!(partial.found(0, 4), None);
        partial.write(4, b"two ").unwrap();
        let other = cache.partial_object(&digest, 13).unwrap();
        assert_ne!(other.path, partial.path, "the file is locked");
        drop((partial, other));
        let partial = cache.partial_object(&digest, 13).unwrap();
        assert_eq!(partial.found(4, 4).as_deref(), Some(&b"two "[..]));
        assert_eq!(partial.found(10, 4), None);
        partial.write(0, b"one ").unwrap();
        partial.write(8, b"three").unwrap();
        assert_eq!(partial.finish(&|| true).unwrap(), None, "stopped");
        assert_eq!(partial.finish(&|| false).unwrap(), Some(true));
        assert_eq!(cache.bytes(&digest).unwrap(), b"one two three");
        let mode = cache.object_path(&digest).metadata().unwrap().mode();
        assert_eq!(mode & 0o222, 0, "objects are read-only");
        let wrong = cache.partial_object(&Digest::of(b"other"), 5).unwrap();
        wrong.write(0, b"wrong").unwrap();
        assert_eq!(wrong.finish(&|| false).unwrap(), Some(false));
        assert!(!cache.has(&Digest::of(b"other")) && !wrong.path.exists());
    }
}
