//! Stores and restores objects.
//!
//! # Mechanism
//!
//! An object enters by reflink or copy and leaves by reflink, copy, hard link or symlink. Its
//! digest is verified in both directions, on the bytes that were copied or are about to be linked.
//!
//! # Invariants
//!
//! - An object gets its name only after its bytes were verified ([`Cache::insert_object`]).
//! - An object with this digest that exists already is kept, not replaced: another thread may be
//!   about to link to it.
//! - An object found to be damaged is removed, so that it is not used again.
//! - Object files are read-only. They can be read by those who could read the file when it was
//!   stored (0444, less what its mode and the umask exclude). A restored file is closed to those
//!   whom its object excludes, so a private file stays private. A mode that was changed through a
//!   hard link is reset before the object is linked again.
//!
//! # Known limits
//!
//! - A program that writes through a hard link or symlink damages the object. This is noticed when
//!   the object is next restored or checked, and the content is then lost.
//! - [`Cache::has`] and [`Cache::missing`] check names only; damage is found on reading.
//! - The first file with some bytes decides who can read their object.

use std::collections::HashSet;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::io::Errno;

use super::copy::{Hashed, copy_and_hash, copy_keeping_holes, create, hash_single_threaded};
use super::pending_sync::{LARGE, OnExisting};
use super::{Cache, READABLE, real_path};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::parallel;
use crate::pipeline::Link;
use crate::plan::Tree;
use crate::regular_file;

pub(super) const OBJECTS: &str = "objects";

impl Cache {
    /// Reports whether the object exists and may be read, without reading it.
    pub fn has(&self, digest: &Digest) -> bool {
        let path = self.path_of(OBJECTS, digest);
        // In a cache of several users, a private object of another one is of no use.
        path.symlink_metadata().is_ok_and(|meta| {
            meta.is_file()
                && (meta.mode() & READABLE == READABLE || access(&path, Access::READ_OK).is_ok())
        })
    }

    /// Returns those of `digests` that do not exist as objects.
    ///
    /// Listing a folder of objects is cheaper than many stats, so folders are listed if many
    /// digests fall into them; digests that the listing did not reach are checked by name.
    pub fn missing(&self, mut digests: Vec<Digest>) -> HashSet<Digest> {
        parallel::sort_unstable(&mut digests);
        digests.dedup();
        let shards: Vec<&[Digest]> =
            digests.chunk_by(|a, b| a.as_bytes()[0] == b.as_bytes()[0]).collect();
        let missing = parallel::map(shards, |digests| self.missing_in_shard(digests));
        missing.into_iter().flatten().collect()
    }

    /// Returns those of `digests` whose objects exist and are damaged. Reads every object.
    ///
    /// # Errors
    /// An object exists but cannot be read.
    pub fn damaged(&self, mut digests: Vec<Digest>) -> Result<HashSet<Digest>> {
        parallel::sort_unstable(&mut digests);
        digests.dedup();
        let is_damaged = |digest: Digest| {
            let path = self.path_of(OBJECTS, &digest);
            match hash_single_threaded(&path) {
                Ok(found) => Ok((found != digest).then_some(digest)),
                Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(err) => Err(Error::io("read", &path, &err)),
            }
        };
        parallel::map(digests, is_damaged).into_iter().filter_map(Result::transpose).collect()
    }

    /// Does the work of [`Cache::missing`] for sorted digests with the same first byte.
    fn missing_in_shard(&self, digests: &[Digest]) -> Vec<Digest> {
        /// Maximum directory entries to read per digest; listing a far larger folder costs more
        /// than the stats.
        const ENTRIES_PER_DIGEST: usize = 8;
        /// Maximum number of digests that are checked by name without a listing.
        const MAX_STATS: usize = 16;
        if digests.len() <= MAX_STATS {
            return digests.iter().filter(|digest| !self.has(digest)).copied().collect();
        }
        let mut found = vec![false; digests.len()];
        let most = ENTRIES_PER_DIGEST * digests.len();
        let mut read = 0;
        let shard = self.object_path(&digests[0]);
        let entries = shard.parent().map(fs::read_dir);
        let is_missing =
            matches!(&entries, Some(Err(err)) if err.kind() == io::ErrorKind::NotFound);
        for entry in entries.into_iter().flatten().flatten().flatten().take(most) {
            read += 1;
            let digest = self.digest_of_object(&entry.path());
            let at = digest.and_then(|digest| digests.binary_search(&digest).ok());
            if let Some(at) = at {
                found[at] = entry.file_type().is_ok_and(|kind| kind.is_file());
            }
        }
        // A folder without entries may be one that cannot be listed, so its digests are checked by
        // name. With `most` entries read, more may follow.
        let listed_all = is_missing || (0 < read && read < most);
        let not_found =
            digests.iter().zip(found).filter_map(|(digest, found)| (!found).then_some(*digest));
        not_found.filter(|digest| listed_all || !self.has(digest)).collect()
    }

