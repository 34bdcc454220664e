//! Data augmentation: random crop, time stretch, gain, mixup and SpecAugment masks.
//!
//! All random numbers for a clip are drawn from (seed, epoch, clip), so a batch has the same bytes
//! no matter which thread builds it, or in which order.

use std::fmt::Display;

use anyhow::{Error, Result, anyhow, ensure};
use model::dataset::Dataset;
use model::random::{Purpose, Random};
use rayon::prelude::*;
use serde::Deserialize;

/// The `train.augment` section of the params. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AugmentParams {
    /// Largest number of frames per crop: if the longest clip is shorter, a crop is that long. A
    /// crop starts anywhere and wraps around; 0 keeps the whole clip.
    pub crop: usize,
    /// Range of the time stretch: the crop is played up to exp(±this) times as fast.
    pub time_stretch: f64,
    /// Largest random level added to a clip, in the unit of the spectrograms.
    pub gain: f64,
    /// α of mixup (Zhang et al. 2018), with shares from Beta(α, α); 0 turns it off.
    pub mixup: f64,
    /// F of SpecAugment (Park et al. 2019): the most rows that one mask hides.
    pub freq_mask: usize,
    /// T of SpecAugment: the most frames that one mask hides. Shorter crops have shorter masks.
    pub time_mask: usize,
    /// Number of masks of each kind.
    pub masks: usize,
}

/// One training batch.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Batch {
    /// `[N, channels, height, width]`
    pub shape: [usize; 4],
    /// Values in C order.
    pub images: Vec<f32>,
    /// `[N, classes]`: the share of each class in each clip. Each row sums to 1.
    pub targets: Vec<f32>,
}

/// Builds augmented batches from a dataset.
#[derive(Debug)]
pub(crate) struct Augment<'a> {
    dataset: &'a Dataset,
    params: &'a AugmentParams,
    seed: u64,
    /// Frames of every clip after cropping.
    width: usize,
    /// The most frames that one mask hides, for this width.
    time_mask: usize,
    /// Value written by masks: the mean of the training clips.
    fill: f32,
}

impl AugmentParams {
    /// Checks that the values are valid.
    ///
    /// # Errors
    /// Names the first invalid param and the range it must be in.
    pub(crate) fn check(&self) -> Result<()> {
        let AugmentParams { time_stretch, gain, mixup, masks, .. } = *self;
        ensure!(
            (0.0..=1.0).contains(&time_stretch),
            invalid_param("time_stretch", format!("must be from 0 to 1, not {time_stretch}"))
        );
        ensure!(
            time_stretch == 0.0 || self.crop > 0,
            invalid_param("time_stretch", "needs a crop to stretch: set `train.augment.crop`")
        );
        ensure!(
            gain.is_finite() && gain >= 0.0,
            invalid_param("gain", format!("must be a number of at least 0, not {gain}"))
        );
        ensure!(
            (0.0..=4.0).contains(&mixup),
            invalid_param("mixup", format!("must be from 0 to 4, not {mixup}"))
        );
        ensure!(masks <= 16, invalid_param("masks", format!("must be at most 16, not {masks}")));
        ensure!(
            masks > 0 || self.freq_mask + self.time_mask == 0,
            invalid_param(
                "masks",
                "must be at least 1, unless `freq_mask` and `time_mask` are both 0"
            )
        );
        Ok(())
    }
}

fn invalid_param(key: &str, problem: impl Display) -> Error {
    anyhow!("param `train.augment.{key}` {problem}")
}

