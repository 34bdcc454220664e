//! Objects: in by copy or reflink, out the same way, verified in both directions.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::{Cache, name_it};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::plan::Tree;

const OBJECTS: &str = "objects";

impl Cache {
    pub fn has(&self, digest: &Digest) -> bool {
        self.path_of(OBJECTS, digest).is_file()
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
            file.sync_all()?;
            Ok(found)
        });
        let finished = copied.map_err(|err| Error::io("cache", path, &err)).and_then(|found| {
            if found != *digest {
                return Err(Error::environment(format!(
                    "`{}` changed while it was put into the cache",
                    path.display()
                ))
                .hint("a program still writes it; run again when it has ended"));
            }
            name_it(&temporary, &self.path_of(OBJECTS, digest)).map_err(|err| Error::io("cache", path, &err))
        });
        finished.inspect_err(|_| drop(fs::remove_file(&temporary)))
    }

    /// Keeps `bytes`.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            self.write_named(bytes, &self.path_of(OBJECTS, &digest))?;
        }
        Ok(digest)
    }

    /// Writes a small file under its final name, synced.
    pub(super) fn write_named(&self, bytes: &[u8], name: &Path) -> Result<()> {
        let temporary = self.temporary()?;
        let written = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&temporary);
        let written = written.and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()?;
            name_it(&temporary, name)
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

    /// Writes the content of an object to `path`, replacing what file is there, in one rename.
    ///
    /// # Errors
    /// Of kind [`Damaged`](crate::error::Kind::Damaged) if the object is not what its name says; it is then removed.
    pub fn restore_file(&self, digest: &Digest, path: &Path, temporary: &Path, mode: u32) -> Result<()> {
        let object = self.path_of(OBJECTS, digest);
        let copied = copy(&object, temporary, mode).map_err(|err| {
            let _ = fs::remove_file(temporary);
            Error::io("restore", path, &err)
        });
        let (found, _) = copied?;
        if found != *digest {
            let _ = fs::remove_file(temporary);
            return Err(self.discard(digest));
        }
        fs::rename(temporary, path).map_err(|err| {
            let _ = fs::remove_file(temporary);
            Error::io("restore", path, &err)
        })
    }

    /// Drops an object whose bytes are not its own: kept, it would be taken for whole again.
    fn discard(&self, digest: &Digest) -> Error {
        let path = self.path_of(OBJECTS, digest);
        let _ = fs::remove_file(&path);
        Error::damaged(format!("object {digest} of the cache was damaged"))
    }
}

/// Copies `from` to the new file `to`, sharing its blocks where the file system can, and digests what was copied.
fn copy(from: &Path, to: &Path, mode: u32) -> io::Result<(Digest, File)> {
    let mut source = File::open(from)?;
    let mut target = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
    let mut hasher = blake3::Hasher::new();
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        pump(&mut target, &mut hasher, &mut io::sink())?;
    } else {
        pump(&mut source, &mut hasher, &mut target)?;
    }
    target.set_permissions(Permissions::from_mode(mode))?;
    Ok((hasher.finalize().into(), target))
}

fn pump(source: &mut impl Read, hasher: &mut blake3::Hasher, target: &mut impl Write) -> io::Result<()> {
    let mut chunk = vec![0; 1 << 20];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                hasher.update_rayon(&chunk[..count]);
                target.write_all(&chunk[..count])?;
            }
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
}
