//! Vorbis with several channels.
//!
//! symphonia 0.6 is right, and faster, for one channel and for two channels in one vector. With
//! more it undoes coupling steps in the wrong order, and confuses the classes of channels whose
//! vectors are not interleaved. Those streams are decoded here, as the Vorbis I specification says.
//! Unaware of containers.

mod bits;
mod codebook;
mod floor;
mod residue;
mod setup;
mod transform;

use anyhow::{Context as _, Result, ensure};

use self::bits::{Bits, width};
use self::setup::{Mapping, Setup};
use self::transform::{Transform, overlap};
use super::block::Block;

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

/// A decoder.
pub(crate) struct Vorbis {
    setup: Setup,
    /// Transforms of short and long blocks.
    transforms: [Transform; 2],
    /// Second half of the last block of each channel.
    last: Vec<Vec<f32>>,
}

impl Vorbis {
    /// Creates a decoder; `None` if symphonia's is right for the stream.
    ///
    /// # Errors
    /// A header of a stream with three or more channels is damaged.
    pub(crate) fn new(identification: &[u8], setup: &[u8]) -> Result<Option<Vorbis>> {
        let channels = *identification.get(11).context("the Vorbis header is cut off")?;
        if channels == 1 {
            return Ok(None);
        }
        let parsed = Setup::parse(identification, setup);
        if channels == 2 {
            let is_interleaved = |setup: &Setup| {
                setup.residues.iter().all(|residue| residue.kind == residue::INTERLEAVED)
            };
            if parsed.as_ref().is_none_or(is_interleaved) {
                return Ok(None);
            }
        }
        let setup = parsed.context("the Vorbis header is damaged: replace or remove the file")?;
        let transforms = setup.sizes.map(Transform::new);
        Ok(Some(Vorbis { setup, transforms, last: Vec::new() }))
    }

    /// Appends the frames of a packet to `block`; the first packet has none.
    ///
    /// # Errors
    /// The packet is not sound.
    pub(crate) fn decode(&mut self, packet: &[u8], block: &mut Block) -> Result<()> {
        let Vorbis { setup, transforms, last } = self;
        let (is_long, spectra) = spectra(setup, packet).context("a packet is damaged")?;
        let transform = &mut transforms[usize::from(is_long)];
        let mut channels = Vec::with_capacity(spectra.len());
        for (index, spectrum) in spectra.iter().enumerate() {
            let signal = transform.inverse(spectrum)?;
            let (first, second) = signal.split_at(signal.len() / 2);
            match last.get_mut(index) {
                Some(last) => {
                    channels.push(overlap(last, first));
                    *last = second.to_vec();
                }
                None => last.push(second.to_vec()),
            }
        }
        if block.samples.is_empty() {
            block.begin(setup.channels, setup.rate)?;
        }
        ensure!(block.channels == setup.channels, "BUG: a block of another stream");
        let frames = channels.first().map_or(0, Vec::len);
        block.samples.reserve(frames * setup.channels);
        for frame in 0..frames {
            block.samples.extend(channels.iter().map(|channel| channel[frame]));
        }
        Ok(())
    }
}

/// Decodes the spectrum of each channel: section 4.3. Also returns whether the block is long.
fn spectra(setup: &Setup, packet: &[u8]) -> Option<(bool, Vec<Vec<f32>>)> {
    let mut bits = Bits::new(packet);
    (!bits.flag()?).then_some(())?;
    let mode = setup.modes.get(bits.take(width(setup.modes.len() as u32 - 1))? as usize)?;
    if mode.is_long {
        // The shapes of the window follow from the sizes of its neighbours.
        bits.skip(2)?;
    }
    let length = setup.sizes[usize::from(mode.is_long)] / 2;
    let mapping = &setup.mappings[mode.mapping];
    let floor_of = |channel: usize| &setup.floors[mapping.submaps[mapping.submap_of[channel]].0];
    let heights: Vec<_> = (0..setup.channels)
        .map(|channel| floor_of(channel).heights(&mut bits, &setup.books))
        .collect();
    let mut vectors = empty_vectors(mapping, heights.iter().map(Option::is_some).collect(), length);
    for (submap, (_, residue)) in mapping.submaps.iter().enumerate() {
        let channels =
            || (0..setup.channels).filter(|channel| mapping.submap_of[*channel] == submap);
        let mut own: Vec<_> = channels().map(|channel| vectors[channel].take()).collect();
        setup.residues[*residue].decode(&mut bits, &setup.books, &mut own, length);
        for (channel, vector) in channels().zip(own) {
            vectors[channel] = vector;
        }
    }
    // The steps are undone from the last to the first.
    for (magnitude, angle) in mapping.steps.iter().rev() {
        if let (Some(mut m), Some(mut a)) = (vectors[*magnitude].take(), vectors[*angle].take()) {
            m.iter_mut().zip(&mut a).for_each(|(m, a)| (*m, *a) = uncouple(*m, *a));
            (vectors[*magnitude], vectors[*angle]) = (Some(m), Some(a));
        }
    }
    let mut curve = vec![0.0; length];
    let spectra = heights.iter().zip(vectors).enumerate().map(|(channel, (heights, vector))| {
        let (Some(heights), Some(mut vector)) = (heights, vector) else { return vec![0.0; length] };
        floor_of(channel).curve(heights, &mut curve);
        vector.iter_mut().zip(&curve).for_each(|(value, floor)| *value *= floor);
        vector
    });
    Some((mode.is_long, spectra.collect()))
}

/// Returns vectors of zeros for the channels with a residue: those with a floor, and those that are
/// coupled with one.
fn empty_vectors(mapping: &Mapping, mut has: Vec<bool>, length: usize) -> Vec<Option<Vec<f32>>> {
    for (magnitude, angle) in &mapping.steps {
        let either = has[*magnitude] || has[*angle];
        (has[*magnitude], has[*angle]) = (either, either);
    }
    has.into_iter().map(|has| has.then(|| vec![0.0; length])).collect()
}

/// Turns a magnitude and an angle into two channels.
fn uncouple(magnitude: f32, angle: f32) -> (f32, f32) {
    match (magnitude > 0.0, angle > 0.0) {
        (true, true) => (magnitude, magnitude - angle),
        (true, false) => (magnitude + angle, magnitude),
        (false, true) => (magnitude, magnitude + angle),
        (false, false) => (magnitude - angle, magnitude),
    }
}
