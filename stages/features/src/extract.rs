//! The whole pipeline from a file to the array that the network sees.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kit::npy::Array;

use crate::collect::Collector;
use crate::decode::{Length, Outcome, decode_chunks};
use crate::level;
use crate::mel::MelBank;
use crate::params::{Kind, LONGEST_SECONDS, SpectrogramParams};
use crate::resize::resize;
use crate::stft::{Exponent, LANES, Spectrogram};

/// Extra seconds to decode. The resampler's filter looks ahead; without them the last frame would
/// contain a cut.
const LOOK_AHEAD: f64 = 0.25;

/// Computes spectrograms with fixed params and reuses its buffers. Each thread needs its own.
#[derive(Debug)]
pub struct Extractor {
    params: SpectrogramParams,
    spectrogram: Spectrogram,
    bank: Option<MelBank>,
    sound: Collector,
    outcome: Option<Outcome>,
}

impl Extractor {
    /// Plans the transforms and the mel bank.
    ///
    /// # Errors
    /// A param is out of bounds.
    pub fn new(params: &SpectrogramParams) -> Result<Extractor> {
        params.validate()?;
        let spectrogram = Spectrogram::new(params.n_fft, params.hop_length, params.padding)?;
        let bank = (params.kind == Kind::LogMel).then(|| MelBank::of(params));
        let sound = Collector::new(Some(params.sample_rate));
        Ok(Extractor { params: params.clone(), spectrogram, bank, sound, outcome: None })
    }

    /// Computes the spectrogram of a file; see [`Extractor::samples`].
    ///
    /// # Errors
    /// The file cannot be decoded, or the params ask for whole clips and it is longer than an hour.
    /// The message does not name the file.
    pub fn file(&mut self, path: impl AsRef<Path>) -> Result<Array> {
        let seconds = self.params.seconds;
        let wanted = if seconds > 0.0 { seconds } else { LONGEST_SECONDS };
        self.sound.clear();
        self.outcome = None;
        let outcome = decode_chunks(path, Length::Seconds(wanted + LOOK_AHEAD), |chunk, rate| {
            self.sound.push(chunk, rate);
        })?;
        self.outcome = Some(outcome);
        // Taken and put back below, so that the next file reuses the buffer.
        let mut samples = std::mem::take(self.sound.finish());
        let longest = LONGEST_SECONDS * f64::from(self.params.sample_rate);
        ensure!(
            seconds > 0.0 || samples.len() as f64 <= longest,
            "the clip is longer than an hour: cut it, or set the param `spectrogram.seconds`"
        );
        let array = self.compute(&mut samples);
        *self.sound.finish() = samples;
        array
    }

    /// Returns the outcome of decoding the last file; `None` if it could not be decoded.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Computes the spectrogram of mono samples at the rate of the params.
    ///
    /// The shape is (frequency, time), low frequencies first. If the params set `seconds`, longer
    /// clips are cut and shorter ones padded with silence. Otherwise the clip keeps its length,
    /// unless it is too short for a single frame; then it is padded to one.
    ///
    /// # Errors
    /// None if the params are valid.
    pub fn samples(&mut self, mut samples: Vec<f32>) -> Result<Array> {
        self.compute(&mut samples)
    }

    fn compute(&mut self, samples: &mut Vec<f32>) -> Result<Array> {
        let length = self.params.samples().unwrap_or(samples.len().max(self.params.shortest()));
        samples.resize(length, 0.0);
        match self.params.kind {
            Kind::LogPower => self.log_power(samples),
            Kind::LogMel => self.log_mel(samples),
        }
    }

    fn log_power(&mut self, samples: &[f32]) -> Result<Array> {
        let mut data = self.spectrogram.power(samples)?;
        level::log(&mut data);
        let from = [self.spectrogram.bins(), self.spectrogram.frames(samples.len())];
        if !self.params.resize {
            return Ok(Array { shape: from.to_vec(), data });
        }
        let to = [self.params.size; 2];
        Ok(Array { shape: to.to_vec(), data: resize(&data, from, to) })
    }

