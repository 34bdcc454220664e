//! Power spectrogram: the squared magnitude of a short-time Fourier transform.
//!
//! With [`Padding::Reflect`] it equals
//! `torchaudio.transforms.Spectrogram(n_fft, hop_length=hop_length, power=2.0)`, and with
//! [`Padding::Zeros`] the squared magnitude of `librosa.stft(…)`. The window is a periodic Hann
//! window as long as the transform; the spectrum is one-sided and not normalised.
//!
//! A mean that dominates the signal is subtracted before the transforms and its spectrum, which has
//! only two bins, added after them. Otherwise its rounding error is above the floor of the
//! logarithm in all other bins, and every implementation has another one.

use std::f64::consts::TAU;
use std::sync::Arc;

use anyhow::{Result, ensure};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::params::Padding;

/// Frames per tile: as many values as fit in a wide vector register.
pub(crate) const LANES: usize = 8;

/// Values of [`LANES`] consecutive frames, for each frequency bin.
pub(crate) type Tile = [[f32; LANES]];

/// Exponent of the magnitude of each bin X in a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exponent {
    /// |X|
    Magnitude,
    /// |X|²
    Power,
}

/// A planned transform with its buffers. Each thread needs its own.
pub struct Spectrogram {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    hop_length: usize,
    padding: Padding,
    frame: Vec<f32>,
    bins: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    tile: Vec<[f32; LANES]>,
}

impl Spectrogram {
    /// Plans transforms of `n_fft` samples, one every `hop_length` samples.
    ///
    /// # Errors
    /// `n_fft` is not an even number of at least 2, or `hop_length` is 0.
    pub fn new(n_fft: usize, hop_length: usize, padding: Padding) -> Result<Spectrogram> {
        ensure!(
            n_fft >= 2 && n_fft.is_multiple_of(2),
            "`n_fft` must be a positive even number, not {n_fft}"
        );
        ensure!(hop_length >= 1, "`hop_length` must be at least 1");
        // A real-to-complex transform per frame. Packing two frames into one complex transform is
        // not faster here, and it leaks the rounding error of a loud frame into a silent one.
        let fft = RealFftPlanner::new().plan_fft_forward(n_fft);
        let window = hann(n_fft).map(|weight| weight as f32).collect();
        Ok(Spectrogram {
            window,
            hop_length,
            padding,
            frame: fft.make_input_vec(),
            bins: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            tile: vec![[0.0; LANES]; n_fft / 2 + 1],
            fft,
        })
    }

    /// Returns the number of frequency bins, `n_fft / 2 + 1`. Bin `k` is at
    /// `k × sample_rate / n_fft` Hz.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// Returns the number of frames for a number of samples.
    ///
    /// Frame `t` is centred on sample `t × hop_length`; without padding it begins there.
    pub fn frames(&self, samples: usize) -> usize {
        self.padding.frames(samples, self.window.len(), self.hop_length)
    }

    /// Returns the power |X|² of shape (bins, frames) in C order: `power[k * frames + t]`.
    ///
    /// # Errors
    /// There are too few samples: at most `n_fft / 2` with [`Padding::Reflect`], or fewer than
    /// `n_fft` with [`Padding::None`].
    pub fn power(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        let frames = self.frames(samples.len());
        let mut power = vec![0.0; self.bins() * frames];
        self.tiles(samples, Exponent::Power, |first, tile| {
            let count = LANES.min(frames - first);
            for (row, values) in power.chunks_exact_mut(frames).zip(tile) {
                row[first..][..count].copy_from_slice(&values[..count]);
            }
        })?;
        Ok(power)
    }

    /// Calls `each` with the index of a tile's first frame and the tile.
    ///
    /// Lanes after the last frame are undefined.
    pub(crate) fn tiles(
        &mut self,
        samples: &[f32],
        exponent: Exponent,
        mut each: impl FnMut(usize, &Tile),
    ) -> Result<()> {
        let half = self.window.len() / 2;
        let shortest = match self.padding {
            Padding::Reflect => half + 1,
            Padding::Zeros => 0,
            Padding::None => 2 * half,
        };
        ensure!(
            samples.len() >= shortest,
            "{} samples are too few for a window of {}",
            samples.len(),
            2 * half
        );
        let frames = self.frames(samples.len());
        let mean = dominant_mean(samples);
        for first in (0..frames).step_by(LANES) {
            for lane in 0..LANES.min(frames - first) {
                self.transform(samples, mean, first + lane);
                for (values, bin) in self.tile.iter_mut().zip(&self.bins) {
                    values[lane] = bin.norm_sqr();
                }
            }
            if exponent == Exponent::Magnitude {
                self.tile.iter_mut().flatten().for_each(|value| *value = value.sqrt());
            }
            each(first, &self.tile);
        }
        Ok(())
    }

    /// Writes the transform of frame `time` to `self.bins`.
    fn transform(&mut self, samples: &[f32], mean: f32, time: usize) {
        let before = if self.padding == Padding::None { 0 } else { self.window.len() / 2 };
        // The start is negative if the window begins before the signal.
        self.fill_frame(samples, mean, (time * self.hop_length) as isize - before as isize);
        let done =
            self.fft.process_with_scratch(&mut self.frame, &mut self.bins, &mut self.scratch);
        if let Err(error) = done {
            panic!("BUG: buffers do not fit the plan that made them: {error}");
        }
        for (bin, weight) in self.bins.iter_mut().zip(window_spectrum(self.window.len())) {
            bin.re += mean * weight as f32;
        }
    }

