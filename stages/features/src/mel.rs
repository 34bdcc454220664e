//! Mel bands: overlapping triangles over the frequency bins, as in librosa and torchaudio.

use crate::params::{MelNorm, MelScale, SpectrogramParams};
use crate::stft::{LANES, Tile};

/// Number, range and shape of the bands.
#[derive(Clone, Copy, Debug)]
pub struct Bands {
    /// Number of bands.
    pub count: usize,
    /// Lower edge of the lowest band, in Hz.
    pub from: f64,
    /// Upper edge of the highest band, in Hz.
    pub to: f64,
    /// Scale on which all bands have the same width.
    pub scale: MelScale,
    /// Height of the triangles.
    pub norm: MelNorm,
}

/// A mel filter bank. Each triangle stores the weights of the bins it covers.
#[derive(Clone, Debug)]
pub struct MelBank {
    triangles: Vec<Triangle>,
    weights: Vec<f32>,
}

/// One band: `count` weights for the bins from `first` on.
#[derive(Clone, Copy, Debug)]
struct Triangle {
    first: usize,
    count: usize,
}

impl MelBank {
    /// Creates the bank for `params`.
    pub fn of(params: &SpectrogramParams) -> MelBank {
        let half = f64::from(params.sample_rate) / 2.0;
        let bands = Bands {
            count: params.n_mels,
            from: params.fmin,
            to: if params.fmax == 0.0 { half } else { params.fmax },
            scale: params.mel_scale,
            norm: params.mel_norm,
        };
        MelBank::new(&bands, params.n_fft, params.sample_rate)
    }

    /// Returns the weights as a dense matrix of shape (bands, bins) in C order.
    pub fn matrix(&self, bins: usize) -> Vec<f32> {
        let mut matrix = vec![0.0; self.triangles.len() * bins];
        let mut weights = self.weights.as_slice();
        for (row, Triangle { first, count }) in matrix.chunks_exact_mut(bins).zip(&self.triangles) {
            let (own, rest) = weights.split_at(*count);
            row[*first..][..*count].copy_from_slice(own);
            weights = rest;
        }
        matrix
    }

    /// Creates a bank for `n_fft / 2 + 1` bins from 0 Hz to half of `sample_rate`.
    pub fn new(bands: &Bands, n_fft: usize, sample_rate: u32) -> MelBank {
        let hertz = |bin: usize| bin as f64 * f64::from(sample_rate) / n_fft as f64;
        let (low, high) = (to_mel(bands.from, bands.scale), to_mel(bands.to, bands.scale));
        let corner = |index: usize| {
            to_hertz(low + (high - low) * index as f64 / (bands.count + 1) as f64, bands.scale)
        };
        let mut bank = MelBank { triangles: Vec::with_capacity(bands.count), weights: Vec::new() };
        for band in 0..bands.count {
            let (left, top, right) = (corner(band), corner(band + 1), corner(band + 2));
            let height = match bands.norm {
                MelNorm::Slaney => 2.0 / (right - left),
                MelNorm::None => 1.0,
            };
            let weight = |bin: usize| {
                let (rising, falling) =
                    ((hertz(bin) - left) / (top - left), (right - hertz(bin)) / (right - top));
                (height * rising.min(falling).max(0.0)) as f32
            };
            let first = (0..=n_fft / 2).find(|bin| weight(*bin) > 0.0).unwrap_or(0);
            let covered = (first..=n_fft / 2).map(weight).take_while(|weight| *weight > 0.0);
            let before = bank.weights.len();
            bank.weights.extend(covered);
            bank.triangles.push(Triangle { first, count: bank.weights.len() - before });
        }
        bank
    }

    /// Sums each band over a tile of frames and calls `out(band, sums)`, with one sum per frame.
    ///
    /// Vectors run across the frames of a tile, so short bands, often of one or two bins, cost
    /// nothing extra.
    pub(crate) fn apply(&self, tile: &Tile, mut out: impl FnMut(usize, &[f32; LANES])) {
        let mut weights = self.weights.as_slice();
        for (band, Triangle { first, count }) in self.triangles.iter().enumerate() {
            let (own, rest) = weights.split_at(*count);
            weights = rest;
            let mut sums = [0.0; LANES];
            for (weight, values) in own.iter().zip(&tile[*first..]) {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += weight * value;
                }
            }
            out(band, &sums);
        }
    }

    /// Returns the number of bands that are so narrow that they fall between two bins and are
    /// always silent.
    pub fn empty_bands(&self) -> usize {
        self.triangles.iter().filter(|triangle| triangle.count == 0).count()
    }
}