impl<'a> Augment<'a> {
    /// Prepares augmentation for training on the clips at `indices`.
    ///
    /// # Errors
    /// A mask is longer than a clip, or uncropped clips differ in width.
    pub(crate) fn new(
        dataset: &'a Dataset,
        params: &'a AugmentParams,
        indices: &[usize],
        seed: u64,
    ) -> Result<Augment<'a>> {
        let longest =
            (0..dataset.clips.len()).map(|clip| dataset.width(clip)).max().unwrap_or_default();
        let width = match params.crop {
            0 => dataset.uniform_shape()?[2],
            crop => crop.min(longest),
        };
        let time_mask = match params.crop {
            0 => params.time_mask,
            crop => params.time_mask * width / crop,
        };
        for (key, value, limit) in
            [("freq_mask", params.freq_mask, dataset.rows[1]), ("time_mask", time_mask, width)]
        {
            ensure!(
                value <= limit,
                invalid_param(
                    key,
                    format!("must be at most {limit}, the size of the clips, not {value}")
                )
            );
        }
        Ok(Augment { dataset, params, seed, width, time_mask, fill: mean(dataset, indices) })
    }

    /// Returns the clips without augmentation.
    pub(crate) fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Returns the shape of one network input: channels, height, width.
    pub(crate) fn input(&self) -> [usize; 3] {
        let [channels, height] = self.dataset.rows;
        [channels, height, self.width]
    }

    /// Returns the augmented batch of `clips` for this epoch. Mixup mixes each clip with the next.
    pub(crate) fn batch(&self, epoch: u64, clips: &[usize]) -> Batch {
        let ([channels, height], width) = (self.dataset.rows, self.width);
        let classes = self.dataset.labels.len();
        let mut drawn: Vec<(Random, Vec<f32>)> =
            clips.par_iter().map(|clip| self.draw(epoch, *clip)).collect();
        let shares: Vec<f32> = drawn.iter_mut().map(|(random, _)| self.share(random)).collect();
        let image_len = channels * height * width;
        let mut images = vec![0.0; clips.len() * image_len];
        let mut targets = vec![0.0; clips.len() * classes];
        for (at, share) in shares.into_iter().enumerate() {
            let next = (at + 1) % clips.len();
            let image = &mut images[at * image_len..][..image_len];
            mix(image, share, &drawn[at].1, &drawn[next].1);
            self.mask(image, [height, width], &mut drawn[at].0);
            for (clip, share) in [(clips[at], share), (clips[next], 1.0 - share)] {
                targets[at * classes + self.dataset.clips[clip].label] += share;
            }
        }
        Batch { shape: [clips.len(), channels, height, width], images, targets }
    }

    /// Returns the cropped, stretched and amplified clip, and its random stream for later steps.
    fn draw(&self, epoch: u64, clip: usize) -> (Random, Vec<f32>) {
        let mut random = Random::new(self.seed, Purpose::Augment { epoch, clip: clip as u64 });
        let (image, width) = (self.dataset.image(clip), self.dataset.width(clip));
        let mut cut = match self.params.crop {
            0 => image.to_vec(),
            _ => {
                let frames = self.width;
                let factor = (symmetric(&mut random) * self.params.time_stretch).exp();
                let length = (frames as f64 * factor).round();
                let start = random.below(width as u64) as usize;
                image
                    .chunks_exact(width)
                    .flat_map(|row| resized(row, start, length, frames))
                    .collect()
            }
        };
        if self.params.gain > 0.0 {
            let gain = (symmetric(&mut random) * self.params.gain) as f32;
            cut.iter_mut().for_each(|value| *value += gain);
        }
        (random, cut)
    }

    /// Draws the clip's own share of its mixture: at least 0.5, so its label stays the likeliest.
    fn share(&self, random: &mut Random) -> f32 {
        match self.params.mixup {
            0.0 => 1.0,
            alpha => {
                let share = beta(random, alpha);
                share.max(1.0 - share) as f32
            }
        }
    }

    /// Fills random bands of rows and of frames of `[channels · height, width]` with the mean.
    fn mask(&self, image: &mut [f32], [height, width]: [usize; 2], random: &mut Random) {
        let mut random_band = |max_len: usize, len: usize| {
            let band_len = random.below(max_len as u64 + 1) as usize;
            let start = random.below((len - band_len) as u64 + 1) as usize;
            start..start + band_len
        };
        for _ in 0..self.params.masks {
            let rows = random_band(self.params.freq_mask, height);
            let frames = random_band(self.time_mask, width);
            for (row, values) in image.chunks_exact_mut(width).enumerate() {
                let hidden = if rows.contains(&(row % height)) { 0..width } else { frames.clone() };
                values[hidden].fill(self.fill);
            }
        }
    }
}

/// Writes `share · one + (1 − share) · other` to `image`.
fn mix(image: &mut [f32], share: f32, one: &[f32], other: &[f32]) {
    if share == 1.0 {
        return image.copy_from_slice(one);
    }
    for ((value, one), other) in image.iter_mut().zip(one).zip(other) {
        *value = share * one + (1.0 - share) * other;
    }
}