    fn log_mel(&mut self, samples: &[f32]) -> Result<Array> {
        let SpectrogramParams { n_mels, power, scale, top_db, normalise, .. } = self.params;
        let frames = self.spectrogram.frames(samples.len());
        let mut data = vec![0.0; n_mels * frames];
        let exponent = if power == 1 { Exponent::Magnitude } else { Exponent::Power };
        let bank = self.bank.as_ref().context("BUG: a log_mel extractor without a mel bank")?;
        self.spectrogram.tiles(samples, exponent, |first, tile| {
            bank.apply(tile, |band, values| {
                let row = &mut data[band * frames..][..frames];
                // A copy of constant length compiles to two instructions; any other is a call.
                match row[first..].first_chunk_mut::<LANES>() {
                    Some(full) => *full = *values,
                    None => row[first..].copy_from_slice(&values[..frames - first]),
                }
            });
        })?;
        level::to_scale(&mut data, scale, power, top_db as f32);
        level::normalise(&mut data, normalise);
        Ok(Array { shape: vec![n_mels, frames], data })
    }
}

/// Computes the spectrogram of one file. For many files, reuse an [`Extractor`].
///
/// # Errors
/// A param is out of bounds, or the file cannot be decoded; the message names the file.
pub fn clip_spectrogram(path: impl AsRef<Path>, params: &SpectrogramParams) -> Result<Array> {
    let path = path.as_ref();
    Extractor::new(params)?
        .file(path)
        .with_context(|| format!("cannot make a spectrogram of `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::LOG_FLOOR;
    use crate::params::Padding;

    fn small() -> SpectrogramParams {
        SpectrogramParams { seconds: 0.5, size: 10, ..SpectrogramParams::default() }
    }

    #[test]
    fn fixed_seconds_give_fixed_shapes() {
        for params in [
            small(),
            SpectrogramParams { resize: false, ..small() },
            SpectrogramParams { kind: Kind::LogMel, ..small() },
        ] {
            let mut extractor = Extractor::new(&params).unwrap();
            for length in [0, 1, 700, 11_025, 50_000] {
                let array = extractor.samples(vec![0.1; length]).unwrap();
                assert_eq!(array.shape, [params.rows(), params.columns().unwrap()]);
                assert_eq!(array.data.len(), array.shape[0] * array.shape[1]);
            }
        }
    }

    #[test]
    fn frames_of_whole_clips() {
        for (padding, lengths) in [
            (Padding::Reflect, [(0, 2), (513, 2), (5119, 10), (5120, 11)]),
            (Padding::Zeros, [(0, 1), (513, 2), (5119, 10), (5120, 11)]),
            (Padding::None, [(0, 1), (1535, 1), (1536, 2), (5120, 9)]),
        ] {
            let params = SpectrogramParams { kind: Kind::LogMel, seconds: 0.0, padding, ..small() };
            let mut extractor = Extractor::new(&params).unwrap();
            for (length, frames) in lengths {
                let array = extractor.samples(vec![0.1; length]).unwrap();
                assert_eq!(array.shape, [128, frames], "{padding:?} {length}");
                assert!(array.data.iter().all(|value| value.is_finite()));
            }
        }
    }

    #[test]
    fn silence_has_floor_level() {
        let array = Extractor::new(&small()).unwrap().samples(vec![]).unwrap();
        for value in array.data {
            assert!((value - LOG_FLOOR.ln()).abs() < 1e-4);
        }
    }

    #[test]
    fn tone_peaks_in_its_mel_band() {
        let params =
            SpectrogramParams { kind: Kind::LogMel, n_mels: 40, ..SpectrogramParams::default() };
        let tone =
            (0..22_050).map(|n| (std::f32::consts::TAU * 1000.0 * n as f32 / 22_050.0).sin());
        let array = Extractor::new(&params).unwrap().samples(tone.collect()).unwrap();
        let frames = array.shape[1];
        let level = |band: &usize| array.data[band * frames + frames / 2];
        let loudest = (0..40).max_by(|a, b| level(a).total_cmp(&level(b)));
        // On Slaney's scale, band corners are 49.9 / 41 mels apart and 1 kHz is 15 mels.
        assert_eq!(loudest, Some((15.0 * 41.0 / 49.9_f64).round() as usize - 1));
    }

    #[test]
    fn missing_file_is_named() {
        let error = clip_spectrogram("no/such.wav", &small()).unwrap_err();
        let message = format!("{error:#}");
        assert!(message.contains("`no/such.wav`"), "{message}");
    }
}
