//! Samples without compression: linear PCM, floats, µ-law and A-law.
//!
//! Samples are only converted, which takes a fraction of a decoder's time.

use anyhow::Result;

use super::block::Block;
use super::reader::Reader;
use super::sample::Sample;
use super::source::Source;
use super::stream::Stream;

/// Bytes converted at a time. They fit in the first-level cache.
const BLOCK: usize = 16 * 1024;

/// Converts the bytes of a stream.
#[derive(Debug)]
pub(crate) struct PcmReader {
    source: Source,
    stream: Stream,
    sample: Sample,
    big_endian: bool,
    /// Bytes not yet read.
    left: u64,
}

impl PcmReader {
    pub(crate) fn new(
        mut source: Source,
        stream: Stream,
        sample: Sample,
        big_endian: bool,
    ) -> Result<PcmReader> {
        source.seek(stream.start)?;
        let left = stream.size;
        Ok(PcmReader { source, stream, sample, big_endian, left })
    }
}

impl Reader for PcmReader {
    fn next(&mut self, block: &mut Block) -> Result<bool> {
        block.begin(self.stream.channels, self.stream.rate)?;
        let frame = self.sample.bytes() * self.stream.channels;
        let wanted = (BLOCK / frame).max(1) * frame;
        let bytes = self.source.take(self.left.min(wanted as u64) as usize)?;
        self.left -= bytes.len() as u64;
        convert(&bytes[..bytes.len() - bytes.len() % frame], self.sample, self.big_endian, block);
        Ok(!block.samples.is_empty())
    }

    fn announced(&self) -> Option<f64> {
        self.stream.announced()
    }
}

/// Appends the values of whole frames.
pub(crate) fn convert(bytes: &[u8], sample: Sample, big_endian: bool, block: &mut Block) {
    let out = &mut block.samples;
    match sample {
        Sample::U8 => out.extend(bytes.iter().map(|byte| f32::from((byte ^ 0x80) as i8) / 128.0)),
        Sample::S8 => out.extend(bytes.iter().map(|byte| f32::from(*byte as i8) / 128.0)),
        Sample::MuLaw => out.extend(bytes.iter().map(|byte| MU_LAW[usize::from(*byte)])),
        Sample::ALaw => out.extend(bytes.iter().map(|byte| A_LAW[usize::from(*byte)])),
        Sample::S16 => each(bytes, big_endian, out, |sample| {
            f32::from(i16::from_le_bytes(sample)) * (1.0 / 32_768.0)
        }),
        Sample::S24 => each(bytes, big_endian, out, |[low, middle, high]| {
            signed(i32::from_le_bytes([0, low, middle, high]))
        }),
        Sample::S24In32 => each(bytes, big_endian, out, |[low, middle, high, _]| {
            signed(i32::from_le_bytes([0, low, middle, high]))
        }),
        Sample::S32 => each(bytes, big_endian, out, |sample| signed(i32::from_le_bytes(sample))),
        Sample::F32 => each(bytes, big_endian, out, f32::from_le_bytes),
        Sample::F64 => each(bytes, big_endian, out, |sample| f64::from_le_bytes(sample) as f32),
    }
}

/// Appends the value of each sample of `N` bytes; `value` gets them in little-endian order.
fn each<const N: usize>(
    bytes: &[u8],
    big_endian: bool,
    out: &mut Vec<f32>,
    value: impl Fn([u8; N]) -> f32,
) {
    let samples = bytes.as_chunks::<N>().0.iter().copied();
    match big_endian {
        false => out.extend(samples.map(value)),
        true => out.extend(samples.map(|mut sample| {
            sample.reverse();
            value(sample)
        })),
    }
}

fn signed(value: i32) -> f32 {
    value as f32 / 2_147_483_648.0
}

/// Values of µ-law bytes: ITU-T G.711, table 2a.
static MU_LAW: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = !byte;
        let magnitude = ((((bits & 15) << 3) + 132) << ((bits >> 4) & 7)) - 132;
        let value = if bits & 0x80 == 0 { magnitude } else { -magnitude };
        values[byte as usize] = value as f32 / 32_768.0;
        byte += 1;
    }
    values
};

/// Values of A-law bytes: ITU-T G.711, table 1a.
static A_LAW: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        let bits = byte ^ 0x55;
        let (exponent, mantissa) = ((bits >> 4) & 7, ((bits & 15) << 4) + 8);
        let magnitude = if exponent == 0 { mantissa } else { (mantissa + 256) << (exponent - 1) };
        let value = if bits & 0x80 == 0 { -magnitude } else { magnitude };
        values[byte as usize] = value as f32 / 32_768.0;
        byte += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(bytes: &[u8], sample: Sample, big_endian: bool) -> Vec<f32> {
        let mut block = Block { channels: 1, rate: 8000, ..Block::default() };
        convert(bytes, sample, big_endian, &mut block);
        block.samples
    }

    #[test]
    fn values_of_samples() {
        for (sample, bytes, expected) in [
            (Sample::U8, vec![0x00, 0x80, 0xc0], vec![-1.0, 0.0, 0.5]),
            (Sample::S8, vec![0x80, 0x00, 0x40], vec![-1.0, 0.0, 0.5]),
            (Sample::S16, vec![0x00, 0x80, 0x00, 0x40], vec![-1.0, 0.5]),
            (Sample::S24, vec![0x00, 0x00, 0x80, 0x00, 0x00, 0x40], vec![-1.0, 0.5]),
            (Sample::S24In32, vec![0x00, 0x00, 0x80, 0xff, 0, 0, 0x40, 0], vec![-1.0, 0.5]),
            (Sample::S32, vec![0, 0, 0, 0x80, 0, 0, 0, 0x40], vec![-1.0, 0.5]),
            (Sample::F32, (-0.25_f32).to_le_bytes().to_vec(), vec![-0.25]),
            (Sample::F64, 0.75_f64.to_le_bytes().to_vec(), vec![0.75]),
            // The loudest and the quietest values of G.711.
            (Sample::MuLaw, vec![0x00, 0x80, 0xff, 0x7f], [-32124, 32124, 0, 0].map(scaled).into()),
            (Sample::ALaw, vec![0x2a, 0xaa, 0xd5, 0x55], [-32256, 32256, 8, -8].map(scaled).into()),
        ] {
            assert_eq!(converted(&bytes, sample, false), expected, "{sample:?}");
            let swapped: Vec<u8> =
                bytes.chunks(sample.bytes()).flat_map(|one| one.iter().rev().copied()).collect();
            assert_eq!(converted(&swapped, sample, true), expected, "{sample:?}");
        }
    }

    fn scaled(value: i16) -> f32 {
        f32::from(value) / 32_768.0
    }
}
