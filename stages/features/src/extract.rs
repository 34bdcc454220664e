//! All of it: from a file to the array that the network sees.

use std::path::Path;

use anyhow::{Context as _, Result};
use kit::npy::Array;

use crate::decode::{Length, decode};
use crate::params::SpectrogramParams;
use crate::resample::resample;
use crate::resize::resize;
use crate::stft::Spectrogram;

/// Powers below this are taken as this: the natural logarithm of silence is about -23.
pub const LOG_FLOOR: f32 = 1e-10;

/// The resampler's filter looks ahead; without a little more sound the last frame would hear a cut.
const LOOK_AHEAD: f64 = 0.1;

/// Makes log-power spectrograms that all have one shape; one for each thread.
#[derive(Debug)]
pub struct Extractor {
    params: SpectrogramParams,
    spectrogram: Spectrogram,
}

impl Extractor {
    /// # Errors
    /// Params out of their bounds.
    pub fn new(params: &SpectrogramParams) -> Result<Extractor> {
        params.validate()?;
        let spectrogram = Spectrogram::new(params.n_fft, params.hop_length)?;
        Ok(Extractor { params: params.clone(), spectrogram })
    }

    /// The spectrogram of a file's first seconds; see [`Extractor::samples`].
    ///
    /// # Errors
    /// The file cannot be decoded; the message does not have its name.
    pub fn file(&mut self, path: impl AsRef<Path>) -> Result<Array> {
        let audio = decode(path, Length::Seconds(self.params.seconds + LOOK_AHEAD))?;
        let audio = resample(&audio, self.params.sample_rate)?;
        self.samples(audio.samples)
    }

    /// ln(max(power, [`LOG_FLOOR`])) of mono samples at the params' rate, of shape (frequency, time), low
    /// frequencies first, resized if the params say so. Samples beyond the params' seconds do not count;
    /// missing ones are silence, at the end.
    ///
    /// # Errors
    /// None for params that were valid.
    pub fn samples(&mut self, mut samples: Vec<f32>) -> Result<Array> {
        samples.resize(self.params.samples(), 0.0);
        let mut data = self.spectrogram.power(&samples)?;
        for value in &mut data {
            *value = value.max(LOG_FLOOR).ln();
        }
        let to = self.params.shape();
        if self.params.resize {
            let from = [self.spectrogram.bins(), self.spectrogram.frames(samples.len())];
            data = resize(&data, from, to);
        }
        Ok(Array { shape: to.to_vec(), data })
    }
}

/// The spectrogram of one file; for many, keep an [`Extractor`].
///
/// # Errors
/// Params out of their bounds; a file that cannot be decoded, named.
pub fn clip_spectrogram(path: impl AsRef<Path>, params: &SpectrogramParams) -> Result<Array> {
    let path = path.as_ref();
    Extractor::new(params)?
        .file(path)
        .with_context(|| format!("cannot make a spectrogram of `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> SpectrogramParams {
        SpectrogramParams { seconds: 0.5, size: 10, ..SpectrogramParams::default() }
    }

    #[test]
    fn all_shapes_agree_whatever_the_length() {
        for params in [small(), SpectrogramParams { resize: false, ..small() }] {
            let mut extractor = Extractor::new(&params).unwrap();
            for length in [0, 1, 700, 11_025, 50_000] {
                let array = extractor.samples(vec![0.1; length]).unwrap();
                assert_eq!(array.shape, params.shape());
                assert_eq!(array.data.len(), array.shape[0] * array.shape[1]);
            }
        }
    }

    #[test]
    fn silence_is_the_floor() {
        let array = Extractor::new(&small()).unwrap().samples(vec![]).unwrap();
        for value in array.data {
            assert!((value - LOG_FLOOR.ln()).abs() < 1e-4);
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = clip_spectrogram("no/such.wav", &small()).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("`no/such.wav`"), "{message}");
    }
}
