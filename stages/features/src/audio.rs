//! Decoded sound in memory.

/// Plausible sample rates in Hz; any other rate comes from a broken header.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 500..=768_000;

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples; full scale is ±1. Decoded audio is finite and never empty.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}
