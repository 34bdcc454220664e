//! Params of the section `spectrogram`, their defaults and their bounds.

use std::fmt::Display;

use anyhow::{Error, Result, anyhow, ensure};
use serde::{Deserialize, Serialize};

/// Longest clip that is processed whole, in seconds. A longer one must be cut, or `seconds` be set.
pub const LONGEST_SECONDS: f64 = 3600.0;

/// Params of a spectrogram. Keys of the other kind have no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpectrogramParams {
    /// Kind of the rows.
    pub kind: Kind,
    /// Samples per second after resampling, 1,000 to 192,000.
    pub sample_rate: u32,
    /// Window length of the Fourier transform in samples; it gives `n_fft / 2 + 1` frequency bins.
    pub n_fft: usize,
    /// Distance between windows in samples.
    pub hop_length: usize,
    /// Padding before the first sample and after the last.
    pub padding: Padding,
    /// Seconds of each clip to use; a shorter clip is padded with silence. 0 means the whole clip.
    pub seconds: f64,
    /// `log_power`: whether to resize to `size` × `size`. Otherwise the shape is bins × frames.
    pub resize: bool,
    /// `log_power`: rows and columns after the resize.
    pub size: usize,
    /// `log_mel`: number of bands.
    pub n_mels: usize,
    /// `log_mel`: lower edge of the lowest band, in Hz.
    pub fmin: f64,
    /// `log_mel`: upper edge of the highest band, in Hz; 0 means half the sample rate.
    pub fmax: f64,
    /// `log_mel`: scale on which all bands have the same width.
    pub mel_scale: MelScale,
    /// `log_mel`: height of the triangles.
    pub mel_norm: MelNorm,
    /// `log_mel`: exponent of the magnitude, 1 or 2.
    pub power: u8,
    /// `log_mel`: scale of the band values.
    pub scale: Scale,
    /// `log_mel` in dB: largest distance below the clip's loudest value; 0 means no limit.
    pub top_db: f64,
    /// `log_mel`: final normalisation.
    pub normalise: Normalise,
}

/// Kind of the rows of a spectrogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Logarithm of the power in each frequency bin, low frequencies first.
    LogPower,
    /// Level of each mel band, low frequencies first.
    LogMel,
}

/// Padding before the first sample and after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Half a window of the mirrored signal; frames are centred, as in torchaudio.
    Reflect,
    /// Half a window of zeros; frames are centred, as in librosa.
    Zeros,
    /// No padding; the first frame begins at the first sample (`center=False` in both).
    None,
}

impl Padding {
    /// Returns the number of frames of a signal of `samples` samples, at least 1.
    pub fn frames(self, samples: usize, n_fft: usize, hop_length: usize) -> usize {
        match self {
            Padding::Reflect | Padding::Zeros => 1 + samples / hop_length,
            Padding::None => 1 + samples.saturating_sub(n_fft) / hop_length,
        }
    }
}

/// Scale on which all bands have the same width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above; librosa's default.
    Slaney,
    /// 2595 log10(1 + f / 700); torchaudio's default.
    Htk,
}

/// Height of the triangle of a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// All triangles have the same area; librosa's default.
    Slaney,
    /// All triangles have height 1; torchaudio's default.
    None,
}

/// Scale of the band values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Decibels, with a floor of 1e-10 in power and at most `top_db` below the loudest value.
    Db,
    /// Natural logarithm, with a floor of 1e-10.
    Log,
    /// ln(1 + value).
    Log1p,
}

/// Final normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// No normalisation.
    None,
    /// Each clip is scaled to mean 0 and standard deviation 1. A clip of almost one level is scaled
    /// less; see [`crate::level::SMALLEST_DEVIATION`].
    Clip,
}

impl Default for SpectrogramParams {
    fn default() -> Self {
        SpectrogramParams {
            kind: Kind::LogPower,
            sample_rate: 22050,
            n_fft: 1024,
            hop_length: 512,
            padding: Padding::Reflect,
            seconds: 0.0,
            resize: true,
            size: 100,
            n_mels: 128,
            fmin: 0.0,
            fmax: 0.0,
            mel_scale: MelScale::Slaney,
            mel_norm: MelNorm::Slaney,
            power: 2,
            scale: Scale::Db,
            top_db: 80.0,
            normalise: Normalise::None,
        }
    }
}

impl SpectrogramParams {
    /// Checks that every value is within its bounds.
    ///
    /// # Errors
    /// Names the key of a value that is out of bounds.
    pub fn validate(&self) -> Result<()> {
        let SpectrogramParams { sample_rate, n_fft, hop_length, seconds, size, .. } = *self;
        ensure!(
            (1_000..=192_000).contains(&sample_rate),
            invalid_param("sample_rate", format!("must be from 1000 to 192000, not {sample_rate}"))
        );
        ensure!(
            (16..=65_536).contains(&n_fft) && n_fft.is_multiple_of(2),
            invalid_param("n_fft", format!("must be an even number from 16 to 65536, not {n_fft}"))
        );
        ensure!(
            (1..=n_fft).contains(&hop_length),
            invalid_param(
                "hop_length",
                format!("must be from 1 to {n_fft} (n_fft), not {hop_length}")
            )
        );
        ensure!(
            (0.0..=LONGEST_SECONDS).contains(&seconds),
            invalid_param("seconds", format!("must be from 0 to {LONGEST_SECONDS}, not {seconds}"))
        );
        ensure!(
            (1..=4096).contains(&size),
            invalid_param("size", format!("must be from 1 to 4096, not {size}"))
        );
        if let Some(samples) = self.samples() {
            ensure!(
                samples >= self.shortest(),
                invalid_param(
                    "seconds",
                    format!(
                        "is too short: {seconds} s are {samples} samples, \
                 too few for an n_fft of {n_fft}"
                    )
                )
            );
        }
        self.validate_mel()
    }

