//! Samples without compression in QuickTime: their coding, and a reader of the chunks.
//!
//! symphonia 0.6 takes all floats and samples of 24 and 32 bits for little-endian.

use std::ops::Range;

use anyhow::Result;

use super::atoms::{find, long, word};
use super::block::Block;
use super::pcm::convert;
use super::reader::Reader;
use super::sample::Sample;
use super::source::Source;

/// Bytes converted at a time.
const BLOCK: u64 = 16 * 1024;

/// The coding of a track, from its sample entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pcm {
    pub(crate) sample: Sample,
    pub(crate) big_endian: bool,
    pub(crate) channels: usize,
    pub(crate) rate: u32,
}

impl Pcm {
    /// Parses a sample entry of versions 0 to 2, whose further atoms are `inner`.
    pub(crate) fn parse(entry: &[u8], inner: &[u8]) -> Option<Pcm> {
        let two = |at: usize| word(entry, at).map(|word| usize::from((word >> 16) as u16));
        let kind: [u8; 4] = *entry.get(4..)?.first_chunk()?;
        let is_little = find(inner, &[b"enda"]).is_some_and(|bytes| bytes.starts_with(&[0, 1]));
        if two(16)? == 2 {
            let rate = f64::from_bits(long(entry, 40)?) as u32;
            let (channels, bits, flags) =
                (word(entry, 48)? as usize, word(entry, 56)?, word(entry, 60)?);
            let bytes = bits.div_ceil(8) as usize;
            let sample = match flags & 1 {
                0 => Sample::signed(bytes)?,
                _ => Sample::float(bytes)?,
            };
            // Integers of 8 bits may be unsigned.
            let sample = if bytes == 1 && flags & 4 == 0 { Sample::U8 } else { sample };
            let is_linear = kind == *b"lpcm";
            return is_linear.then_some(Pcm { sample, big_endian: flags & 2 != 0, channels, rate });
        }
        let (channels, bits, rate) = (two(24)?, two(26)?, word(entry, 32)? >> 16);
        let signed = Sample::signed(bits.div_ceil(8));
        let (sample, big_endian) = match &kind {
            b"sowt" => (signed?, false),
            b"raw " if bits <= 8 => (Sample::U8, true),
            b"twos" | b"NONE" | b"raw " => (signed?, true),
            b"in24" => (Sample::S24, !is_little),
            b"in32" => (Sample::S32, !is_little),
            b"fl32" => (Sample::F32, !is_little),
            b"fl64" => (Sample::F64, !is_little),
            b"ulaw" => (Sample::MuLaw, true),
            b"alaw" => (Sample::ALaw, true),
            _ => return None,
        };
        Some(Pcm { sample, big_endian, channels, rate })
    }

    /// Returns the bytes of a frame.
    pub(crate) fn frame(&self) -> usize {
        self.sample.bytes() * self.channels
    }
}

/// Converts the chunks of a track.
pub(crate) struct ChunkReader {
    source: Source,
    pcm: Pcm,
    chunks: std::vec::IntoIter<Range<u64>>,
    /// The rest of the present chunk.
    chunk: Range<u64>,
    /// Seconds that the header announces.
    announced: Option<f64>,
}

impl ChunkReader {
    pub(crate) fn new(
        source: Source,
        pcm: Pcm,
        chunks: Vec<Range<u64>>,
        announced: Option<f64>,
    ) -> ChunkReader {
        ChunkReader { source, pcm, chunks: chunks.into_iter(), chunk: 0..0, announced }
    }
}

impl Reader for ChunkReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.begin(self.pcm.channels, self.pcm.rate)?;
        let frame = self.pcm.frame();
        let wanted = (BLOCK / frame as u64).max(1) * frame as u64;
        while block.samples.is_empty() {
            if self.chunk.is_empty() {
                let Some(chunk) = self.chunks.next() else { return Ok(false) };
                self.chunk = chunk;
            }
            self.source.seek(self.chunk.start)?;
            let count = wanted.min(self.chunk.end - self.chunk.start);
            let bytes = self.source.take(count as usize)?;
            self.chunk.start += count;
            let whole = bytes.len() - bytes.len() % frame;
            convert(&bytes[..whole], self.pcm.sample, self.pcm.big_endian, block);
        }
        Ok(true)
    }

    fn announced(&self) -> Option<f64> {
        self.announced
    }
}
