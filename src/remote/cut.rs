//! Places where a large object is cut into segments. Does not read files, and does not know about
//! packs.
//!
//! The places depend on the bytes around them (FastCDC with a gear hash), not on offsets. If bytes
//! are inserted, removed or appended, the segments before and behind the change stay the same, so
//! that only the changed ones are sent. A reader takes the lengths from the index: other places
//! would cost space and transfers, but break nothing.
//!
//! The figures behind the three lengths are in `docs/explanation/compression.md`.

/// Length of the shortest segment, but for the last of an object.
const MIN_SEGMENT: usize = 512 << 10;

/// Length that most segments are close to.
const USUAL_SEGMENT: usize = 1 << 20;

/// Length of the longest segment. An object that is not longer is not cut.
pub(super) const MAX_SEGMENT: usize = 4 << 20;

/// Masks of the hash: where all its bits are zero, the bytes are cut. Before the usual length a cut
/// is four times less likely than one in [`USUAL_SEGMENT`], behind it four times likelier. So the
/// lengths vary less. The topmost bits depend on the most bytes.
const STRICT: u64 = u64::MAX << (64 - (USUAL_SEGMENT.ilog2() + 2));
const LAX: u64 = u64::MAX << (64 - (USUAL_SEGMENT.ilog2() - 2));

/// Returns the length of the first segment of `bytes`, which are the next [`MAX_SEGMENT`] bytes of
/// an object, or more, or all that is left of it.
pub(super) fn first_segment(bytes: &[u8]) -> usize {
    let most = bytes.len().min(MAX_SEGMENT);
    let usual = most.min(USUAL_SEGMENT);
    let mut hash = 0_u64;
    let mut at = most.min(MIN_SEGMENT);
    for (end, mask) in [(usual, STRICT), (most, LAX)] {
        let mut groups = bytes[at..end].chunks_exact(4);
        for group in &mut groups {
            let after = hashes(hash, group);
            if after.iter().fold(false, |found, hash| found | (hash & mask == 0)) {
                return at + 1 + after.iter().take_while(|hash| *hash & mask != 0).count();
            }
            hash = after[3];
            at += 4;
        }
        for byte in groups.remainder() {
            hash = next(hash, *byte);
            at += 1;
            if hash & mask == 0 {
                return at;
            }
        }
    }
    most
}

/// Returns the hash that follows `hash` after one byte more.
fn next(hash: u64, byte: u8) -> u64 {
    (hash << 1).wrapping_add(GEAR[usize::from(byte)])
}

/// Returns the hashes after each of four bytes: what four calls of [`next`] return, but none waits
/// for the one before. This makes cutting 1.6 times as fast.
#[inline(always)]
fn hashes(hash: u64, bytes: &[u8]) -> [u64; 4] {
    let gear = |i: usize| GEAR[usize::from(bytes[i])];
    let two = (gear(0) << 1).wrapping_add(gear(1));
    let three = (two << 1).wrapping_add(gear(2));
    let four = (two << 2).wrapping_add((gear(2) << 1).wrapping_add(gear(3)));
    [
        (hash << 1).wrapping_add(gear(0)),
        (hash << 2).wrapping_add(two),
        (hash << 3).wrapping_add(three),
        (hash << 4).wrapping_add(four),
    ]
}

/// One random number per byte, by splitmix64. A bit leaves the hash after 64 bytes.
static GEAR: [u64; 256] = {
    let mut gear = [0; 256];
    let mut state = 0_u64;
    let mut i = 0;
    while i < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        gear[i] = z ^ (z >> 31);
        i += 1;
    }
    gear
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{LAX, MAX_SEGMENT, MIN_SEGMENT, STRICT, USUAL_SEGMENT, first_segment, next};

    fn segments(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (segment, rest) = bytes.split_at(first_segment(bytes));
            found.push(segment);
            bytes = rest;
        }
        found
    }

    /// Returns bytes without a pattern, by xorshift64*.
    fn noise(length: usize, seed: u64) -> Vec<u8> {
        let mut state = seed;
        let word = |_| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
        };
        let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(word).collect();
        bytes.truncate(length);
        bytes
    }

    /// Counts the bytes of the segments of `new` that are not segments of `old`.
    fn unknown(old: &[u8], new: &[u8]) -> usize {
        let known: HashSet<&[u8]> = segments(old).into_iter().collect();
        segments(new).into_iter().filter(|segment| !known.contains(segment)).map(<[u8]>::len).sum()
    }

    #[test]
    fn lengths() {
        let bytes = noise(40 << 20, 1);
        let found = segments(&bytes);
        assert_eq!(found.concat(), bytes);
        let (_, whole) = found.split_last().unwrap();
        assert!(whole.iter().all(|s| (MIN_SEGMENT..=MAX_SEGMENT).contains(&s.len())));
        let mean = bytes.len() / found.len();
        assert!((USUAL_SEGMENT * 3 / 4..USUAL_SEGMENT * 3 / 2).contains(&mean), "{mean}");
    }

    #[test]
    fn places_stay() {
        // Other places would be no error, but the segments on existing remotes would be useless.
        let bytes = noise(6 << 20, 1);
        let lengths: Vec<usize> = segments(&bytes).iter().map(|segment| segment.len()).collect();
        assert_eq!(lengths, [1631248, 1264297, 1056955, 1081601, 1257355]);
    }

    #[test]
    fn equals_byte_by_byte() {
        let bytes = noise(24 << 20, 5);
        for start in (0..bytes.len() - MAX_SEGMENT).step_by(999_983) {
            let mut hash = 0;
            let place = (MIN_SEGMENT..MAX_SEGMENT).find(|at| {
                hash = next(hash, bytes[start + at]);
                hash & if *at < USUAL_SEGMENT { STRICT } else { LAX } == 0
            });
            let expected = place.map_or(MAX_SEGMENT, |at| at + 1);
            assert_eq!(first_segment(&bytes[start..]), expected);
        }
    }

    #[test]
    fn later_bytes_do_not_matter() {
        let bytes = noise(9 << 20, 2);
        assert_eq!(first_segment(&bytes), first_segment(&bytes[..MAX_SEGMENT]));
    }

    #[test]
    fn short_and_monotonous() {
        for length in [0, 1, MIN_SEGMENT - 1, MIN_SEGMENT, MIN_SEGMENT + 1] {
            assert_eq!(first_segment(&noise(length, 3)), length);
        }
        assert_eq!(first_segment(&vec![0; MAX_SEGMENT + 1]), MAX_SEGMENT);
    }

    #[test]
    fn edits_cost_nearby_segments() {
        let old = noise(24 << 20, 4);
        let middle = old.len() / 2;
        let inserted = [&old[..middle], b"a row more\n", &old[middle..]].concat();
        let removed = [&old[..middle], &old[middle + 5000..]].concat();
        let appended = [&old[..], b"a row more\n"].concat();
        let trimmed = &old[100_000..];
        for new in [&inserted[..], &removed, &appended, trimmed] {
            let bytes = unknown(&old, new);
            assert!(bytes > 0 && bytes <= 2 * MAX_SEGMENT, "{bytes}");
        }
    }
}