    /// Adds a copy of the file at `path`, which had the digest `digest` when it was observed.
    ///
    /// # Errors
    /// The file has changed since, or cannot be copied.
    pub fn put_file(&self, path: &Path, digest: &Digest) -> Result<()> {
        let failed = |err: io::Error| Error::io_into(&self.dir, "cache", path, &err);
        let source = File::open(path).map_err(failed)?;
        let meta = source.metadata().map_err(failed)?;
        let copy = |target: &File| self.copy_or_reflink(&source, &meta, digest, target);
        match self.insert_object(digest, object_mode(&meta), copy, failed)? {
            Inserted::Yes => Ok(()),
            Inserted::WrongDigest => Err(Error::environment(format!(
                "`{}` changed while it was copied into the cache",
                path.display()
            ))
            .hint("wait until the program that writes it has finished, then run again")),
        }
    }

    /// Adds the object `digest`, filled by `fill`. Every object enters the cache here.
    ///
    /// `fill` writes the bytes to a temporary file and returns their digest. If it is not `digest`,
    /// the file is removed and the object does not get a name. An existing object is kept. A large
    /// object is synced before it is named; others become durable with [`Cache::sync`].
    pub(super) fn insert_object(
        &self,
        digest: &Digest,
        mode: u32,
        fill: impl FnOnce(&File) -> io::Result<Hashed>,
        failed: impl Fn(io::Error) -> Error,
    ) -> Result<Inserted> {
        self.with_temporary(mode, |temporary, target| {
            let filled = fill(target).map_err(&failed)?;
            if filled.digest != *digest {
                let _ = fs::remove_file(temporary);
                return Ok(Inserted::WrongDigest);
            }
            // Recovery after a power cut skips large objects, so they must not be torn. It also
            // keeps the group sync at the end short.
            if filled.count >= LARGE {
                target.sync_all().map_err(&failed)?;
            }
            self.pending
                .publish(temporary, &self.path_of(OBJECTS, digest), OnExisting::Keep)
                .map_err(&failed)?;
            Ok(Inserted::Yes)
        })
    }

    /// Copies `source` to `target`, by reflink if the file system supports it.
    fn copy_or_reflink(
        &self,
        source: &File,
        meta: &Metadata,
        digest: &Digest,
        target: &File,
    ) -> io::Result<Hashed> {
        match self.reflinks.reflink(source, target) {
            // The clone is hashed and not the source, which may be written to meanwhile.
            Ok(()) => copy_and_hash(target, digest, io::sink()),
            Err(_) => copy_keeping_holes(source, meta, digest, target),
        }
    }

