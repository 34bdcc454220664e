//! Decoded sound in memory.

/// One channel of sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// Full scale is ±1; every sample is finite. Never empty when it comes from [`decode`](crate::decode()).
    pub samples: Vec<f32>,
    /// Samples a second.
    pub sample_rate: u32,
}
