//! Synthesizes short clips of ten recognisable genres of music.
//!
//! Each genre has its own tempo, drums, harmony, bass, instruments and room. Each clip draws its
//! key, patterns, players and recording from ranges that overlap with those of other genres, so
//! that classification is not trivial. Unaware of files, params, and the use of the clips.
//!
//! Samples are computed with integers and `+ - × ÷` only, which IEEE 754 rounds the same
//! everywhere. Sines and powers are polynomials of this crate (module `maths`), not the platform's.
//! The same arguments therefore give the same bits on every machine.

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

/// Returns clip number `index` of a genre: mono at [`SAMPLE_RATE`], with a peak of 0.95.
///
/// The same arguments give the same samples. Clips with different seeds or indices share only the
/// genre. A shorter clip is not the beginning of a longer one, because each is scaled to its own
/// peak.
pub fn clip(genre: Genre, seed: u64, index: u32, seconds: f32) -> Vec<f32> {
    let length = (seconds.max(0.0) * SAMPLE_RATE as f32).round() as usize;
    let rng = Rng::new(&[seed, genre as u64, u64::from(index)]);
    let mut studio = Studio::new(rng, length);
    genres::play(genre, &mut studio);
    studio.master()
}
