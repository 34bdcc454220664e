//! The header of a frame of FLAC (RFC 9639), and the block that describes a stream.

/// Properties of a stream, from its first metadata block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamInfo {
    pub(crate) rate: u32,
    pub(crate) bits: u8,
    /// Number of frames of sound; 0 if unknown.
    pub(crate) total: u64,
}

/// Bytes of the block that describes a stream.
pub(crate) const STREAM_INFO: usize = 34;

impl StreamInfo {
    pub(crate) fn parse(block: &[u8; STREAM_INFO]) -> StreamInfo {
        // 20 bits of the rate, 3 of the channels, 5 of the sample size, 36 of the length.
        let bits =
            block.iter().skip(10).take(8).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        StreamInfo {
            rate: (bits >> 44) as u32,
            bits: (bits >> 36 & 31) as u8 + 1,
            total: bits & 0xf_ffff_ffff,
        }
    }
}

/// Properties that one decoder handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) rate: u32,
    pub(crate) channels: u8,
    pub(crate) bits: u8,
}

impl Spec {
    /// Returns a block that describes a stream of this spec, with blocks of any size.
    pub(crate) fn stream_info(&self) -> Box<[u8]> {
        let bits = u64::from(self.rate) << 44
            | u64::from(self.channels - 1) << 41
            | u64::from(self.bits - 1) << 36;
        let mut block = vec![0, 16, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        block.extend(bits.to_be_bytes());
        block.resize(STREAM_INFO, 0);
        block.into()
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) spec: Spec,
    /// Frames of sound.
    pub(crate) frames: u32,
    /// Bytes of the header.
    pub(crate) length: usize,
    /// One channel is a difference, which needs one bit more.
    pub(crate) is_joint: bool,
}

/// Most bytes of a header.
pub(crate) const LONGEST: usize = 16;

impl Header {
    /// Parses a header; `None` if there is none, or its checksum is wrong.
    ///
    /// Fields that a header leaves to the stream's description come from `info`.
    pub(crate) fn parse(bytes: &[u8], info: &StreamInfo) -> Option<Header> {
        let [0xff, sync, sizes, layout] = *bytes.first_chunk()? else { return None };
        if sync & 0xfe != 0xf8 || layout & 1 != 0 {
            return None;
        }
        // The number of the block or sample, coded like a character of UTF-8.
        let more = bytes.get(4)?.leading_ones() as usize;
        let mut at = 4 + if more == 0 { 1 } else { more };
        if more == 1 || more > 7 {
            return None;
        }
        let mut take = |count: usize| {
            let taken = bytes.get(at..at + count)?;
            at += count;
            Some(taken.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        };
        let frames = match sizes >> 4 {
            0 => return None,
            1 => 192,
            code @ 2..=5 => 576 << (code - 2),
            6 => take(1)? + 1,
            7 => take(2)? + 1,
            code => 256 << (code - 8),
        };
        let rate = match sizes & 15 {
            0 => info.rate,
            12 => take(1)? * 1000,
            13 => take(2)?,
            14 => take(2)? * 10,
            15 => return None,
            code => RATES[usize::from(code)],
        };
        let bits = match layout >> 1 & 7 {
            0 => info.bits,
            3 => return None,
            code => [0, 8, 12, 0, 16, 20, 24, 32][usize::from(code)],
        };
        let (channels, is_joint) = match layout >> 4 {
            code @ 0..=7 => (code + 1, false),
            8..=10 => (2, true),
            _ => return None,
        };
        let crc = bytes.get(..=at)?.iter().fold(0, |crc, byte| CRC_8[usize::from(crc ^ byte)]);
        if crc != 0 || rate == 0 || bits == 0 {
            return None;
        }
        let spec = Spec { rate, channels, bits };
        Some(Header { spec, frames, length: at + 1, is_joint })
    }

    /// Returns an upper bound on the bytes of the frame: no coding is longer than the samples.
    pub(crate) fn longest_frame(&self) -> usize {
        let channels = usize::from(self.spec.channels);
        let bits = self.frames as usize * channels * (usize::from(self.spec.bits) + 1);
        // Encoders without that rule exist, so an eighth is added.
        bits / 8 + bits / 64 + 64 * channels + LONGEST
    }
}

const RATES: [u32; 12] =
    [0, 88_200, 176_400, 192_000, 8000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];

/// Remainders of bytes for the checksum of headers, x⁸ + x² + x + 1.
static CRC_8: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u8, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x80 == 0 { 0 } else { 0x07 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Remainders of bytes for the checksum of frames, x¹⁶ + x¹⁵ + x² + 1.
static CRC_16: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u16) << 8, 0);
        while bit < 8 {
            crc = crc << 1 ^ if crc & 0x8000 == 0 { 0 } else { 0x8005 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

/// Continues the checksum of a frame. It is 0 behind the frame's own checksum.
pub(crate) fn crc_16(crc: u16, byte: u8) -> u16 {
    crc << 8 ^ CRC_16[usize::from((crc >> 8) as u8 ^ byte)]
}