/// Returns the height of a frequency in an image of all bands, from 0 at its lower edge to 1 at its
/// upper edge.
///
/// The centre of band `b` is corner `b + 1` of `n_mels + 2` corners of equal distance in mels.
pub fn height(params: &SpectrogramParams, hertz: f64) -> f64 {
    let half = f64::from(params.sample_rate) / 2.0;
    let to = if params.fmax == 0.0 { half } else { params.fmax };
    let mel = |hertz| to_mel(hertz, params.mel_scale);
    let corner =
        (mel(hertz) - mel(params.fmin)) / (mel(to) - mel(params.fmin)) * (params.n_mels + 1) as f64;
    (corner - 0.5) / params.n_mels as f64
}

/// Frequency in Hz at which Slaney's scale (Auditory Toolbox) turns from linear to logarithmic.
///
/// Below it, 3 mels are 200 Hz; above it, 27 mels are a factor of 6.4.
const SLANEY_KNEE: f64 = 1000.0;
const SLANEY_KNEE_MELS: f64 = 15.0;

fn slaney_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn to_mel(hertz: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 2595.0 * (1.0 + hertz / 700.0).log10(),
        MelScale::Slaney if hertz < SLANEY_KNEE => hertz * 3.0 / 200.0,
        MelScale::Slaney => SLANEY_KNEE_MELS + (hertz / SLANEY_KNEE).ln() / slaney_step(),
    }
}

fn to_hertz(mel: f64, scale: MelScale) -> f64 {
    match scale {
        MelScale::Htk => 700.0 * (10.0_f64.powf(mel / 2595.0) - 1.0),
        MelScale::Slaney if mel < SLANEY_KNEE_MELS => mel * 200.0 / 3.0,
        MelScale::Slaney => SLANEY_KNEE * (slaney_step() * (mel - SLANEY_KNEE_MELS)).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bank(scale: MelScale, norm: MelNorm) -> MelBank {
        MelBank::new(&Bands { count: 40, from: 0.0, to: 11_025.0, scale, norm }, 2048, 22_050)
    }

    #[test]
    fn known_points_of_mel_scales() {
        for (scale, hertz, mel) in [
            (MelScale::Slaney, 200.0, 3.0),
            (MelScale::Slaney, 1000.0, 15.0),
            (MelScale::Slaney, 6400.0, 42.0),
            (MelScale::Htk, 0.0, 0.0),
            (MelScale::Htk, 6300.0, 2595.0),
        ] {
            assert!((to_mel(hertz, scale) - mel).abs() < 1e-9);
        }
    }

    #[test]
    fn unit_triangles_sum_to_one() {
        for scale in [MelScale::Slaney, MelScale::Htk] {
            let bank = bank(scale, MelNorm::None);
            assert_eq!(bank.empty_bands(), 0);
            let tile = vec![[1.0; LANES]; 1025];
            let mut total = 0.0;
            bank.apply(&tile, |_, sums| total += sums[0]);
            let triangles = &bank.triangles;
            let (first, last) = (triangles[0], triangles[39]);
            let inside = (last.first + last.count - first.first) as f32;
            let slopes = (first.count + last.count) as f32 / 2.0;
            assert!(total < inside && total > inside - slopes, "{total} of {inside}");
        }
    }

    #[test]
    fn matrix_matches_bank() {
        let bank = bank(MelScale::Htk, MelNorm::Slaney);
        let tile: Vec<_> = (0..1025).map(|bin| [(bin % 7) as f32; LANES]).collect();
        let matrix = bank.matrix(1025);
        bank.apply(&tile, |band, sums| {
            let row = &matrix[band * 1025..][..1025];
            let sum: f32 = row.iter().zip(&tile).map(|(weight, values)| weight * values[0]).sum();
            assert!((sum - sums[0]).abs() < 1e-5, "{band}: {sum} {}", sums[0]);
        });
    }

    #[test]
    fn slaney_norm_is_flat_for_white_spectrum() {
        let mut sums = Vec::new();
        bank(MelScale::Slaney, MelNorm::Slaney)
            .apply(&vec![[1.0; LANES]; 1025], |_, sum| sums.push(sum[3]));
        let expected = 2048.0 / 22_050.0;
        assert!(sums.iter().all(|sum| (sum / expected - 1.0).abs() < 0.05), "{sums:?}");
    }

    #[test]
    fn empty_bands() {
        let bands = Bands {
            count: 128,
            from: 0.0,
            to: 11_025.0,
            scale: MelScale::Htk,
            norm: MelNorm::None,
        };
        assert!(MelBank::new(&bands, 256, 22_050).empty_bands() > 0);
        assert_eq!(
            MelBank::new(&Bands { scale: MelScale::Slaney, ..bands }, 1024, 22_050).empty_bands(),
            0
        );
    }

    proptest! {
        #[test]
        fn mel_round_trip(hertz in 0.0_f64..96_000.0) {
            for scale in [MelScale::Slaney, MelScale::Htk] {
                prop_assert!((to_hertz(to_mel(hertz, scale), scale) - hertz).abs() < 1e-6);
            }
        }
    }
}
