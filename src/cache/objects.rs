//! Objects: in by reflink or copy, out also by link, verified in both directions.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;
use rustix::io::Errno;

use super::Cache;
use super::copy::{Bytes, copy_and_hash, create, hash_single_threaded};
use super::pending_sync::{LARGE, OnExisting};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::pipeline::Link;
use crate::plan::Tree;

const OBJECTS: &str = "objects";

impl Cache {
    pub fn has(&self, digest: &Digest) -> bool {
        self.path_of(OBJECTS, digest).is_file()
    }

    /// Those of `asked` that are not there. To read a folder of objects costs less than to ask for many of them by name: what was not
    /// found is asked for then.
    pub fn missing(&self, mut asked: Vec<Digest>) -> HashSet<Digest> {
        asked.par_sort_unstable();
        asked.dedup();
        let shards: Vec<&[Digest]> =
            asked.chunk_by(|a, b| a.as_bytes()[0] == b.as_bytes()[0]).collect();
        shards.into_par_iter().flat_map_iter(|asked| self.missing_in_shard(asked)).collect()
    }

    fn missing_in_shard(&self, asked: &[Digest]) -> Vec<Digest> {
        /// So many entries are read for each that is asked for: of a cache that has far more, that would not pay.
        const ENTRIES_PER_DIGEST: usize = 8;
        /// So few are asked for by name.
        const MAX_STATS: usize = 16;
        if asked.len() <= MAX_STATS {
            return asked.iter().filter(|digest| !self.has(digest)).copied().collect();
        }
        let mut found = vec![false; asked.len()];
        let most = ENTRIES_PER_DIGEST * asked.len();
        let mut read = 0;
        let shard = self.object_path(&asked[0]);
        let entries = shard.parent().map(fs::read_dir);
        let is_missing =
            matches!(&entries, Some(Err(err)) if err.kind() == io::ErrorKind::NotFound);
        for entry in entries.into_iter().flatten().flatten().flatten().take(most) {
            read += 1;
            let digest = self.digest_of_object(&entry.path());
            let at = digest.and_then(|digest| asked.binary_search(&digest).ok());
            if let Some(at) = at {
                found[at] = entry.file_type().is_ok_and(|kind| kind.is_file());
            }
        }
        let listed_all = is_missing || (0 < read && read < most);
        let not_found = asked.iter().zip(found).filter_map(|(digest, found)| (!found).then_some(*digest));
        not_found.filter(|digest| listed_all || !self.has(digest)).collect()
    }

    /// The first object that is not there of all that `content` needs.
    pub fn first_missing(&self, content: &Content) -> Option<Digest> {
        let digest = content.digest();
        if !matches!(content, Content::Tree(_)) {
            return (!self.has(&digest)).then_some(digest);
        }
        match self.tree(&digest) {
            Ok(tree) => tree.entries.values().find_map(|entry| self.first_missing(entry)),
            Err(_) => Some(digest),
        }
    }

    /// Keeps a copy of the file at `path`, whose digest is known to be `digest`.
    ///
    /// # Errors
    /// The bytes are others by now, or cannot be copied.
    pub fn put_file(&self, path: &Path, digest: &Digest) -> Result<()> {
        let failed = |err: io::Error| Error::io_into(&self.dir, "cache", path, &err);
        let source = File::open(path).map_err(failed)?;
        self.with_temporary(|temporary, target| {
            let found = self.copy_or_reflink(&source, digest, target).map_err(failed)?;
            if found.digest != *digest {
                return Err(Error::environment(format!(
                    "`{}` changed while it was put into the cache",
                    path.display()
                ))
                .hint("a program still writes it; run again when it has ended"));
            }
            // What others wait for at the end stays little.
            if found.count >= LARGE {
                target.sync_all().map_err(failed)?;
            }
            self.publish(temporary, &self.path_of(OBJECTS, digest), OnExisting::Keep)
                .map_err(failed)
        })
    }

    /// Sharing its blocks where the file system can.
    fn copy_or_reflink(&self, source: &File, digest: &Digest, target: &File) -> io::Result<Bytes> {
        match self.reflinks.reflink(source, target) {
            Ok(()) => copy_and_hash(target, digest, io::sink()),
            Err(_) => copy_and_hash(source, digest, target),
        }
    }