/// Resamples `length` frames of a row, from `start` and wrapping around, to `frames` frames.
///
/// Linear between the centres of frames, like PyTorch's `interpolate` without `align_corners`.
fn resized(row: &[f32], start: usize, length: f64, frames: usize) -> impl Iterator<Item = f32> {
    let value_at = move |frame: usize| row[(start + frame) % row.len()];
    (0..frames).map(move |frame| {
        let position =
            ((frame as f64 + 0.5) * length / frames as f64 - 0.5).clamp(0.0, length - 1.0);
        let (left, right) =
            (value_at(position.floor() as usize), value_at(position.ceil() as usize));
        left + (right - left) * position.fract() as f32
    })
}

/// Draws a number from −1 to 1.
fn symmetric(random: &mut Random) -> f64 {
    2.0 * f64::from(random.unit()) - 1.0
}

/// Draws from Beta(α, α) by Jöhnk's method (1964), in logarithms so that a small α cannot
/// underflow.
fn beta(random: &mut Random, alpha: f64) -> f64 {
    loop {
        // 1 − unit is never 0.
        let [one, other] = [0; 2].map(|_| (1.0 - f64::from(random.unit())).ln() / alpha);
        if one.exp() + other.exp() <= 1.0 {
            return 1.0 / (1.0 + (other - one).exp());
        }
    }
}

