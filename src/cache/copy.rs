//! Bytes on their way from file to file, digested as they go. Knows nothing of names.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::digest::Digest;

/// Most files are read in one such chunk.
const CHUNK: usize = 16 << 10;
/// Of one that is not, the rest is read in such pieces.
const LARGE_CHUNK: usize = 1 << 20;

/// Whether the file system of the cache was found not to share blocks between files: then it need not be asked for each file again.
#[derive(Debug, Default)]
pub(super) struct ReflinkSupport(AtomicBool);

impl ReflinkSupport {
    pub(super) fn is_unsupported(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes an empty file one of the same blocks as another.
    pub(super) fn reflink(&self, source: &File, target: &File) -> io::Result<()> {
        if self.is_unsupported() {
            return Err(Errno::OPNOTSUPP.into());
        }
        let shared = rustix::fs::ioctl_ficlone(target, source);
        // Files of two file systems, of which another pair may be one, are told by another error.
        if matches!(shared, Err(Errno::OPNOTSUPP | Errno::NOTTY)) {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(shared?)
    }
}

/// A new file that this process alone writes to.
pub(super) fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// What was read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bytes {
    pub digest: Digest,
    pub count: u64,
}

/// Copies what is left of `source`, of which it is known what it should be.
pub(super) fn copy_and_hash(
    source: &File,
    expected: &Digest,
    mut target: impl Write,
) -> io::Result<Bytes> {
    let mut hasher = blake3::Hasher::new();
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut count = 0;
    loop {
        chunk.clear();
        match rustix::io::read(source, spare_capacity(&mut chunk)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(err) => return Err(err.into()),
        }
        hasher.update_rayon(&chunk);
        target.write_all(&chunk)?;
        count += chunk.len() as u64;
        if chunk.len() < chunk.capacity() {
            let digest = Digest::from(hasher.finalize());
            // Less than was asked for is the end of most files. Where it need not be, what was read so far is not what it should be.
            if chunk.is_empty() || digest == *expected {
                return Ok(Bytes { digest, count });
            }
        } else if chunk.capacity() < LARGE_CHUNK {
            chunk = Vec::with_capacity(LARGE_CHUNK);
        }
    }
}

/// By this thread alone. One that waits for others takes up what else is to be done meanwhile: while it holds back the names, that may be
/// to name something.
pub(super) fn hash_single_threaded(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_is_what_was_there_whatever_was_expected() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + LARGE_CHUNK, 3 * LARGE_CHUNK + 7] {
            let bytes: Vec<u8> = (0..size).map(|at| (at ^ (at >> 8)) as u8).collect();
            let path = dir.path().join("source");
            std::fs::write(&path, &bytes).unwrap();
            let digest = Digest::of(&bytes);
            for expected in [digest, Digest::of(b"another")] {
                let mut copy = Vec::new();
                let found =
                    copy_and_hash(&File::open(&path).unwrap(), &expected, &mut copy).unwrap();
                assert_eq!(found, Bytes { digest, count: size as u64 }, "{size}");
                assert!(copy == bytes, "{size}");
            }
        }
    }
}
