//! The digest of a file's bytes. They are read, not mapped: a file that shrinks under a mapping kills the process.
//!
//! Of a large file each thread takes the next part, reads it into a buffer that stays in its processor's own cache, and hashes it as the
//! subtree of blake3's tree that it is; the file is still read from front to back. So reading, too, is done on all processors, and costs
//! little more than a mapping would.

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

/// A power of two of blake3's chunks, so that all parts but the last are whole subtrees.
const PART: u64 = 512 << 10;
/// What shows no size, and has more than this, has no end.
const MOST: u64 = 1 << 28;

/// The digest of all of a file whose size is known.
///
/// # Errors
/// Those of reading; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it should be large, and turns out to have another size;
/// [`FileTooLarge`](io::ErrorKind::FileTooLarge) if it should be small, and comes to no end.
pub(super) fn digest(file: &File, size: u64) -> io::Result<Digest> {
    if size <= PART { small(file, size) } else { large(file, size) }
}

/// Most files have the size that they had when they were looked at, and are read at once: who asks looks again afterwards. What shows
/// another size, as in `/proc`, is read to its end, if it has one.
fn small(file: &File, size: u64) -> io::Result<Digest> {
    let mut bytes = Vec::with_capacity(size as usize + 1);
    loop {
        match rustix::io::read(file, spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) if bytes.len() as u64 == size => break,
            Ok(_) if bytes.len() as u64 > PART => return further(file, bytes),
            Ok(_) => bytes.reserve(bytes.len()),
            Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
    }
    Ok(Digest::of(&bytes))
}

/// More of a file than it showed to have.
fn further(file: &File, mut bytes: Vec<u8>) -> io::Result<Digest> {
    let mut hasher = blake3::Hasher::new();
    loop {
        hasher.update(&bytes);
        if hasher.count() > MOST {
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

fn large(file: &File, size: u64) -> io::Result<Digest> {
    let next = AtomicU64::new(0);
    let take_parts = || -> io::Result<Vec<(u64, ChainingValue)>> {
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
    let takers = (0..rayon::current_num_threads()).into_par_iter().with_max_len(1);
    let parts: Vec<_> = takers.map(|_| take_parts()).collect::<io::Result<_>>()?;
    let mut parts = parts.concat();
    parts.sort_unstable_by_key(|(part, _)| *part);
    if file.read_at(&mut [0], size)? > 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let values: Vec<ChainingValue> = parts.into_iter().map(|(_, value)| value).collect();
    let (left, right) = halves(&values);
    Ok(merge_subtrees_root(&subtree(left), &subtree(right), Mode::Hash).into())
}

fn subtree(parts: &[ChainingValue]) -> ChainingValue {
    match parts {
        [part] => *part,
        parts => {
            let (left, right) = halves(parts);
            merge_subtrees_non_root(&subtree(left), &subtree(right), Mode::Hash)
        }
    }
}

/// On the left the largest power of two that leaves something on the right.
fn halves(parts: &[ChainingValue]) -> (&[ChainingValue], &[ChainingValue]) {
    parts.split_at(parts.len().next_power_of_two() / 2)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
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
            assert_eq!(large_or_small(&file, size), Digest::of(&bytes[..size as usize]), "{size}");
        }
    }

    fn large_or_small(mut file: &File, size: u64) -> Digest {
        io::Seek::rewind(&mut file).unwrap();
        digest(file, size).unwrap()
    }

    #[test]
    fn of_a_small_file_all_is_read_whatever_size_it_shows() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..PART).map(|at| (at ^ (at >> 8)) as u8).collect();
        file.write_all(&bytes).unwrap();
        for size in [0, 7, PART - 1, PART] {
            assert_eq!(large_or_small(&file, size), Digest::of(&bytes[..PART as usize]), "{size}");
        }
        let more = bytes.repeat(3);
        file.write_all(&more[bytes.len()..]).unwrap();
        assert_eq!(large_or_small(&file, 0), Digest::of(&more));
        let endless = File::open("/dev/zero").unwrap();
        assert_eq!(digest(&endless, 0).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn a_large_file_of_another_size_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(3 * PART).unwrap();
        for size in [3 * PART + 1, 3 * PART - 1, 2 * PART] {
            let refused = digest(&file, size).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::UnexpectedEof, "{size}");
        }
    }
}
