//! One stream of samples in a container of chunks (WAV, AIFF, CAF, AU): its place and its coding.

use symphonia::core::codecs::audio::AudioCodecId;

use super::sample::Sample;

/// Where the sound of a file is, and its spec.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stream {
    pub(crate) coding: Coding,
    pub(crate) channels: usize,
    pub(crate) rate: u32,
    /// Position of the first byte.
    pub(crate) start: u64,
    /// Number of bytes that are there, whatever the header claims.
    pub(crate) size: u64,
    /// Number of frames that the container announces.
    pub(crate) frames: Option<u64>,
}

/// The coding of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Coding {
    Pcm {
        sample: Sample,
        big_endian: bool,
    },
    /// 24 bits of a 32-bit container, in a place that only the samples show.
    S24Somewhere {
        big_endian: bool,
    },
    /// Packets of constant size and length.
    Blocks {
        codec: AudioCodecId,
        bytes: usize,
        frames: u64,
    },
    /// Packets of IMA 4:1.
    Ima4,
    /// Packets of Apple Lossless with their sizes.
    Alac {
        cookie: Box<[u8]>,
        sizes: Vec<u32>,
        frames: u64,
    },
    /// Frames of MPEG audio.
    Mpeg,
    /// A codec that only a program decodes, by its name.
    Other(String),
}

impl Stream {
    /// Returns the length in seconds that the container announces.
    pub(crate) fn announced(&self) -> Option<f64> {
        self.frames.map(|frames| frames as f64 / f64::from(self.rate))
    }
}
