//! From an audio file to the picture of it that the network sees.
//!
//! decode ([`decode`]) → resample ([`resample`]) → pad → short-time Fourier transform ([`Spectrogram`]) →
//! logarithm → resize ([`resize`]). [`Extractor`] is all of it. Knows nothing about labels, folders of
//! clips, or what becomes of the arrays.

pub mod decode;
mod extract;
mod params;
pub mod resample;
pub mod resize;
mod stft;

pub use decode::{Audio, Length, decode};
pub use extract::{Extractor, LOG_FLOOR, clip_spectrogram};
pub use kit::npy::Array;
pub use params::SpectrogramParams;
pub use stft::Spectrogram;
