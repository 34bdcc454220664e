//! Objects: in by reflink or copy, out also by link, verified in both directions.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use rayon::slice::ParallelSliceMut as _;

use super::Cache;
use super::unsynced::{Former, LARGE};
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
    /// met is asked for then.
    pub fn absent(&self, mut asked: Vec<Digest>) -> HashSet<Digest> {
        asked.par_sort_unstable();
        asked.dedup();
        let shards: Vec<&[Digest]> = asked.chunk_by(|a, b| a.as_bytes()[0] == b.as_bytes()[0]).collect();
        shards.into_par_iter().flat_map_iter(|asked| self.absent_of_shard(asked)).collect()
    }

    fn absent_of_shard(&self, asked: &[Digest]) -> Vec<Digest> {
        /// So many entries are read for each that is asked for: of a cache that has far more, that would not pay.
        const READ: usize = 8;
        /// So few are asked for by name.
        const FEW: usize = 16;
        let mut met = vec![false; asked.len()];
        let shard = (asked.len() > FEW).then(|| self.object_path(&asked[0]));
        let entries =
            shard.and_then(|object| fs::read_dir(object.parent()?).ok()).into_iter().flatten().flatten();
        for entry in entries.take(READ * asked.len()) {
            let digest = self.digest_of_object(&entry.path());
            let at = digest.and_then(|digest| asked.binary_search(&digest).ok());
            if let Some(at) = at {
                met[at] = entry.file_type().is_ok_and(|kind| kind.is_file());
            }
        }
        let unmet = asked.iter().zip(met).filter_map(|(digest, met)| (!met).then_some(*digest));
        unmet.filter(|digest| !self.has(digest)).collect()
    }

    /// The first object that is not there of all that `content` needs.
    pub fn lacking(&self, content: &Content) -> Option<Digest> {
        let digest = content.digest();
        if !matches!(content, Content::Tree(_)) {
            return (!self.has(&digest)).then_some(digest);
        }
        match self.tree(&digest) {
            Ok(tree) => tree.entries.values().find_map(|entry| self.lacking(entry)),
            Err(_) => Some(digest),
        }
    }

    /// Keeps a copy of the file at `path`, whose digest is known to be `digest`.
    ///
    /// # Errors
    /// The bytes are others by now, or cannot be copied.
    pub fn put_file(&self, path: &Path, digest: &Digest) -> Result<()> {
        if self.has(digest) {
            return Ok(());
        }
        let temporary = self.temporary()?;
        let copied = copy(path, &temporary, 0o444).and_then(|(found, file)| {
            // What others wait for at the end stays little.
            if file.metadata()?.len() >= LARGE {
                file.sync_all()?;
            }
            Ok(found)
        });
        let finished =
            copied.map_err(|err| Error::io_into(&self.dir, "cache", path, &err)).and_then(|found| {
                if found != *digest {
                    return Err(Error::environment(format!(
                        "`{}` changed while it was put into the cache",
                        path.display()
                    ))
                    .hint("a program still writes it; run again when it has ended"));
                }
                let name = self.path_of(OBJECTS, digest);
                self.name_unsynced(&temporary, &name, Former::Stays)
                    .map_err(|err| Error::io_into(&self.dir, "cache", path, &err))
            });
        finished.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    /// Keeps `bytes`.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            self.write_named(bytes, &self.path_of(OBJECTS, &digest), Former::Stays)?;
        }
        Ok(digest)
    }

    /// Writes a small file under its final name.
    pub(super) fn write_named(&self, bytes: &[u8], name: &Path, former: Former) -> Result<()> {
        let temporary = self.temporary()?;
        let written = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&temporary);
        let written = written.and_then(|mut file| {
            file.write_all(bytes)?;
            self.name_unsynced(&temporary, name, former)
        });
        written.map_err(|err| {
            let _ = fs::remove_file(&temporary);
            Error::io("write", name, &err)
        })
    }

    /// The bytes of an object that is small enough to hold.
    pub fn bytes(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.path_of(OBJECTS, digest);
        let bytes = fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(self.discard(digest)),
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
        let mut last = io::Error::from(io::ErrorKind::Unsupported);
        for link in links {
            let placed = match link {
                Link::Hardlink | Link::Symlink if mode & 0o111 != 0 => continue,
                Link::Reflink => copy_as(&object, temporary, mode, share_blocks).map(|(found, _)| found),
                Link::Copy => copy_as(&object, temporary, mode, copy_blocks).map(|(found, _)| found),
                // Before anything hangs on it: the file cannot be verified on its way.
                Link::Hardlink => {
                    sharable(&object).and_then(|found| fs::hard_link(&object, temporary).map(|()| found))
                }
                Link::Symlink => {
                    sharable(&object).and_then(|found| symlink(&object, path, temporary).map(|()| found))
                }
            };
            match placed {
                Ok(found) if found != *digest => {
                    let _ = fs::remove_file(temporary);
                    return Err(self.discard(digest));
                }
                Ok(_) => {
                    return put_in_place(&object, path, temporary)
                        .map_err(|err| Error::io("restore", path, &err));
                }
                Err(err) => {
                    let _ = fs::remove_file(temporary);
                    // The folder is there: it was the object that was not, even if another thread has put it anew by now.
                    let has_place = || temporary.parent().is_some_and(Path::is_dir);
                    if err.kind() == io::ErrorKind::NotFound && has_place() {
                        return Err(Error::damaged(format!("object {digest} is not in the cache any more")));
                    }
                    let is_last_word =
                        matches!(err.kind(), io::ErrorKind::NotFound | io::ErrorKind::StorageFull);
                    last = err;
                    if is_last_word {
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
    pub fn shared(&self, path: &Path, digest: &Digest) -> Option<Link> {
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
    pub(super) fn remove_torn(&self) {
        let shards = fs::read_dir(self.objects_dir()).into_iter().flatten().flatten();
        let objects = shards.flat_map(|shard| fs::read_dir(shard.path()).into_iter().flatten().flatten());
        for object in objects {
            let path = object.path();
            let is_small = object.metadata().is_ok_and(|meta| meta.len() < LARGE);
            let found = || File::open(&path).and_then(digest_of).ok();
            if is_small && found() != self.digest_of_object(&path) {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Drops an object whose bytes are not its own: kept, it would be taken for whole again.
    fn discard(&self, digest: &Digest) -> Error {
        let path = self.path_of(OBJECTS, digest);
        self.unname(&path, || digest_alone(&path).is_ok_and(|found| found == *digest));
        Error::damaged(format!("object {digest} of the cache was damaged"))
    }
}

/// Copies `from` to the new file `to`, sharing its blocks where the file system can, and digests what was copied.
fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<(Digest, File)> {
    copy_as(from, to, mode, |source, target, hasher| {
        share_blocks(source, target, hasher).or_else(|_| copy_blocks(source, target, hasher))
    })
}

/// Fills a new file from another, and digests what it then holds.
type Fill = fn(&mut File, &mut File, &mut blake3::Hasher) -> io::Result<()>;

fn copy_as(from: &Path, to: &Path, mode: u32, fill: Fill) -> io::Result<(Digest, File)> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
    let mut hasher = blake3::Hasher::new();
    fill(&mut source, &mut target, &mut hasher)?;
    target.set_permissions(Permissions::from_mode(mode))?;
    Ok((hasher.finalize().into(), target))
}

fn share_blocks(source: &mut File, target: &mut File, hasher: &mut blake3::Hasher) -> io::Result<()> {
    rustix::fs::ioctl_ficlone(&*target, &*source)?;
    pump(target, hasher, &mut io::sink())
}

fn copy_blocks(source: &mut File, target: &mut File, hasher: &mut blake3::Hasher) -> io::Result<()> {
    pump(source, hasher, target)
}

/// Digests an object that is to be a file of the workspace as well, with the mode that it must then have: somebody may have
/// changed it through another link.
fn sharable(object: &Path) -> io::Result<Digest> {
    let file = File::open(object)?;
    if file.metadata()?.permissions().mode() & 0o777 != 0o444 {
        file.set_permissions(Permissions::from_mode(0o444))?;
    }
    digest_of(file)
}

fn digest_of(mut file: File) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    pump(&mut file, &mut hasher, &mut io::sink())?;
    Ok(hasher.finalize().into())
}

/// By this thread alone. One that waits for others takes up what else is to be done meanwhile: while it holds back the names, that may be
/// to name something.
fn digest_alone(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().into())
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

fn put_in_place(object: &Path, path: &Path, temporary: &Path) -> io::Result<u64> {
    let renamed = fs::rename(temporary, path);
    // Of two names of one file, renaming leaves both.
    let _ = fs::remove_file(temporary);
    renamed?;
    fs::metadata(object).map(|meta| meta.len())
}

fn pump(source: &mut impl Read, hasher: &mut blake3::Hasher, target: &mut impl Write) -> io::Result<()> {
    const LARGEST: usize = 1 << 20;
    let mut chunk = vec![0; 16 << 10];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                hasher.update_rayon(&chunk[..count]);
                target.write_all(&chunk[..count])?;
                // Most files are small; of one that is not, the rest is read in large pieces.
                if count == chunk.len() && count < LARGEST {
                    chunk.resize(LARGEST, 0);
                }
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
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
            assert_eq!(cache.absent(asked), HashSet::from([never, lost, no_file]), "every {step}");
        }
        assert_eq!(cache.absent(Vec::new()), HashSet::new());
    }
}
