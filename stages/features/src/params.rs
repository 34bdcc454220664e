//! The params of the section `spectrogram`, their defaults and their bounds.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// What a spectrogram is made with; the defaults are those of the shipped pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpectrogramParams {
    /// Samples a second after resampling, 1,000 to 192,000.
    pub sample_rate: u32,
    /// Samples in a window of the Fourier transform; there are `n_fft / 2 + 1` frequency bins.
    pub n_fft: usize,
    /// Samples from one window to the next.
    pub hop_length: usize,
    /// The first seconds of a clip that count; a shorter clip is filled up with silence.
    pub seconds: f64,
    /// Whether the picture is reduced to `size` × `size`. Without it, it is bins × frames.
    pub resize: bool,
    /// Rows and columns after the resize.
    pub size: usize,
}

impl Default for SpectrogramParams {
    fn default() -> Self {
        SpectrogramParams {
            sample_rate: 22050,
            n_fft: 1024,
            hop_length: 512,
            seconds: 10.0,
            resize: true,
            size: 100,
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
            seconds > 0.0 && seconds <= 3600.0,
            "{key}seconds`: {seconds} is not above 0 and at most 3600"
        );
        ensure!((1..=4096).contains(&size), "{key}size`: {size} is not from 1 to 4096");
        // The signal is extended by half a window of its own reflection at both ends.
        ensure!(
            self.samples() > n_fft / 2,
            "{key}seconds`: {seconds} s are {} samples, no more than half of n_fft, {n_fft}",
            self.samples()
        );
        Ok(())
    }

    /// Samples that count after resampling: `seconds` × `sample_rate`, rounded.
    pub fn samples(&self) -> usize {
        (self.seconds * f64::from(self.sample_rate)).round() as usize
    }

    /// The shape of every spectrogram made with these params: (frequency, time).
    pub fn shape(&self) -> [usize; 2] {
        if self.resize {
            [self.size, self.size]
        } else {
            [self.n_fft / 2 + 1, 1 + self.samples() / self.hop_length]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let params = SpectrogramParams::default();
        params.validate().unwrap();
        assert_eq!(params.shape(), [100, 100]);
        assert_eq!(SpectrogramParams { resize: false, ..params }.shape(), [513, 431]);
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
            (SpectrogramParams { seconds: 0.0, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: f64::NAN, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: 1e9, ..good.clone() }, "seconds"),
            (SpectrogramParams { seconds: 0.01, ..good.clone() }, "seconds"),
            (SpectrogramParams { size: 0, ..good.clone() }, "size"),
        ] {
            let message = params.validate().unwrap_err().to_string();
            assert!(message.starts_with(&format!("param `spectrogram.{key}`: ")), "{message}");
        }
    }
}
