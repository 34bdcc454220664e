//! From an audio file to the picture of it that the network sees.
//!
//! decode ([`decode`]) → resample ([`resample`]) → pad → short-time Fourier transform ([`Spectrogram`]) →
//! logarithm → resize ([`resize`]); or mel bands ([`mel`]) → decibels or logarithm ([`level`]).
//! [`Extractor`] is all of it. Knows nothing about labels, folders of clips, or what becomes of the arrays.

mod audio;
pub mod collect;
pub mod decode;
mod extract;
mod faults;
pub mod level;
pub mod mel;
pub mod params;
pub mod resample;
pub mod resize;
mod stft;
mod wav;

pub use audio::Audio;
pub use decode::{Length, decode};
pub use extract::{Extractor, clip_spectrogram};
pub use kit::npy::Array;
pub use level::LOG_FLOOR;
pub use params::{Kind, SpectrogramParams};
pub use stft::{Spectrogram, hann};
