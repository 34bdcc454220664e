//! Codebooks: section 3 of the Vorbis I specification.

use super::bits::{Bits, width};

/// Most values of all codebooks. Encoders use less than 100,000; a header can ask for 2⁴⁸.
pub(super) const MOST_VALUES: u32 = 1 << 22;

/// A prefix code, and the vector of each entry.
#[derive(Debug)]
pub(super) struct Codebook {
    pub(super) dimensions: usize,
    /// Children of each node of the tree: another node, or `LEAF` and an entry, or 0.
    nodes: Vec<[u32; 2]>,
    vectors: Vec<f32>,
}

const LEAF: u32 = 1 << 31;

impl Codebook {
    /// Reads a codebook with at most `left` values, and subtracts them.
    pub(super) fn read(bits: &mut Bits<'_>, left: &mut u32) -> Option<Codebook> {
        (bits.take(24)? == 0x56_4342).then_some(())?;
        let (dimensions, entries) = (bits.take(16)?, bits.take(24)?);
        *left = left.checked_sub(entries.checked_mul(dimensions.max(1))?)?;
        let lengths = lengths(bits, entries)?;
        let vectors = vectors(bits, entries, dimensions)?;
        Some(Codebook { dimensions: dimensions as usize, nodes: tree(&lengths)?, vectors })
    }

    /// Reads an entry; `None` at the end of the packet, or if the bits are no code.
    pub(super) fn entry(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let mut node = 0;
        loop {
            node = self.nodes.get(node as usize)?[bits.take(1)? as usize];
            if node & LEAF != 0 {
                return Some(node & !LEAF);
            }
            if node == 0 {
                return None;
            }
        }
    }

    /// Reads an entry and returns its vector.
    pub(super) fn vector(&self, bits: &mut Bits<'_>) -> Option<&[f32]> {
        let first = self.entry(bits)? as usize * self.dimensions;
        self.vectors.get(first..first + self.dimensions)
    }
}

/// Reads the length of each entry's code; 0 if it is not used.
fn lengths(bits: &mut Bits<'_>, entries: u32) -> Option<Vec<u32>> {
    let mut lengths = Vec::new();
    if bits.flag()? {
        let mut length = bits.take(5)? + 1;
        while (lengths.len() as u32) < entries {
            let left = entries - lengths.len() as u32;
            let count = bits.take(width(left))?;
            (count <= left && length <= 32).then_some(())?;
            lengths.extend(std::iter::repeat_n(length, count as usize));
            length += 1;
        }
    } else {
        let is_sparse = bits.flag()?;
        for _ in 0..entries {
            let is_used = !is_sparse || bits.flag()?;
            lengths.push(if is_used { bits.take(5)? + 1 } else { 0 });
        }
    }
    Some(lengths)
}

/// Gives each entry the lowest code of its length that is left; `None` if none is.
fn tree(lengths: &[u32]) -> Option<Vec<[u32; 2]>> {
    let mut nodes = vec![[0; 2]];
    // Nodes with a child that is not used yet, at each depth, the lowest last.
    let mut free: Vec<Vec<u32>> = vec![Vec::new(); 33];
    free[0].push(0);
    let used = lengths.iter().enumerate().filter(|(_, length)| **length > 0);
    if used.clone().count() == 1 {
        // One entry alone has a code of one bit, whatever its value.
        let entry = used.clone().next()?.0 as u32 | LEAF;
        return Some(vec![[entry; 2]]);
    }
    for (entry, length) in used {
        let length = *length as usize;
        // Nodes at a depth are taken from the left; deeper ones first have the lower codes.
        let depth = (0..length).rev().find(|depth| !free[*depth].is_empty())?;
        let mut node = free[depth].pop()?;
        for (depth, free) in free.iter_mut().enumerate().take(length).skip(depth) {
            let side = usize::from(nodes[node as usize][0] != 0);
            let child = if depth + 1 == length { LEAF | entry as u32 } else { nodes.len() as u32 };
            nodes[node as usize][side] = child;
            if side == 0 {
                free.push(node);
            }
            if depth + 1 < length {
                nodes.push([0; 2]);
                node = child;
            }
        }
    }
    Some(nodes)
}

/// Reads the vectors of all entries; none if the book is for numbers only.
fn vectors(bits: &mut Bits<'_>, entries: u32, dimensions: u32) -> Option<Vec<f32>> {
    let kind = bits.take(4)?;
    if kind == 0 {
        return Some(Vec::new());
    }
    let (least, step) = (float(bits.take(32)?), float(bits.take(32)?));
    let (size, is_sum) = (bits.take(4)? + 1, bits.flag()?);
    let count = match kind {
        1 => root(entries, dimensions),
        2 => entries * dimensions,
        _ => return None,
    };
    let values: Vec<u32> = (0..count).map(|_| bits.take(size)).collect::<Option<_>>()?;
    let mut vectors = Vec::with_capacity((entries * dimensions) as usize);
    for entry in 0..entries {
        let (mut last, mut divisor) = (0.0, 1_u32);
        for dimension in 0..dimensions {
            let index = match kind {
                1 => entry / divisor % count,
                _ => entry * dimensions + dimension,
            };
            let value = *values.get(index as usize)? as f32 * step + least + last;
            last = if is_sum { value } else { 0.0 };
            vectors.push(value);
            divisor = divisor.saturating_mul(count);
        }
    }
    Some(vectors)
}

/// Returns the largest number whose power `dimensions` is at most `entries`.
fn root(entries: u32, dimensions: u32) -> u32 {
    let fits = |base: u32| base.checked_pow(dimensions).is_some_and(|power| power <= entries);
    let mut base = f64::from(entries).powf(1.0 / f64::from(dimensions.max(1))) as u32 + 1;
    while base > 1 && !fits(base) {
        base -= 1;
    }
    base
}

/// Unpacks a float of 21 bits of mantissa, 10 of exponent and a sign.
fn float(bits: u32) -> f32 {
    let mantissa = f64::from(bits & 0x1f_ffff);
    let exponent = (bits >> 21 & 0x3ff) as i32 - 788;
    let value = mantissa * 2.0_f64.powi(exponent);
    (if bits >> 31 == 0 { value } else { -value }) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of section 3.2.1.
    #[test]
    fn codes_of_lengths() {
        let book = Codebook {
            dimensions: 1,
            nodes: tree(&[2, 4, 4, 4, 4, 2, 3, 3]).unwrap(),
            vectors: vec![],
        };
        for (entry, code) in
            ["00", "0100", "0101", "0110", "0111", "10", "110", "111"].iter().enumerate()
        {
            let byte =
                code.bytes().enumerate().fold(0, |byte, (at, bit)| byte | (bit - b'0') << at);
            assert_eq!(book.entry(&mut Bits::new(&[byte])), Some(entry as u32), "{code}");
        }
        // More codes than there are.
        assert_eq!(tree(&[1, 1, 1]), None);
    }

    #[test]
    fn roots_and_floats() {
        assert_eq!([root(81, 4), root(80, 4), root(1, 3), root(0, 2)], [3, 2, 1, 1]);
        assert_eq!(float(788 << 21 | 3), 3.0);
        assert_eq!(float(1 << 31 | 787 << 21 | 3), -1.5);
    }
}
