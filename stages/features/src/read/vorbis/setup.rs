//! The headers of a stream of Vorbis: section 4.2 of the Vorbis I specification.

use super::bits::{Bits, width};
use super::codebook::{Codebook, MOST_VALUES};
use super::floor::Floor;
use super::residue::Residue;

/// The setup of a decoder.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) channels: usize,
    pub(super) rate: u32,
    /// Sizes of short and long blocks.
    pub(super) sizes: [usize; 2],
    pub(super) books: Vec<Codebook>,
    pub(super) floors: Vec<Floor>,
    pub(super) residues: Vec<Residue>,
    pub(super) mappings: Vec<Mapping>,
    pub(super) modes: Vec<Mode>,
}

/// A kind of block.
#[derive(Debug)]
pub(super) struct Mode {
    pub(super) is_long: bool,
    pub(super) mapping: usize,
}

/// The coupling of channels, and the floor and the residue of each.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Channels with the magnitude and the angle.
    pub(super) steps: Vec<(usize, usize)>,
    /// Submap of each channel.
    pub(super) submap_of: Vec<usize>,
    /// Floor and residue of each submap.
    pub(super) submaps: Vec<(usize, usize)>,
}

impl Setup {
    /// Parses the identification and the setup header; `None` if one is damaged.
    pub(super) fn parse(identification: &[u8], setup: &[u8]) -> Option<Setup> {
        let mut bits = Bits::new(identification.strip_prefix(b"\x01vorbis")?);
        (bits.take(32)? == 0).then_some(())?;
        let (channels, rate) = (bits.take(8)? as usize, bits.take(32)?);
        bits.skip(96)?;
        let sizes = [1 << bits.take(4)?, 1 << bits.take(4)?];
        let is_valid = channels > 0 && 64 <= sizes[0] && sizes[0] <= sizes[1] && sizes[1] <= 8192;
        is_valid.then_some(())?;
        let mut bits = Bits::new(setup.strip_prefix(b"\x05vorbis")?);
        let mut left = MOST_VALUES;
        let books = list(&mut bits, 8, |bits| Codebook::read(bits, &mut left))?;
        list(&mut bits, 6, |bits| bits.skip(16))?;
        let floors = list(&mut bits, 6, Floor::read)?;
        let residues = list(&mut bits, 6, Residue::read)?;
        let mappings = list(&mut bits, 6, |bits| mapping(bits, channels))?;
        let modes = list(&mut bits, 6, |bits| {
            let is_long = bits.flag()?;
            bits.skip(32)?;
            Some(Mode { is_long, mapping: bits.take(8)? as usize })
        })?;
        let setup = Setup { channels, rate, sizes, books, floors, residues, mappings, modes };
        setup.is_consistent().then_some(setup)
    }

    /// Checks that what mappings and modes refer to exists.
    fn is_consistent(&self) -> bool {
        let exists = |mapping: &Mapping| {
            mapping.submap_of.iter().all(|submap| *submap < mapping.submaps.len())
                && mapping.submaps.iter().all(|(floor, residue)| {
                    *floor < self.floors.len() && *residue < self.residues.len()
                })
                && mapping.steps.iter().all(|(one, other)| {
                    one != other && *one < self.channels && *other < self.channels
                })
        };
        self.mappings.iter().all(exists)
            && self.modes.iter().all(|mode| mode.mapping < self.mappings.len())
    }
}

/// Reads a count of `size` bits, less one, and as many items.
fn list<T>(
    bits: &mut Bits<'_>,
    size: u32,
    mut item: impl FnMut(&mut Bits<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    (0..=bits.take(size)?).map(|_| item(bits)).collect()
}

fn mapping(bits: &mut Bits<'_>, channels: usize) -> Option<Mapping> {
    bits.skip(16)?;
    let count = if bits.flag()? { bits.take(4)? + 1 } else { 1 };
    let steps = if bits.flag()? { bits.take(8)? + 1 } else { 0 };
    let size = width(channels as u32 - 1);
    let steps = (0..steps)
        .map(|_| Some((bits.take(size)? as usize, bits.take(size)? as usize)))
        .collect::<Option<_>>()?;
    bits.skip(2)?;
    let submap_of = match count {
        1 => vec![0; channels],
        _ => (0..channels)
            .map(|_| bits.take(4).map(|submap| submap as usize))
            .collect::<Option<_>>()?,
    };
    let submaps = (0..count)
        .map(|_| {
            bits.skip(8)?;
            Some((bits.take(8)? as usize, bits.take(8)? as usize))
        })
        .collect::<Option<_>>()?;
    Some(Mapping { steps, submap_of, submaps })
}
