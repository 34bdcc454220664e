//! Copies bytes from file to file and computes their digest on the way.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::digest::Digest;
use crate::parallel;
use crate::regular_file;

/// Size of the first read; most files fit.
const CHUNK: usize = 16 << 10;
/// Size of all further reads.
const LARGE_CHUNK: usize = 1 << 20;

/// Remembers that the cache's file system does not support reflinks, so that it is tried only once.
#[derive(Debug, Default)]
pub(super) struct ReflinkSupport(AtomicBool);

impl ReflinkSupport {
    pub(super) fn is_unsupported(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes the empty file `target` share the blocks of `source` (a reflink).
    pub(super) fn reflink(&self, source: &File, target: &File) -> io::Result<()> {
        if self.is_unsupported() {
            return Err(Errno::OPNOTSUPP.into());
        }
        let shared = rustix::fs::ioctl_ficlone(target, source);
        // EXDEV concerns this pair of files only, so it is not remembered.
        if matches!(shared, Err(Errno::OPNOTSUPP | Errno::NOTTY)) {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(shared?)
    }
}

/// Creates a new file with `mode`, less what the umask removes; fails if `path` exists.
pub(super) fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)
}

/// Digest and number of the bytes read from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashed {
    pub digest: Digest,
    pub count: u64,
}

/// Copies the rest of `source` to `target` and returns the digest of the copied bytes.
///
/// A short read whose digest equals `expected` is taken as the end of the file, which saves one
/// `read`. The returned digest is that of the copied bytes, whatever was expected.
pub(super) fn copy_and_hash(
    source: &File,
    expected: &Digest,
    mut target: impl Write,
) -> io::Result<Hashed> {
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
        parallel::update(&mut hasher, &chunk);
        target.write_all(&chunk)?;
        count += chunk.len() as u64;
        if chunk.len() < chunk.capacity() {
            let digest = Digest::from(hasher.finalize());
            // A short read is almost always the end of the file. If it is not, the bytes so far do
            // not have the expected digest.
            if chunk.is_empty() || digest == *expected {
                return Ok(Hashed { digest, count });
            }
        } else if chunk.capacity() < LARGE_CHUNK {
            chunk = Vec::with_capacity(LARGE_CHUNK);
        }
    }
}

/// Does the same to a new file, and keeps the holes of a sparse `source`.
///
/// The holes are read, since they count for the digest; they take no space in `target`.
pub(super) fn copy_keeping_holes(
    source: &File,
    meta: &Metadata,
    expected: &Digest,
    target: &File,
) -> io::Result<Hashed> {
    const BLOCK: u64 = 512;
    if meta.len() < CHUNK as u64 || meta.blocks() * BLOCK >= meta.len() {
        return copy_and_hash(source, expected, target);
    }
    let mut sparse = SparseWriter { file: target, at: 0 };
    let copied = copy_and_hash(source, expected, &mut sparse)?;
    target.set_len(copied.count)?;
    Ok(copied)
}

/// Writes a file and leaves a hole for each page of zeros.
struct SparseWriter<'f> {
    file: &'f File,
    at: u64,
}

impl SparseWriter<'_> {
    /// Size of the smallest hole; no file system in use has smaller blocks.
    const PAGE: usize = 4096;
}

impl Write for SparseWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let is_hole = |page: &&[u8]| **page == [0; Self::PAGE][..page.len()];
        let pages: Vec<&[u8]> = bytes.chunks(Self::PAGE).collect();
        for run in pages.chunk_by(|a, b| is_hole(a) == is_hole(b)) {
            let length = run.iter().map(|page| page.len()).sum::<usize>();
            if !run.first().is_some_and(is_hole) {
                self.file.write_all_at(&run.concat(), self.at)?;
            }
            self.at += length as u64;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Hashes a file on the calling thread only.
///
/// rayon's threads are unsuitable while the lock on the [unsynced marker](super::pending_sync) is
/// held: a thread that waits for others runs further tasks meanwhile, and one of them may publish a
/// file, which needs the same lock.
pub(super) fn hash_single_threaded(path: &Path) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(regular_file::options().read(true).open(path)?)?;
    Ok(hasher.finalize().into())
}

/// Calls `put`; if the folder is missing, creates it and calls `put` again.
pub(super) fn or_in_new_folder<T>(folder: &Path, put: impl Fn() -> io::Result<T>) -> io::Result<T> {
    match put() {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            put()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("source"), dir.path().join("target"));
        let source = create(&path, 0o666).unwrap();
        let (size, data) = (5 * LARGE_CHUNK as u64 + 7, [1; 9000]);
        source.set_len(size).unwrap();
        for at in [3, 3 << 20] {
            source.write_all_at(&data, at).unwrap();
        }
        let bytes = fs::read(&path).unwrap();
        let target = create(&to, 0o666).unwrap();
        let meta = source.metadata().unwrap();
        let copied = copy_keeping_holes(&source, &meta, &Digest::of(&bytes), &target).unwrap();
        assert_eq!(copied, Hashed { digest: Digest::of(&bytes), count: size });
        assert!(fs::read(&to).unwrap() == bytes);
        let blocks = |file: &File| file.metadata().unwrap().blocks();
        assert!(blocks(&target) * 512 < 1 << 20, "{} blocks", blocks(&target));
    }

    #[test]
    fn copy_returns_actual_digest() {
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
                assert_eq!(found, Hashed { digest, count: size as u64 }, "{size}");
                assert!(copy == bytes, "{size}");
            }
        }
    }
}
