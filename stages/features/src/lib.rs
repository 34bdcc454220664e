//! Turns an audio file into the spectrogram that the network sees.
//!
//! The steps are: decode ([`decode`](mod@decode)), resample ([`resample`]), pad, and apply a
//! short-time Fourier transform ([`Spectrogram`]). Then either take logarithms and resize
//! ([`resize`]), or sum into mel bands ([`mel`]) and convert to decibels or logarithms ([`level`]).
//! [`Extractor`] runs all of them. Unaware of labels, folders of clips, and the use of the arrays.

mod audio;
pub mod collect;
pub mod decode;
mod extensions;
mod extract;
mod faults;
pub mod level;
pub mod mel;
pub mod params;
mod read;
pub mod resample;
pub mod resize;
mod stft;

pub use audio::Audio;
pub use decode::{Length, decode};
pub use extensions::is_audio;
pub use extract::{Extractor, clip_spectrogram};
pub use kit::npy::Array;
pub use level::LOG_FLOOR;
pub use params::{Kind, SpectrogramParams};
pub use stft::{Spectrogram, hann, window_spectrum};