    fn validate_mel(&self) -> Result<()> {
        let SpectrogramParams { n_mels, fmin, fmax, power, top_db, .. } = *self;
        let half = f64::from(self.sample_rate) / 2.0;
        ensure!(
            (1..=4096).contains(&n_mels),
            invalid_param("n_mels", format!("must be from 1 to 4096, not {n_mels}"))
        );
        ensure!(
            (0.0..half).contains(&fmin),
            invalid_param("fmin", format!("must be at least 0 and below {half} Hz, not {fmin}"))
        );
        ensure!(
            fmax == 0.0 || (fmax > fmin && fmax <= half),
            invalid_param(
                "fmax",
                format!("must be 0, or above {fmin} (fmin) and at most {half} Hz, not {fmax}")
            )
        );
        ensure!(
            matches!(power, 1 | 2),
            invalid_param("power", format!("must be 1 or 2, not {power}"))
        );
        ensure!(
            (0.0..=1000.0).contains(&top_db),
            invalid_param("top_db", format!("must be from 0 to 1000, not {top_db}"))
        );
        Ok(())
    }

    /// Returns the samples of a clip to use after resampling: `seconds` × `sample_rate`, rounded.
    /// `None` means the whole clip.
    pub fn samples(&self) -> Option<usize> {
        (self.seconds > 0.0).then(|| (self.seconds * f64::from(self.sample_rate)).round() as usize)
    }

    /// Returns the smallest number of samples that gives a frame. A shorter clip is padded with
    /// silence.
    pub fn shortest(&self) -> usize {
        match self.padding {
            // Mirroring n samples needs n + 1, since the end itself is not repeated.
            Padding::Reflect => self.n_fft / 2 + 1,
            Padding::Zeros => 1,
            Padding::None => self.n_fft,
        }
    }

    /// Returns the number of frequency rows of every spectrogram with these params.
    pub fn rows(&self) -> usize {
        match self.kind {
            Kind::LogPower if self.resize => self.size,
            Kind::LogPower => self.n_fft / 2 + 1,
            Kind::LogMel => self.n_mels,
        }
    }

    /// Returns the number of time columns of every spectrogram with these params; `None` if it
    /// depends on the length of the clip.
    pub fn columns(&self) -> Option<usize> {
        match self.kind {
            Kind::LogPower if self.resize => Some(self.size),
            _ => self.samples().map(|samples| self.frames(samples)),
        }
    }

    /// Returns the number of frames for `samples`, which must be at least
    /// [`SpectrogramParams::shortest`].
    pub fn frames(&self, samples: usize) -> usize {
        self.padding.frames(samples, self.n_fft, self.hop_length)
    }
}

fn invalid_param(key: &str, problem: impl Display) -> Error {
    anyhow!("param `spectrogram.{key}` {problem}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        let params = SpectrogramParams::default();
        params.validate().unwrap();
        assert_eq!((params.rows(), params.columns()), (100, Some(100)));
        let whole = SpectrogramParams { resize: false, ..params };
        assert_eq!((whole.rows(), whole.columns()), (513, None));
        let ten = SpectrogramParams { kind: Kind::LogMel, seconds: 10.0, ..whole };
        assert_eq!((ten.rows(), ten.columns()), (128, Some(431)));
        let tight = SpectrogramParams { padding: Padding::None, ..ten };
        assert_eq!(tight.columns(), Some(429));
    }

    #[test]
    fn out_of_bounds_values_are_named() {
        let good = SpectrogramParams::default();
        for (params, key) in [
            (SpectrogramParams { sample_rate: 0, ..good.clone() }, "sample_rate"),
            (SpectrogramParams { n_fft: 0, ..good.clone() }, "n_fft"),
            (SpectrogramParams { n_fft: 1023, ..good.clone() }, "n_fft"),
            (SpectrogramParams { hop_length: 0, ..good.clone() }, "hop_length"),
            (SpectrogramParams { hop_length: 2000, ..good.clone() }, "hop_length"),
            (SpectrogramParams { seconds: -1.0, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: f64::NAN, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: 1e9, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: 0.01, ..good.clone() }, "seconds"),
            (SpectrogramParams { size: 0, ..good.clone() }, "size"),
            (SpectrogramParams { n_mels: 0, ..good.clone() }, "n_mels"),
            (SpectrogramParams { fmin: 11_025.0, ..good.clone() }, "fmin"),
            (SpectrogramParams { fmin: f64::NAN, ..good.clone() }, "fmin"),
            (SpectrogramParams { fmin: 50.0, fmax: 40.0, ..good.clone() }, "fmax"),
            (SpectrogramParams { fmax: 12_000.0, ..good.clone() }, "fmax"),
            (SpectrogramParams { power: 3, ..good.clone() }, "power"),
            (SpectrogramParams { top_db: f64::INFINITY, ..good.clone() }, "top_db"),
        ] {
            let message = params.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("param `spectrogram.{key}` ")), "{message}");
        }
    }
}
