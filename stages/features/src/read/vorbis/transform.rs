//! The inverse MDCT, and the overlap of blocks: sections 1.3.2 and 4.3 of the Vorbis I
//! specification.

use std::f64::consts::PI;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner};

/// The transform of one block size.
pub(super) struct Transform {
    size: usize,
    fourier: Arc<dyn ComplexToReal<f32>>,
    /// Rotation of each coefficient.
    rotations: Vec<Complex32>,
    spectrum: Vec<Complex32>,
    signal: Vec<f32>,
}

impl Transform {
    /// Plans the transform of half as many coefficients as `size`.
    pub(super) fn new(size: usize) -> Transform {
        let fourier = RealFftPlanner::new().plan_fft_inverse(2 * size);
        let origin = 0.5 + size as f64 / 4.0;
        let rotation = |k: usize| {
            let (sine, cosine) = (PI * (2 * k + 1) as f64 * origin / size as f64).sin_cos();
            Complex32::new(cosine as f32 / 2.0, sine as f32 / 2.0)
        };
        Transform {
            size,
            rotations: (0..size / 2).map(rotation).collect(),
            spectrum: fourier.make_input_vec(),
            signal: fourier.make_output_vec(),
            fourier,
        }
    }

    /// Returns Σₖ `values`ₖ · cos(2π/N · (n + ½ + N/4) · (k + ½)) for each n below N.
    ///
    /// The coefficients are the odd ones of a Fourier transform of length 2 N.
    pub(super) fn inverse(&mut self, values: &[f32]) -> Result<&[f32]> {
        self.spectrum.fill(Complex32::default());
        let odd = self.spectrum.iter_mut().skip(1).step_by(2);
        for ((bin, value), rotation) in odd.zip(values).zip(&self.rotations) {
            *bin = rotation * value;
        }
        self.fourier
            .process(&mut self.spectrum, &mut self.signal)
            .map_err(|error| anyhow!("BUG: the inverse MDCT of {} fails: {error}", self.size))?;
        Ok(&self.signal[..self.size])
    }
}

/// Joins the second half of a block to the first half of the next; blocks may differ in size.
pub(super) fn overlap(before: &[f32], after: &[f32]) -> Vec<f32> {
    let shared = before.len().min(after.len());
    let (start, end) = ((before.len() - shared) / 2, (after.len() - shared) / 2);
    let mut joined = before[..start].to_vec();
    joined.extend((0..shared).map(|n| {
        let (falling, rising) = (before[start + n], after[end + n]);
        falling * slope(shared - 1 - n, shared) + rising * slope(n, shared)
    }));
    joined.extend_from_slice(&after[end + shared..]);
    joined
}

fn slope(n: usize, length: usize) -> f32 {
    let sine = (PI * (n as f64 + 0.5) / (2 * length) as f64).sin();
    (PI / 2.0 * sine * sine).sin() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_of_the_definition() {
        let size = 64;
        let values: Vec<f32> = (0..size / 2).map(|k| ((k * 37) % 17) as f32 - 8.0).collect();
        let mut transform = Transform::new(size);
        let found = transform.inverse(&values).unwrap();
        for (n, found) in found.iter().enumerate() {
            let angle = |k: usize| {
                2.0 * PI / size as f64 * (n as f64 + 0.5 + size as f64 / 4.0) * (k as f64 + 0.5)
            };
            let terms =
                values.iter().enumerate().map(|(k, value)| f64::from(*value) * angle(k).cos());
            assert!((f64::from(*found) - terms.sum::<f64>()).abs() < 1e-4, "{n}");
        }
    }

    #[test]
    fn overlaps_of_block_sizes() {
        for (before, after, expected) in [(8, 8, 8), (32, 8, 20), (8, 32, 20)] {
            let joined = overlap(&vec![1.0; before], &vec![1.0; after]);
            assert_eq!(joined.len(), expected);
            // The squares of both slopes sum to one, so their sum is from 1 to √2.
            assert!(joined.iter().all(|value| (0.999..1.415).contains(value)), "{joined:?}");
        }
    }
}