    fn fill_frame(&mut self, samples: &[f32], mean: f32, start: isize) {
        let length = self.frame.len();
        let inside =
            usize::try_from(start).ok().and_then(|start| samples.get(start..start + length));
        if let Some(inside) = inside {
            for ((out, sample), weight) in self.frame.iter_mut().zip(inside).zip(&self.window) {
                *out = (sample - mean) * weight;
            }
        } else {
            for (n, (out, weight)) in self.frame.iter_mut().zip(&self.window).enumerate() {
                *out = (sample_at(samples, start + n as isize, self.padding) - mean) * weight;
            }
        }
    }
}

/// Returns the periodic Hann window applied to every frame.
pub fn hann(length: usize) -> impl Iterator<Item = f64> {
    (0..length).map(move |n| 0.5 - 0.5 * (TAU * n as f64 / length as f64).cos())
}

/// Returns the first bins of the spectrum of [`hann`]; it is real, and the others are 0.
pub fn window_spectrum(length: usize) -> [f64; 2] {
    [length as f64 / 2.0, length as f64 / -4.0]
}

/// Returns the mean of a signal if it is larger than the standard deviation, else 0.
fn dominant_mean(samples: &[f32]) -> f32 {
    let (count, values) =
        (samples.len().max(1) as f64, samples.iter().map(|sample| f64::from(*sample)));
    let (sum, squares) =
        values.fold((0.0, 0.0), |(sum, squares), value| (sum + value, squares + value * value));
    let mean = sum / count;
    if 2.0 * mean * mean > squares / count { mean as f32 } else { 0.0 }
}

impl std::fmt::Debug for Spectrogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spectrogram")
            .field("n_fft", &self.window.len())
            .field("hop_length", &self.hop_length)
            .finish_non_exhaustive()
    }
}

/// Returns the sample at an index up to half a window outside the signal.
fn sample_at(samples: &[f32], index: isize, padding: Padding) -> f32 {
    match padding {
        Padding::Reflect => samples[reflect(index, samples.len())],
        Padding::Zeros | Padding::None => {
            usize::try_from(index).ok().and_then(|index| samples.get(index)).copied().unwrap_or(0.0)
        }
    }
}

/// Reflects an index into the signal without repeating the ends:
/// `… 2 1 | 0 1 2 … length-1 | length-2 …`.
fn reflect(index: isize, length: usize) -> usize {
    let from_start = index.unsigned_abs();
    if from_start < length { from_start } else { 2 * (length - 1) - from_start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reflected_indices() {
        let indices: Vec<_> = (-3..8).map(|index| reflect(index, 5)).collect();
        assert_eq!(indices, [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]);
    }

    #[test]
    fn tone_peaks_in_its_bin() {
        let mut spectrogram = Spectrogram::new(1024, 512, Padding::Reflect).unwrap();
        for bin in [3, 40, 200, 509] {
            let samples: Vec<_> =
                (0..8192).map(|n| (TAU * bin as f64 * n as f64 / 1024.0).cos() as f32).collect();
            let power = spectrogram.power(&samples).unwrap();
            let frames = spectrogram.frames(samples.len());
            for time in 2..frames - 2 {
                let peak = (0..513)
                    .max_by(|a, b| power[a * frames + time].total_cmp(&power[b * frames + time]));
                assert_eq!(peak, Some(bin));
                // For a cosine of amplitude 1 under a Hann window, |X| is N / 4 at its bin and
                // N / 8 beside it.
                let at = |bin: usize| f64::from(power[bin * frames + time]).sqrt();
                assert!((at(bin) / 256.0 - 1.0).abs() < 1e-4, "{}", at(bin));
                assert!((at(bin - 1) / 128.0 - 1.0).abs() < 1e-4, "{}", at(bin - 1));
            }
        }
    }

    #[test]
    fn too_few_samples() {
        let mut spectrogram = Spectrogram::new(1024, 512, Padding::Reflect).unwrap();
        assert!(spectrogram.power(&[0.0; 512]).is_err());
        assert_eq!(spectrogram.power(&[0.0; 513]).unwrap().len(), 513 * 2);
        assert!(Spectrogram::new(7, 1, Padding::Zeros).is_err());
        assert!(Spectrogram::new(8, 0, Padding::Zeros).is_err());
    }

    proptest! {
        // Parseval's theorem: the energy of a windowed frame equals that of its spectrum over N.
        #[test]
        fn energy_is_preserved(samples in prop::collection::vec(-1.0_f32..1.0, 256..600)) {
            let mut spectrogram = Spectrogram::new(256, 64, Padding::Reflect).unwrap();
            let frames = spectrogram.frames(samples.len());
            let power = spectrogram.power(&samples).unwrap();
            for time in 0..frames {
                spectrogram.fill_frame(&samples, 0.0, time as isize * 64 - 128);
                let energy: f64 = spectrogram.frame.iter().map(|x| f64::from(*x).powi(2)).sum();
                let bins: f64 = (0..129)
                    .map(|k| {
                        let sides = if k == 0 || k == 128 { 1.0 } else { 2.0 };
                        sides * f64::from(power[k * frames + time])
                    })
                    .sum();
                prop_assert!((bins / 256.0 - energy).abs() <= 1e-5 * energy.max(1.0));
            }
        }
    }
}
