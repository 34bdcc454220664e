//! The params of the section `spectrogram`, their defaults and their bounds.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The most of a clip that is ever held: what is longer has to be cut, or `seconds` be set.
pub const LONGEST_SECONDS: f64 = 3600.0;

/// What a spectrogram is made with. Keys of the other kind have no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpectrogramParams {
    /// What the rows are.
    pub kind: Kind,
    /// Samples a second after resampling, 1,000 to 192,000.
    pub sample_rate: u32,
    /// Samples in a window of the Fourier transform; there are `n_fft / 2 + 1` frequency bins.
    pub n_fft: usize,
    /// Samples from one window to the next.
    pub hop_length: usize,
    /// What lies before the first sample and after the last.
    pub padding: Padding,
    /// The first seconds of a clip that count, a shorter clip being filled up with silence; 0: the whole clip.
    pub seconds: f64,
    /// `log_power`: whether the picture is reduced to `size` × `size`. Without it, it is bins × frames.
    pub resize: bool,
    /// `log_power`: rows and columns after the resize.
    pub size: usize,
    /// `log_mel`: how many bands.
    pub n_mels: usize,
    /// `log_mel`: where the lowest band begins, in Hz.
    pub fmin: f64,
    /// `log_mel`: where the highest band ends, in Hz; 0: half the sample rate.
    pub fmax: f64,
    /// `log_mel`: which bands are equally wide.
    pub mel_scale: MelScale,
    /// `log_mel`: how high a band's triangle is.
    pub mel_norm: MelNorm,
    /// `log_mel`: the exponent of the magnitude, 1 or 2.
    pub power: u8,
    /// `log_mel`: what is made of the bands' values.
    pub scale: Scale,
    /// `log_mel` in dB: nothing is further below the clip's loudest value; 0: no such limit.
    pub top_db: f64,
    /// `log_mel`: what is done at the end.
    pub normalise: Normalise,
}

/// What the rows of a spectrogram are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Logarithms of the power in each frequency bin, low ones first.
    LogPower,
    /// Logarithms of what lies in each mel band, low ones first.
    LogMel,
}

/// What lies before the first sample and after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Half a window of the signal mirrored: frames are centred, as torchaudio has it.
    Reflect,
    /// Half a window of zeros: frames are centred, as librosa has it.
    Zeros,
    /// Nothing: the first frame begins with the first sample (`center=False` of both).
    None,
}

impl Padding {
    /// Returns the number of frames of `samples` samples; 1 if there are too few for a window.
    pub fn frames(self, samples: usize, n_fft: usize, hop_length: usize) -> usize {
        match self {
            Padding::Reflect | Padding::Zeros => 1 + samples / hop_length,
            Padding::None => 1 + samples.saturating_sub(n_fft) / hop_length,
        }
    }
}

/// Which bands are equally wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelScale {
    /// Linear below 1 kHz, logarithmic above: librosa's default.
    Slaney,
    /// 2595 log10(1 + f / 700): torchaudio's default.
    Htk,
}

/// How high a band's triangle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MelNorm {
    /// All have the same area: librosa's default.
    Slaney,
    /// All have the height 1: torchaudio's default.
    None,
}

/// What is made of the bands' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Decibels of at least 1e-10 in power, at most `top_db` below the loudest.
    Db,
    /// The natural logarithm of at least 1e-10.
    Log,
    /// ln(1 + value).
    Log1p,
}

/// What is done at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalise {
    /// Nothing.
    None,
    /// The mean of the clip's values becomes 0, their standard deviation 1.
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
    /// # Errors
    /// A value out of its bounds, named with its key.
    pub fn validate(&self) -> Result<()> {
        let SpectrogramParams { sample_rate, n_fft, hop_length, seconds, size, .. } = *self;
        let key = "param `spectrogram.";
        ensure!(
            (1_000..=192_000).contains(&sample_rate),
            "{key}sample_rate`: {sample_rate} is not from 1000 to 192000"
        );
        ensure!(
            (16..=65_536).contains(&n_fft) && n_fft.is_multiple_of(2),
            "{key}n_fft`: {n_fft} is not an even number from 16 to 65536"
        );
        ensure!(
            (1..=n_fft).contains(&hop_length),
            "{key}hop_length`: {hop_length} is not from 1 to n_fft, {n_fft}"
        );
        ensure!(
            (0.0..=LONGEST_SECONDS).contains(&seconds),
            "{key}seconds`: {seconds} is not from 0 to {LONGEST_SECONDS}"
        );
        ensure!((1..=4096).contains(&size), "{key}size`: {size} is not from 1 to 4096");
        if let Some(samples) = self.samples() {
            ensure!(
                samples >= self.shortest(),
                "{key}seconds`: {seconds} s are {samples} samples, too few for an n_fft of {n_fft}"
            );
        }
        self.validate_mel()
    }

    fn validate_mel(&self) -> Result<()> {
        let SpectrogramParams { n_mels, fmin, fmax, power, top_db, .. } = *self;
        let key = "param `spectrogram.";
        let half = f64::from(self.sample_rate) / 2.0;
        ensure!((1..=4096).contains(&n_mels), "{key}n_mels`: {n_mels} is not from 1 to 4096");
        ensure!((0.0..half).contains(&fmin), "{key}fmin`: {fmin} is not from 0 to below {half} Hz");
        ensure!(
            fmax == 0.0 || (fmax > fmin && fmax <= half),
            "{key}fmax`: {fmax} is neither 0 nor above fmin, {fmin}, and at most {half} Hz"
        );
        ensure!(matches!(power, 1 | 2), "{key}power`: {power} is neither 1 nor 2");
        ensure!((0.0..=1000.0).contains(&top_db), "{key}top_db`: {top_db} is not from 0 to 1000");
        Ok(())
    }

    /// Samples that count after resampling, `seconds` × `sample_rate`, rounded; none: all of the clip's.
    pub fn samples(&self) -> Option<usize> {
        (self.seconds > 0.0).then(|| (self.seconds * f64::from(self.sample_rate)).round() as usize)
    }

    /// The fewest samples that make a frame; a clip that has fewer is filled up with silence.
    pub fn shortest(&self) -> usize {
        match self.padding {
            // A mirror needs a sample more than it shows.
            Padding::Reflect => self.n_fft / 2 + 1,
            Padding::Zeros => 1,
            Padding::None => self.n_fft,
        }
    }

    /// Frequency rows of every spectrogram made with these params.
    pub fn rows(&self) -> usize {
        match self.kind {
            Kind::LogPower if self.resize => self.size,
            Kind::LogPower => self.n_fft / 2 + 1,
            Kind::LogMel => self.n_mels,
        }
    }

    /// Time columns of every spectrogram made with these params; none: as many as the clip is long.
    pub fn columns(&self) -> Option<usize> {
        match self.kind {
            Kind::LogPower if self.resize => Some(self.size),
            _ => self.samples().map(|samples| self.frames(samples)),
        }
    }

    /// Frames for so many samples, at least [`SpectrogramParams::shortest`].
    pub fn frames(&self, samples: usize) -> usize {
        self.padding.frames(samples, self.n_fft, self.hop_length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
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
    fn values_out_of_bounds_are_named() {
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
            assert!(message.starts_with(&format!("param `spectrogram.{key}`: ")), "{message}");
        }
    }
}
