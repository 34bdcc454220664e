//! Computes the digest of a file's bytes. Files are read, not memory-mapped: if a mapped file
//! shrinks, the process is killed.
//!
//! A large file is hashed by all threads. Each thread takes the next part, reads it into a buffer
//! that fits its core's cache, and hashes it as a subtree of the BLAKE3 tree. The file is still
//! read from front to back, reading is parallel too, and the cost is close to that of a mapping.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use blake3::hazmat::{
    ChainingValue, HasherExt as _, Mode, merge_subtrees_non_root, merge_subtrees_root,
};
use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::digest::Digest;
use crate::parallel;

/// Bytes per part: a power of two of BLAKE3's 1 KiB chunks, so that every part but the last is a
/// complete subtree.
const PART: u64 = 512 << 10;
/// Maximum bytes read from a file that reports a small size; a longer one counts as endless.
const MAX_UNSIZED: u64 = 1 << 28;

/// Returns the digest of the whole `file`, which is expected to have `size` bytes.
///
/// # Errors
/// Read errors; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if `size` is large and the file has
/// another size; [`FileTooLarge`](io::ErrorKind::FileTooLarge) if `size` is small and the file goes
/// on for more than 256 MiB.
pub(super) fn digest(file: &File, size: u64) -> io::Result<Digest> {
    if size <= PART { hash_small(file, size) } else { hash_large(file, size) }
}

/// Hashes a file that is expected to fit in one part.
///
/// Reading stops at `size` bytes without checking for more, which saves a system call: the caller
/// compares the stat afterwards. A file with another size than it reports, as in `/proc`, is read
/// to its end.
fn hash_small(file: &File, size: u64) -> io::Result<Digest> {
    let mut bytes = Vec::with_capacity(size as usize + 1);
    loop {
        match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) if bytes.len() as u64 == size => break,
            Ok(_) if bytes.len() as u64 > PART => return hash_rest(file, bytes),
            Ok(_) => bytes.reserve(bytes.len()),
            Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(Digest::of(&bytes))
}

/// Hashes a file that is longer than it reports; `bytes` has been read already.
fn hash_rest(file: &File, mut bytes: Vec<u8>) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    loop {
        hasher.update(&bytes);
        if hasher.count() > MAX_UNSIZED {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        bytes.clear();
        match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
}

/// Hashes a file of exactly `size` bytes, more than one part, on all threads.
fn hash_large(file: &File, size: u64) -> io::Result<Digest> {
    let next = AtomicU64::new(0);
    let hash_parts = || -> io::Result<Vec<(u64, ChainingValue)>> {
        let mut buffer = vec![0; PART as usize];
        let mut done = Vec::new();
        loop {
            let part = next.fetch_add(1, Ordering::Relaxed);
            let offset = part.saturating_mul(PART);
            if offset >= size {
                return Ok(done);
            }
            let bytes = &mut buffer[..PART.min(size - offset) as usize];
            file.read_exact_at(bytes, offset)?;
            done.push((
                part,
                blake3::Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root(),
            ));
        }
    };
    let mut parts = if parallel::is_available() {
        let workers = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1);
        workers.map(|_| hash_parts()).collect::<io::Result<Vec<_>>>()?.concat()
    } else {
        hash_parts()?
    };
    parts.sort_unstable_by_key(|(part, _)| *part);
    if file.read_at(&mut [0], size)? > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let values: Vec<ChainingValue> = parts.into_iter().map(|(_, value)| value).collect();
    let (left, right) = halves(&values);
    Ok(merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).into())
}

/// Returns the chaining value of the subtree over one or more consecutive parts.
fn subtree(parts: &[ChainingValue]) -> ChainingValue {
    match parts {
        [part] => *part,
        parts => {
            let (left, right) = halves(parts);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// Splits the way BLAKE3 does: the left side gets the largest power of two below the length.
fn halves(parts: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    parts.split_at(parts.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn digest_by_size() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> =
            (0..7 * PART + 3).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect();
        file.write_all(&bytes).unwrap();
        let sizes = [
            7 * PART + 3,
            6 * PART,
            5 * PART + 1024,
            4 * PART + 1,
            3 * PART - 1,
            2 * PART,
            PART + 1,
            PART,
            7,
            0,
        ];
        for size in sizes {
            file.set_len(size).unwrap();
            let digest = rewind_and_digest(&file, size);
            assert_eq!(digest, Digest::of(&bytes[..size as usize]), "{size}");
        }
    }

    fn rewind_and_digest(mut file: &File, size: u64) -> Digest {
        io::Seek::rewind(&mut file).unwrap();
        digest(file, size).unwrap()
    }

    #[test]
    fn small_file_with_wrong_size() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..PART).map(|at| (at ^ (at >> 8)) as u8).collect();
        file.write_all(&bytes).unwrap();
        for size in [0, 7, PART - 1, PART] {
            let digest = rewind_and_digest(&file, size);
            assert_eq!(digest, Digest::of(&bytes[..PART as usize]), "{size}");
        }
        let more = bytes.repeat(3);
        file.write_all(&more[bytes.len()..]).unwrap();
        assert_eq!(rewind_and_digest(&file, 0), Digest::of(&more));
        let endless = File::open("/dev/zero").unwrap();
        assert_eq!(digest(&endless, 0).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn large_file_of_wrong_size() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * PART).unwrap();
        for size in [3 * PART + 1, 3 * PART - 1, 2 * PART] {
            let refused = digest(&file, size).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof, "{size}");
        }
    }
}
