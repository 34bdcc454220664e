//! Decoded sound in memory.

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Samples; full scale is ±1. Decoded audio is finite and never empty.
    pub samples: Vec<f32>,
    /// Samples per second.
    pub sample_rate: u32,
}
