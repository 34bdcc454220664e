//! The power spectrogram: the squared magnitude of a short-time Fourier transform.
//!
//! The same as `torchaudio.transforms.Spectrogram(n_fft, hop_length=hop_length, power=2.0)`: a periodic
//! Hann window as long as the transform, frames centred on multiples of the hop, the signal extended at
//! both ends by its own reflection, one-sided, not normalised. Knows nothing about where samples come from.

use std::f64::consts::TAU;
use std::sync::Arc;

use anyhow::{Result, ensure};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// A planned transform with its buffers; one for each thread.
pub struct Spectrogram {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    hop_length: usize,
    frame: Vec<f32>,
    bins: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
}

impl Spectrogram {
    /// Plans transforms of `n_fft` samples, an even number from 2 on, every `hop_length` samples, 1 or more.
    ///
    /// # Errors
    /// Numbers that are not so.
    pub fn new(n_fft: usize, hop_length: usize) -> Result<Spectrogram> {
        ensure!(n_fft >= 2 && n_fft.is_multiple_of(2), "n_fft is {n_fft}, not an even number");
        ensure!(hop_length >= 1, "hop_length is 0");
        let fft = RealFftPlanner::new().plan_fft_forward(n_fft);
        let window = (0..n_fft).map(|n| (0.5 - 0.5 * (TAU * n as f64 / n_fft as f64).cos()) as f32).collect();
        Ok(Spectrogram {
            window,
            hop_length,
            frame: fft.make_input_vec(),
            bins: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        })
    }

    /// Frequency bins: `n_fft / 2 + 1`; bin `k` is at `k × sample_rate / n_fft` Hz.
    pub fn bins(&self) -> usize {
        self.window.len() / 2 + 1
    }

    /// Frames for so many samples: `1 + samples / hop_length`; frame `t` is centred on sample `t × hop_length`.
    pub fn frames(&self, samples: usize) -> usize {
        1 + samples / self.hop_length
    }

    /// The power |X|², of shape (bins, frames) in C order: `power[k * frames + t]`.
    ///
    /// # Errors
    /// No more than `n_fft / 2` samples: too few for the reflection.
    pub fn power(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        let half = self.window.len() / 2;
        ensure!(samples.len() > half, "{} samples are too few for windows of {}", samples.len(), 2 * half);
        let frames = self.frames(samples.len());
        let mut power = vec![0.0; self.bins() * frames];
        for time in 0..frames {
            // May be negative: the window's first sample, left of the signal.
            let start = (time * self.hop_length) as isize - half as isize;
            self.fill_frame(samples, start);
            let done = self.fft.process_with_scratch(&mut self.frame, &mut self.bins, &mut self.scratch);
            if let Err(error) = done {
                panic!("BUG: buffers that the plan made do not fit it: {error}");
            }
            for (row, bin) in power.chunks_exact_mut(frames).zip(&self.bins) {
                row[time] = bin.norm_sqr();
            }
        }
        Ok(power)
    }

    fn fill_frame(&mut self, samples: &[f32], start: isize) {
        let length = self.frame.len();
        let inside = usize::try_from(start).ok().and_then(|start| samples.get(start..start + length));
        if let Some(inside) = inside {
            for ((out, sample), weight) in self.frame.iter_mut().zip(inside).zip(&self.window) {
                *out = sample * weight;
            }
        } else {
            for (n, (out, weight)) in self.frame.iter_mut().zip(&self.window).enumerate() {
                *out = samples[reflect(start + n as isize, samples.len())] * weight;
            }
        }
    }
}

impl std::fmt::Debug for Spectrogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spectrogram")
            .field("n_fft", &self.window.len())
            .field("hop_length", &self.hop_length)
            .finish_non_exhaustive()
    }
}

/// `… 2 1 | 0 1 2 … length-1 | length-2 …`: the ends are not repeated.
fn reflect(index: isize, length: usize) -> usize {
    let from_start = index.unsigned_abs();
    if from_start < length { from_start } else { 2 * (length - 1) - from_start }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_signal_is_reflected_at_its_ends() {
        let indices: Vec<_> = (-3..8).map(|index| reflect(index, 5)).collect();
        assert_eq!(indices, [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]);
    }

    #[test]
    fn a_tone_peaks_in_its_bin() {
        let mut spectrogram = Spectrogram::new(1024, 512).unwrap();
        for bin in [3, 40, 200, 509] {
            let samples: Vec<_> =
                (0..8192).map(|n| (TAU * bin as f64 * n as f64 / 1024.0).cos() as f32).collect();
            let power = spectrogram.power(&samples).unwrap();
            let frames = spectrogram.frames(samples.len());
            for time in 2..frames - 2 {
                let peak =
                    (0..513).max_by(|a, b| power[a * frames + time].total_cmp(&power[b * frames + time]));
                assert_eq!(peak, Some(bin));
                // A cosine of amplitude 1 under a Hann window: |X| = N / 4 at its bin, N / 8 beside it.
                let at = |bin: usize| f64::from(power[bin * frames + time]).sqrt();
                assert!((at(bin) / 256.0 - 1.0).abs() < 1e-4, "{}", at(bin));
                assert!((at(bin - 1) / 128.0 - 1.0).abs() < 1e-4, "{}", at(bin - 1));
            }
        }
    }

    #[test]
    fn too_few_samples_are_an_error() {
        let mut spectrogram = Spectrogram::new(1024, 512).unwrap();
        assert!(spectrogram.power(&[0.0; 512]).is_err());
        assert_eq!(spectrogram.power(&[0.0; 513]).unwrap().len(), 513 * 2);
        assert!(Spectrogram::new(7, 1).is_err());
        assert!(Spectrogram::new(8, 0).is_err());
    }

    proptest! {
        // Parseval: the energy of a windowed frame is that of its spectrum over N.
        #[test]
        fn energy_is_kept(samples in prop::collection::vec(-1.0_f32..1.0, 256..600)) {
            let mut spectrogram = Spectrogram::new(256, 64).unwrap();
            let frames = spectrogram.frames(samples.len());
            let power = spectrogram.power(&samples).unwrap();
            for time in 0..frames {
                spectrogram.fill_frame(&samples, time as isize * 64 - 128);
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