fn mean(dataset: &Dataset, indices: &[usize]) -> f32 {
    let values = indices.iter().flat_map(|index| dataset.image(*index));
    let (sum, count) =
        values.fold((0.0, 0u64), |(sum, count), value| (sum + f64::from(*value), count + 1));
    (sum / count.max(1) as f64) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::dataset::Clip;

    const SHAPE: [usize; 2] = [4, 10];

    /// Four clips of two classes. A value encodes clip, row and frame: 213 is clip 2, row 1, frame
    /// 3.
    fn dataset() -> Dataset {
        let dir = tempfile::tempdir().unwrap();
        let clips: Vec<Clip> =
            (0..4).map(|clip| Clip { path: format!("{clip}.npy"), label: clip % 2 }).collect();
        for (number, clip) in clips.iter().enumerate() {
            let values: Vec<f32> = (0..40).map(|at| (number * 100 + at) as f32).collect();
            kit::npy::write(dir.path().join(&clip.path), &SHAPE, &values).unwrap();
        }
        Dataset::read(dir.path(), vec!["a".to_owned(), "b".to_owned()], clips).unwrap()
    }

    fn all_enabled() -> AugmentParams {
        AugmentParams {
            crop: 6,
            time_stretch: 0.2,
            gain: 3.0,
            mixup: 0.4,
            freq_mask: 2,
            time_mask: 3,
            masks: 2,
        }
    }

    fn batch(params: &AugmentParams, epoch: u64, clips: &[usize]) -> Batch {
        let dataset = dataset();
        Augment::new(&dataset, params, &[0, 1, 2, 3], 7).unwrap().batch(epoch, clips)
    }

    #[test]
    fn default_params_change_nothing() {
        let batch = batch(&AugmentParams::default(), 1, &[2, 1]);
        let expected: Vec<f32> = (200..240).chain(100..140).map(|value| value as f32).collect();
        assert_eq!(batch.images, expected);
        assert_eq!(batch.targets, [1.0, 0.0, 0.0, 1.0]);
        assert_eq!(batch.shape, [2, 1, 4, 10]);
    }

    #[test]
    fn batch_depends_on_epoch_and_clip_only() {
        let batch_of = |epoch| batch(&all_enabled(), epoch, &[0, 1, 2]);
        assert_eq!(batch_of(1), batch_of(1));
        assert_ne!(batch_of(1), batch_of(2));
        assert_eq!(batch_of(1).shape, [3, 1, 4, 6]);
        let alone = AugmentParams { mixup: 0.0, ..all_enabled() };
        let [first, second] =
            [vec![0, 1, 2], vec![2, 3]].map(|clips| batch(&alone, 1, &clips).images);
        assert_eq!(first[48..], second[..24], "a clip depends on its neighbours");
    }

    #[test]
    fn crop_wraps_around() {
        let params = AugmentParams { crop: 10, ..AugmentParams::default() };
        let mut starts = [0; 10];
        for epoch in 0..200 {
            let images = batch(&params, epoch, &[1, 2]).images;
            let start = images[0] as usize - 100;
            starts[start] += 1;
            for (at, value) in images[..40].iter().enumerate() {
                assert_eq!(*value as usize, 100 + at / 10 * 10 + (at % 10 + start) % 10);
            }
        }
        assert!(starts.iter().all(|count| *count > 5), "{starts:?}");
    }

    #[test]
    fn crop_and_masks_fit_short_clips() {
        let params = AugmentParams { crop: 20, time_mask: 7, ..all_enabled() };
        let dataset = dataset();
        let augment = Augment::new(&dataset, &params, &[0, 1], 7).unwrap();
        assert_eq!((augment.input(), augment.time_mask), ([1, 4, 10], 3));
        assert_eq!(augment.batch(1, &[0, 1]).shape, [2, 1, 4, 10]);
    }

    #[test]
    fn stretch_interpolates_linearly() {
        let row = [0.0, 10.0, 20.0, 30.0];
        let stretched =
            |start, length, frames| resized(&row, start, length, frames).collect::<Vec<_>>();
        assert_eq!(stretched(0, 4.0, 4), row);
        assert_eq!(stretched(1, 2.0, 4), [10.0, 12.5, 17.5, 20.0]);
        assert_eq!(stretched(0, 4.0, 2), [5.0, 25.0]);
        assert_eq!(stretched(3, 2.0, 2), [30.0, 0.0]);
    }

    #[test]
    fn beta_mean_and_variance() {
        for alpha in [0.01, 0.3, 1.0, 4.0] {
            let mut random = Random::new(3, Purpose::Order(0));
            let shares: Vec<f64> = (0..20_000).map(|_| beta(&mut random, alpha)).collect();
            let mean = shares.iter().sum::<f64>() / 20_000.0;
            let variance = shares.iter().map(|share| (share - 0.5).powi(2)).sum::<f64>() / 20_000.0;
            let expected = 0.25 / (2.0 * alpha + 1.0);
            assert!((mean - 0.5).abs() < 0.02, "α {alpha}: mean {mean}");
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "α {alpha}: {variance}, expected {expected}"
            );
        }
    }

    #[test]
    fn mixup_targets() {
        let params = AugmentParams { mixup: 1.0, ..AugmentParams::default() };
        let batch = batch(&params, 3, &[0, 1, 2, 3]);
        for (image, target) in batch.images.chunks(40).zip(batch.targets.chunks(2)) {
            assert!((target[0] + target[1] - 1.0).abs() < 1e-6, "{target:?}");
            assert!(target[0] != 0.0 && target[1] != 0.0, "{target:?}");
            let steps = image.windows(2).all(|pair| (pair[1] - pair[0] - 1.0).abs() < 1e-3);
            assert!(steps, "a mixture of two ramps is a ramp: {image:?}");
        }
    }

    #[test]
    fn masks_fill_with_mean() {
        let params =
            AugmentParams { freq_mask: 3, time_mask: 4, masks: 1, ..AugmentParams::default() };
        let mean = 169.5;
        let mut hidden = 0;
        for epoch in 0..50 {
            let images = batch(&params, epoch, &[0, 1]).images;
            let rows = images[..40]
                .chunks(10)
                .filter(|row| row.iter().all(|value| *value == mean))
                .count();
            let frames =
                (0..10).filter(|frame| (0..4).all(|row| images[row * 10 + frame] == mean)).count();
            assert!(rows <= 3 && frames <= 4, "{rows} rows, {frames} frames");
            hidden += rows + frames;
        }
        assert!(hidden > 50, "{hidden}");
    }

    #[test]
    fn invalid_params_are_named() {
        all_enabled().check().unwrap();
        for (key, params) in [
            ("time_stretch", AugmentParams { time_stretch: 1.5, ..all_enabled() }),
            ("time_stretch", AugmentParams { time_stretch: f64::NAN, ..all_enabled() }),
            ("time_stretch", AugmentParams { crop: 0, ..all_enabled() }),
            ("gain", AugmentParams { gain: f64::INFINITY, ..all_enabled() }),
            ("mixup", AugmentParams { mixup: -0.1, ..all_enabled() }),
            ("mixup", AugmentParams { mixup: 5.0, ..all_enabled() }),
            ("masks", AugmentParams { masks: 17, ..all_enabled() }),
            ("masks", AugmentParams { masks: 0, ..all_enabled() }),
        ] {
            let error = params.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("param `train.augment.{key}`")), "{error}");
        }
        let dataset = dataset();
        for (key, params) in [
            ("freq_mask", AugmentParams { freq_mask: 5, ..all_enabled() }),
            ("time_mask", AugmentParams { time_mask: 7, ..all_enabled() }),
        ] {
            let error = Augment::new(&dataset, &params, &[0], 1).unwrap_err().to_string();
            assert!(error.starts_with(&format!("param `train.augment.{key}`")), "{error}");
        }
    }
}