    /// Keeps `bytes`.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            self.write_small(bytes, &self.path_of(OBJECTS, &digest), OnExisting::Keep)?;
        }
        Ok(digest)
    }

    /// Writes a small file under its final name.
    pub(super) fn write_small(&self, bytes: &[u8], name: &Path, on_existing: OnExisting) -> Result<()> {
        self.with_temporary(|temporary, mut file| {
            let written =
                file.write_all(bytes).and_then(|()| self.publish(temporary, name, on_existing));
            written.map_err(|err| Error::io("write", name, &err))
        })
    }

    /// The bytes of an object that is small enough to hold.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path_of(OBJECTS, digest);
        let bytes = fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(self.remove_damaged_object(digest)),
        }
    }

    pub fn tree(&self, digest: &Digest) -> Result<Tree> {
        let bytes = self.bytes(digest)?;
        Tree::decode(&bytes).map_err(|_| Error::damaged(format!("object {digest} is not a tree")))
    }

    /// Puts the content of an object at `path` in the first of the ways in `links` that works, replacing what file is there, in
    /// one rename. Gives the bytes that it has. A file that is executable is no other name of an object, which is not.
    ///
    /// # Errors
    /// Of kind [`Damaged`](crate::error::Kind::Damaged) if the object is not what its name says; it is then removed.
    pub fn restore_file(
        &self,
        digest: &Digest,
        path: &Path,
        temporary: &Path,
        mode: u32,
        links: &[Link],
    ) -> Result<u64> {
        let object = self.path_of(OBJECTS, digest);
        let mut last = io::Error::from(Errno::OPNOTSUPP);
        for link in links {
            let restored = match link {
                Link::Hardlink | Link::Symlink if mode & 0o111 != 0 => continue,
                Link::Reflink if self.reflinks.is_unsupported() => continue,
                Link::Reflink => copy_out(&object, temporary, mode, |source, target| {
                    self.reflinks.reflink(source, target)?;
                    copy_and_hash(target, digest, io::sink())
                }),
                Link::Copy => copy_out(&object, temporary, mode, |source, target| {
                    copy_and_hash(source, digest, target)
                }),
                // Before anything hangs on it: the file cannot be verified on its way.
                Link::Hardlink => verify_for_linking(&object, digest)
                    .and_then(|found| fs::hard_link(&object, temporary).map(|()| found)),
                Link::Symlink => verify_for_linking(&object, digest)
                    .and_then(|found| symlink(&object, path, temporary).map(|()| found)),
            };
            match restored {
                Ok(found) if found.digest != *digest => {
                    let _ = fs::remove_file(temporary);
                    return Err(self.remove_damaged_object(digest));
                }
                Ok(found) => {
                    return move_into_place(path, temporary)
                        .map(|()| found.count)
                        .map_err(|err| Error::io("restore", path, &err));
                }
                Err(err) => {
                    let _ = fs::remove_file(temporary);
                    // The folder is there: it was the object that was not, even if another thread has put it anew by now.
                    let has_place = || temporary.parent().is_some_and(Path::is_dir);
                    if err.kind() == io::ErrorKind::NotFound && has_place() {
                        return Err(Error::damaged(format!(
                            "object {digest} is not in the cache any more"
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
                "no kind of link that is wished for works here: let `link` of `[cache]` end in \"copy\"",
            ),
            _ => error,
        })
    }

    /// How the file at `path` is one with the object of its content; `None` if it is a file of its own.
    pub fn link_type(&self, path: &Path, digest: &Digest) -> Option<Link> {
        let meta = fs::symlink_metadata(path).ok()?;
        if meta.is_symlink() {
            let target = path.canonicalize().ok()?;
            let objects = self.dir.join(OBJECTS).canonicalize().ok()?;
            return target.starts_with(objects).then_some(Link::Symlink);
        }
        let object = fs::metadata(self.path_of(OBJECTS, digest)).ok()?;
        let same = (meta.dev(), meta.ino()) == (object.dev(), object.ino());
        same.then_some(Link::Hardlink)
    }

    /// Removes the objects that are not what their names say. The large ones were synced before they were named.
    pub(super) fn remove_torn_objects(&self) {
        let shards = fs::read_dir(self.objects_dir()).into_iter().flatten().flatten();
        let objects =
            shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        for object in objects {
            let path = object.path();
            let is_small = object.metadata().is_ok_and(|meta| meta.len() < LARGE);
            let is_whole = |named: &Digest| {
                let found =
                    File::open(&path).and_then(|file| copy_and_hash(&file, named, io::sink()));
                found.is_ok_and(|found| found.digest == *named)
            };
            if is_small && !self.digest_of_object(&path).as_ref().is_some_and(is_whole) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Drops an object whose bytes are not its own: kept, it would be taken for whole again.
    fn remove_damaged_object(&self, digest: &Digest) -> Error {
        let path = self.path_of(OBJECTS, digest);
        self.remove_damaged(&path, || {
            hash_single_threaded(&path).is_ok_and(|found| found == *digest)
        });
        Error::damaged(format!("object {digest} of the cache was damaged"))
    }
}

/// Fills a new file from an object, and gives it its mode.
fn copy_out(
    object: &Path,
    to: &Path,
    mode: u32,
    fill: impl FnOnce(&File, &File) -> io::Result<Bytes>,
) -> io::Result<Bytes> {
    let source = File::open(object)?;
    let target = create(to, 0o600)?;
    let found = fill(&source, &target)?;
    target.set_permissions(Permissions::from_mode(mode))?;
    Ok(found)
}

/// Digests an object that is to be a file of the workspace as well, with the mode that it must then have: somebody may have
/// changed it through another link.
fn verify_for_linking(object: &Path, digest: &Digest) -> io::Result<Bytes> {
    let file = File::open(object)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o444 {
        file.set_permissions(Permissions::from_mode(0o444))?;
    }
    copy_and_hash(&file, digest, io::sink())
}

/// A link that leads to the object from where `path` is, so that a project may be moved.
fn symlink(object: &Path, path: &Path, temporary: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path).canonicalize()?;
    let object = object.canonicalize()?;
    let common = folder.components().zip(object.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    let target: PathBuf = up.chain(object.components().skip(common)).collect();
    std::os::unix::fs::symlink(target, temporary)
}

fn move_into_place(path: &Path, temporary: &Path) -> io::Result<()> {
    let renamed = fs::rename(temporary, path);
    // Of two names of one file, renaming leaves both.
    let _ = fs::remove_file(temporary);
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_told_however_much_else_there_is() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        // So many that folders are read, and more than is read of them for what is asked.
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