    /// Adds `bytes` as an object and returns its digest. Does nothing if the object exists.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let count = bytes.len() as u64;
            let write =
                |mut target: &File| target.write_all(bytes).map(|()| Hashed { digest, count });
            let failed = |err| Error::io("write", &self.path_of(OBJECTS, &digest), &err);
            self.insert_object(&digest, READABLE, write, failed)?;
        }
        Ok(digest)
    }

    /// Returns the bytes of an object that fits in memory, such as a tree.
    ///
    /// # Errors
    /// The object is missing or cannot be read, or its bytes do not match its digest; it is then
    /// removed.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path_of(OBJECTS, digest);
        let bytes = regular_file::read(&path).map_err(|err| Error::io("read", &path, &err))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(self.remove_damaged_object(digest)),
        }
    }

    /// Returns the tree stored as an object.
    ///
    /// # Errors
    /// Fails as [`Cache::bytes`] does, or if the object is not a tree.
    pub fn tree(&self, digest: &Digest) -> Result<Tree> {
        let bytes = self.bytes(digest)?;
        Tree::decode(&bytes).map_err(|_| Error::damaged(format!("object {digest} is not a tree")))
    }

    /// Restores an object to `path` by the first link type in `links` that works, and returns its
    /// size in bytes.
    ///
    /// An existing file is replaced in one rename of `temporary`. Returns `None` if that is on
    /// another disk. It may be `path` itself, if nothing exists there.
    /// `mode` is that of the file, less what the umask and the mode of the object exclude.
    /// Executable files are never linked to an object, since objects are not executable.
    ///
    /// # Errors
    /// The error is of kind [`Damaged`](crate::error::Kind::Damaged) if the object is missing, or
    /// if its bytes do not match its digest (it is then removed).
    pub fn restore_file(
        &self,
        digest: &Digest,
        path: &Path,
        temporary: &Path,
        mode: u32,
        links: &[Link],
    ) -> Result<Option<u64>> {
        let object = self.path_of(OBJECTS, digest);
        let mut last = io::Error::from(Errno::OPNOTSUPP);
        for link in links {
            let restored = match link {
                Link::Hardlink | Link::Symlink if mode & 0o111 != 0 => continue,
                Link::Reflink if self.reflinks.is_unsupported() => continue,
                Link::Reflink => copy_out(&object, temporary, mode, |source, _, target| {
                    self.reflinks.reflink(source, target)?;
                    copy_and_hash(target, digest, io::sink())
                }),
                Link::Copy => copy_out(&object, temporary, mode, |source, meta, target| {
                    copy_keeping_holes(source, meta, digest, target)
                }),
                // A link is not copied, so the object is verified before it is linked.
                Link::Hardlink => verify_for_linking(&object, digest)
                    .and_then(|found| fs::hard_link(&object, temporary).map(|()| found)),
                Link::Symlink => verify_for_linking(&object, digest)
                    .and_then(|found| self.symlink(&object, path, temporary).map(|()| found)),
            };
            match restored {
                Ok(found) if found.digest != *digest => {
                    let _ = fs::remove_file(temporary);
                    return Err(self.remove_damaged_object(digest));
                }
                Ok(found) => {
                    return match move_into_place(path, temporary) {
                        Err(err) if err.kind() == io::ErrorKind::CrossesDevices => Ok(None),
                        moved => moved
                            .map(|()| Some(found.count))
                            .map_err(|err| Error::io("restore", path, &err)),
                    };
                }
                Err(err) => {
                    let _ = fs::remove_file(temporary);
                    // If the target folders exist, it was the object that was missing, even if
                    // another thread has added it again by now.
                    let has_folder = |path: &Path| path.parent().is_some_and(Path::is_dir);
                    let has_folders = || has_folder(temporary) && has_folder(path);
                    if err.kind() == io::ErrorKind::NotFound && has_folders() {
                        return Err(Error::damaged(format!(
                            "object {digest} is missing from the cache"
                        )));
                    }
                    let is_final =
                        matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::StorageFull);
                    last = err;
                    if is_final {
                        break;
                    }
                }
            }
        }
        let error = Error::io("restore", path, &last);
        Err(match (error.hint.is_none(), links.contains(&Link::Copy)) {
            (true, false) => error.hint(
                "none of the configured link types works on this file system: add \"copy\" at the \
                 end of `link` in `[cache]`",
            ),
            _ => error,
        })
    }

    /// Creates the symlink `temporary` to the object. It is relative to the folder of `path`, so
    /// that a project can be moved with its cache, and absolute if the cache is elsewhere.
    fn symlink(&self, object: &Path, path: &Path, temporary: &Path) -> io::Result<()> {
        let object = object.canonicalize()?;
        if self.is_shared() {
            return std::os::unix::fs::symlink(object, temporary);
        }
        let folder = path.parent().unwrap_or(path).canonicalize()?;
        let common =
            folder.components().zip(object.components()).take_while(|(a, b)| a == b).count();
        let up = folder.components().skip(common).map(|_| Component::ParentDir);
        let target: PathBuf = up.chain(object.components().skip(common)).collect();
        std::os::unix::fs::symlink(target, temporary)
    }

    /// Returns the type of link from `path` to the object `digest`; `None` if `path` is a separate
    /// file.
    pub fn link_type(&self, path: &Path, digest: &Digest) -> Option<Link> {
        let meta = fs::symlink_metadata(path).ok()?;
        if meta.is_symlink() {
            return self.is_link_to_object(path).then_some(Link::Symlink);
        }
        let object = fs::metadata(self.path_of(OBJECTS, digest)).ok()?;
        let same = (meta.dev(), meta.ino()) == (object.dev(), object.ino());
        same.then_some(Link::Hardlink)
    }

    /// Reports whether the symlink at `path` leads to an object, which may be missing.
    pub fn is_link_to_object(&self, path: &Path) -> bool {
        let target = path.read_link().ok().zip(path.parent());
        target.is_some_and(|(target, folder)| {
            real_path(&folder.join(target)).starts_with(real_path(&self.objects_dir()))
        })
    }

    /// Removes objects that were torn by a power cut: their bytes do not match their digest.
    ///
    /// Large objects are skipped: they were synced before they got their names.
    pub(super) fn remove_torn_objects(&self) {
        let shards = fs::read_dir(self.objects_dir()).into_iter().flatten().flatten();
        let objects =
            shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        for object in objects {
            let path = object.path();
            let is_small = object.metadata().is_ok_and(|meta| meta.len() < LARGE);
            let is_intact = |digest: &Digest| {
                let read = regular_file::open(&path)
                    .and_then(|file| copy_and_hash(&file, digest, io::sink()));
                match read {
                    Ok(read) => read.digest == *digest,
                    // A private object of another user of the cache.
                    Err(err) => err.kind() == io::ErrorKind::PermissionDenied,
                }
            };
            if is_small && !self.digest_of_object(&path).as_ref().is_some_and(is_intact) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Removes a damaged object, so that it is not used again, and returns the error to report.
    pub fn remove_damaged_object(&self, digest: &Digest) -> Error {
        let path = self.path_of(OBJECTS, digest);
        self.pending.remove_damaged(&path, || {
            hash_single_threaded(&path).is_ok_and(|found| found == *digest)
        });
        Error::damaged(format!("object {digest} of the cache was damaged"))
    }
}

/// Result of [`Cache::insert_object`].
pub(super) enum Inserted {
    Yes,
    /// The bytes were not those of the digest; nothing was added.
    WrongDigest,
}

/// Returns the mode of the object of a file: readable by those who can read the file.
fn object_mode(file: &Metadata) -> u32 {
    READABLE & (file.mode() | 0o400)
}

/// Returns `mode` without the permissions of those who cannot read the object.
fn restored_mode(mode: u32, object: &Metadata) -> u32 {
    let closed = |class: u32| if object.mode() & READABLE & class == 0 { class } else { 0 };
    mode & !(closed(0o070) | closed(0o007))
}

/// Creates a file from an object; the mode is as for [`Cache::restore_file`].
fn copy_out(
    object: &Path,
    to: &Path,
    mode: u32,
    fill: impl FnOnce(&File, &Metadata, &File) -> io::Result<Hashed>,
) -> io::Result<Hashed> {
    let source = regular_file::options().read(true).open(object)?;
    let meta = source.metadata()?;
    fill(&source, &meta, &create(to, restored_mode(mode, &meta))?)
}

/// Computes the digest of an object that will be linked into the workspace.
///
/// Makes it read-only again, which may have been changed through another link.
fn verify_for_linking(object: &Path, digest: &Digest) -> io::Result<Hashed> {
    let file = regular_file::options().read(true).open(object)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & !READABLE != 0 {
        file.set_permissions(Permissions::from_mode(mode & READABLE))?;
    }
    copy_and_hash(&file, digest, io::sink())
}

/// Renames `temporary` to `path`.
fn move_into_place(path: &Path, temporary: &Path) -> io::Result<()> {
    if temporary == path {
        return Ok(());
    }
    let renamed = fs::rename(temporary, path);
    // If both names are hard links to the same file, rename does nothing and leaves both.
    let _ = fs::remove_file(temporary);
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_digest_is_not_stored() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache"));
        let path = dir.path().join("file");
        fs::write(&path, "changed").unwrap();
        let digest = Digest::of(b"observed");
        let error = cache.put_file(&path, &digest).unwrap_err();
        assert!(error.what.ends_with("changed while it was copied into the cache"), "{error}");
        assert!(!cache.has(&digest) && !cache.has(&Digest::of(b"changed")));
        assert_eq!(fs::read_dir(dir.path().join("cache/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn missing_objects_in_large_cache() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        // Enough objects that folders are listed, and that a listing can stop before its end.
        let kept: Vec<Digest> =
            (0..30_000_u32).map(|number| cache.put_bytes(&number.to_le_bytes()).unwrap()).collect();
        let never = Digest::of(b"never kept");
        let lost = kept[7];
        fs::remove_file(cache.object_path(&lost)).unwrap();
        let no_file = kept[8];
        fs::remove_file(cache.object_path(&no_file)).unwrap();
        fs::create_dir(cache.object_path(&no_file)).unwrap();
        for step in [1, 5, 1000] {
            let mut asked: Vec<Digest> = kept.iter().step_by(step).copied().collect();
            asked.extend([never, lost, no_file, lost]);
            assert_eq!(cache.missing(asked), HashSet::from([never, lost, no_file]), "every {step}");
        }
        assert_eq!(cache.missing(Vec::new()), HashSet::new());
    }
}
