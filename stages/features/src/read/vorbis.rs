//! Which decoder of Vorbis is right for a stream, from its headers.
//!
//! symphonia 0.6 is the faster one, and right for one channel and for two channels in one vector.
//! With more it undoes coupling steps in the wrong order, and confuses the classes of channels
//! whose vectors are not interleaved. lewton takes those streams.

use anyhow::{Context as _, Result};

const DAMAGED: &str = "the Vorbis header is damaged: replace or remove the file";

/// Type of residues with the vectors of all channels interleaved.
const INTERLEAVED: u32 = 2;

/// Most values of a codebook. Encoders use less than 10,000; a header can ask for 2⁴⁰.
const MOST_VALUES: u32 = 1 << 22;

/// Checks whether symphonia decodes a stream right.
///
/// # Errors
/// A header is damaged, or asks for too much memory.
pub(crate) fn suits_symphonia(identification: &[u8], setup: &[u8]) -> Result<bool> {
    let channels = *identification.get(11).context(DAMAGED)?;
    let residues = residues(setup).context(DAMAGED)?;
    let is_interleaved = residues.iter().all(|kind| *kind == INTERLEAVED);
    Ok(channels == 1 || channels == 2 && is_interleaved)
}

/// Bytes of the identification header.
const IDENTIFICATION: usize = 30;

/// Splits the headers that symphonia's reader of Matroska puts one behind the other, or that
/// Matroska stores with their sizes.
pub(crate) fn split(headers: &[u8]) -> Option<(&[u8], &[u8])> {
    let (2, mut rest) = headers.split_first().map(|(count, rest)| (*count, rest))? else {
        return headers.split_at_checked(IDENTIFICATION);
    };
    let mut size = || {
        let mut size = 0;
        loop {
            let (byte, after) = rest.split_first()?;
            rest = after;
            size += usize::from(*byte);
            if *byte < 255 {
                return Some(size);
            }
        }
    };
    let (first, second) = (size()?, size()?);
    Some((rest.get(..first)?, rest.get(first.checked_add(second)?..)?))
}

/// Returns the types of all residues: section 4.2.4 of the Vorbis I specification.
fn residues(setup: &[u8]) -> Option<Vec<u32>> {
    let mut bits = Bits { bytes: setup.strip_prefix(b"\x05vorbis")?, at: 0 };
    for _ in 0..=bits.take(8)? {
        codebook(&mut bits)?;
    }
    for _ in 0..=bits.take(6)? {
        bits.skip(16)?;
    }
    for _ in 0..=bits.take(6)? {
        floor(&mut bits)?;
    }
    let count = bits.take(6)? + 1;
    (0..count).map(|_| residue(&mut bits)).collect()
}

fn codebook(bits: &mut Bits<'_>) -> Option<()> {
    (bits.take(24)? == 0x56_4342).then_some(())?;
    let (dimensions, entries) = (bits.take(16)?, bits.take(24)?);
    entries.checked_mul(dimensions).filter(|values| *values <= MOST_VALUES)?;
    if bits.take(1)? == 1 {
        bits.skip(5)?;
        let mut done = 0;
        while done < entries {
            done += bits.take(width(entries - done))?;
        }
    } else {
        let is_sparse = bits.take(1)? == 1;
        for _ in 0..entries {
            if !is_sparse || bits.take(1)? == 1 {
                bits.skip(5)?;
            }
        }
    }
    let lookup = bits.take(4)?;
    if lookup == 0 {
        return Some(());
    }
    bits.skip(64)?;
    let value = bits.take(4)? as usize + 1;
    bits.skip(1)?;
    let count = if lookup == 1 { root(entries, dimensions) } else { entries * dimensions };
    bits.skip((count as usize).checked_mul(value)?)
}

/// Returns the largest number whose power `dimensions` is at most `entries`.
fn root(entries: u32, dimensions: u32) -> u32 {
    let fits = |base: u32| base.checked_pow(dimensions).is_some_and(|power| power <= entries);
    let mut base = (f64::from(entries)).powf(1.0 / f64::from(dimensions)).floor() as u32;
    while fits(base + 1) && dimensions > 0 {
        base += 1;
    }
    while base > 0 && !fits(base) {
        base -= 1;
    }
    base
}

fn floor(bits: &mut Bits<'_>) -> Option<()> {
    if bits.take(16)? == 0 {
        bits.skip(8 + 16 + 16 + 6 + 8)?;
        let books = bits.take(4)? as usize + 1;
        return bits.skip(8 * books);
    }
    let partitions = bits.take(5)?;
    let classes: Vec<u32> = (0..partitions).map(|_| bits.take(4)).collect::<Option<_>>()?;
    let mut dimensions = Vec::new();
    for _ in 0..classes.iter().max().map_or(0, |most| most + 1) {
        dimensions.push(bits.take(3)? as usize + 1);
        let subclasses = bits.take(2)?;
        bits.skip(if subclasses > 0 { 8 } else { 0 } + (8 << subclasses))?;
    }
    bits.skip(2)?;
    let range = bits.take(4)? as usize;
    for class in classes {
        bits.skip(dimensions.get(class as usize)? * range)?;
    }
    Some(())
}

/// Reads a residue and returns its type.
fn residue(bits: &mut Bits<'_>) -> Option<u32> {
    let kind = bits.take(16)?;
    bits.skip(24 + 24 + 24)?;
    let classes = bits.take(6)? + 1;
    bits.skip(8)?;
    let mut books = 0;
    for _ in 0..classes {
        let low = bits.take(3)?;
        let high = if bits.take(1)? == 1 { bits.take(5)? } else { 0 };
        books += low.count_ones() + high.count_ones();
    }
    bits.skip(8 * books as usize)?;
    Some(kind)
}

/// Returns the number of bits that `value` needs.
fn width(value: u32) -> usize {
    (u32::BITS - value.leading_zeros()) as usize
}

/// Bits from the lowest of each byte on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// Returns the next `count` bits, at most 32; `None` if there are fewer.
    fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for bit in 0..count {
            let at = self.at + bit;
            value |= u32::from(self.bytes.get(at / 8)? >> (at % 8) & 1) << bit;
        }
        self.at += count;
        Some(value)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.at = self.at.checked_add(count).filter(|at| *at <= self.bytes.len() * 8)?;
        Some(())
    }
}
