//! A band in a crate: short clips of ten recognisable styles of music, made from nothing but numbers.
//!
//! Each style has its own tempo, drums, harmony, bass, instruments and room, and each clip draws its key,
//! pattern, players and recording from ranges that overlap with those of other styles, so that telling
//! the styles apart is a task. Knows nothing about files, params, or what the clips are for.
//!
//! Samples are computed with `+ - × ÷` and whole numbers alone, which IEEE 754 rounds the same everywhere;
//! sines and powers are polynomials of this crate ([`maths`]), not the platform's. The same arguments
//! therefore give the same bits on every machine.

mod clock;
mod drums;
mod effects;
mod genres;
mod maths;
mod rng;
mod studio;
mod theory;
mod voices;

pub use genres::Genre;
pub use maths::SAMPLE_RATE;
use rng::Rng;
use studio::Studio;

/// Clip number `index` of a style: mono, [`SAMPLE_RATE`] samples a second, the loudest sample at ±0.95.
///
/// The same arguments give the same samples. Clips of different seeds, styles or indices have nothing in
/// common but the style. A clip of `seconds` is not the beginning of a longer one: its level is its own.
pub fn clip(genre: Genre, seed: u64, index: u32, seconds: f32) -> Vec<f32> {
    let length = (seconds.max(0.0) * SAMPLE_RATE as f32).round() as usize;
    let rng = Rng::new(&[seed, genre as u64, u64::from(index)]);
    let mut studio = Studio::new(rng, length);
    genres::play(genre, &mut studio);
    studio.master()
}
