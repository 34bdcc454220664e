//! The header of Sun and NeXT AU files, the original form of GTZAN. Unaware of samples.

use anyhow::{Context as _, Result};

use super::sample::Sample;
use super::source::Source;
use super::stream::{Coding, Stream};

/// Reads the header: six words, in the order of the magic number.
///
/// # Errors
/// The header is cut off.
pub(crate) fn read(source: &mut Source) -> Result<Stream> {
    let header: [u8; 24] = source.array()?.context("the AU header is cut off: replace the file")?;
    let big_endian = header.starts_with(b".snd");
    let mut words = header.as_chunks::<4>().0.iter().skip(1).map(|word| match big_endian {
        true => u32::from_be_bytes(*word),
        false => u32::from_le_bytes(*word),
    });
    let mut word = || words.next().unwrap_or(0);
    let (start, claimed, encoding, rate, channels) = (word(), word(), word(), word(), word());
    let start = u64::from(start.max(24));
    let available = source.length().saturating_sub(start);
    let is_unknown = claimed == 0 || claimed == u32::MAX;
    let size = if is_unknown { available } else { available.min(u64::from(claimed)) };
    let sample = match encoding {
        1 => Some(Sample::MuLaw),
        2 => Some(Sample::S8),
        3 => Some(Sample::S16),
        4 => Some(Sample::S24),
        5 => Some(Sample::S32),
        6 => Some(Sample::F32),
        7 => Some(Sample::F64),
        27 => Some(Sample::ALaw),
        _ => None,
    };
    let channels = channels as usize;
    let frames = sample
        .and_then(|sample| u64::from(claimed).checked_div((sample.bytes() * channels) as u64))
        .filter(|_| !is_unknown);
    let coding = match sample {
        Some(sample) => Coding::Pcm { sample, big_endian },
        None => Coding::Other(format!("AU encoding {encoding}")),
    };
    Ok(Stream { coding, channels, rate, start, size, frames })
}
