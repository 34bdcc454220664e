//! Statistics of a clip over time, and a linear classifier of them.
//!
//! The statistics of a clip `[channels, height, width]` are root mean squares over its frames,
//! except for the first group:
//!
//! ```text
//! means    [channels, height]            the level of each row
//! steps    [channels, height − 1]        differences of adjacent rows
//! changes  [channels, scales, height]    differences of the means of adjacent runs of 1, 2, … 32
//!                                        frames (Haar wavelets)
//! ```
//!
//! Past its end a clip goes on with its last frame, so that clips may be as short as one frame.
//! Does not know how the classifier is fitted.

use rayon::prelude::*;

use crate::plan::{Affine, Linear};

/// Numbers of frames of the runs whose means are compared.
pub const SCALES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Number of frames that the longest pair of runs covers.
pub const SPAN: usize = 2 * SCALES[SCALES.len() - 1];

/// Returns the number of statistics of a clip of these channels and this height.
pub fn count([channels, height]: [usize; 2]) -> usize {
    channels * (height + height.saturating_sub(1) + SCALES.len() * height)
}

/// Returns the statistics of a clip in C order.
pub fn statistics(clip: &[f32], [channels, height]: [usize; 2]) -> Vec<f32> {
    let width = clip.len() / (channels * height);
    let mut sums = vec![0.0; width + SPAN];
    let [mut means, mut steps, mut changes] = [(); 3].map(|()| Vec::new());
    for channel in clip.chunks_exact(height * width) {
        let rows: Vec<&[f32]> = channel.chunks_exact(width).collect();
        for pair in rows.windows(2) {
            let differences = pair[0].iter().zip(pair[1]);
            steps.push(root_mean_square(
                differences.map(|(one, other)| f64::from(*other) - f64::from(*one)),
                width,
            ));
        }
        let first = changes.len();
        changes.resize(first + SCALES.len() * height, 0.0);
        for (row, values) in rows.iter().enumerate() {
            sum_up(values, &mut sums);
            means.push((sums[width] / width as f64) as f32);
            for (scale, frames) in SCALES.iter().enumerate() {
                let change = |at: usize| {
                    let [start, middle, end] = [0, 1, 2].map(|runs| sums[at + runs * frames]);
                    (end - middle - (middle - start)) / *frames as f64
                };
                changes[first + scale * height + row] =
                    root_mean_square((0..width).map(change), width);
            }
        }
    }
    [means, steps, changes].concat()
}

/// Writes the sum of the first n values to `sums[n]`, as if the last value were repeated.
fn sum_up(values: &[f32], sums: &mut [f64]) {
    let last = values.last().copied().unwrap_or_default();
    let mut sum = 0.0;
    for (at, place) in sums.iter_mut().enumerate() {
        *place = sum;
        sum += f64::from(*values.get(at).unwrap_or(&last));
    }
}

fn root_mean_square(values: impl Iterator<Item = f64>, count: usize) -> f32 {
    (values.map(|value| value * value).sum::<f64>() / count as f64).sqrt() as f32
}

/// A linear classifier of the statistics of clips.
#[derive(Clone, Debug)]
pub struct Classifier {
    rows: [usize; 2],
    normalise: Vec<Affine>,
    linear: Linear,
}

impl Classifier {
    /// Creates the classifier of clips of these channels and this height, which applies `normalise`
    /// to each statistic and then the layer, without its activation.
    ///
    /// # Panics
    /// If a length does not fit the number of statistics.
    pub fn new(rows: [usize; 2], normalise: Vec<Affine>, linear: Linear) -> Classifier {
        let count = count(rows);
        assert!(
            normalise.len() == count && linear.weight.len() == count * linear.bias.len(),
            "BUG: the classifier does not fit the statistics"
        );
        Classifier { rows, normalise, linear }
    }

    /// Adds its logits of each clip to `logits`, `[N, classes]`.
    ///
    /// # Panics
    /// If `logits` does not have rows of its classes.
    pub fn add_to(&self, logits: &mut [f32], clips: &[f32]) {
        let Linear { weight, bias, .. } = &self.linear;
        let classes = bias.len();
        assert!(logits.len().is_multiple_of(classes), "BUG: incomplete row of logits");
        let clip = clips.len() / (logits.len() / classes).max(1);
        let rows = logits.par_chunks_exact_mut(classes);
        rows.zip(clips.par_chunks_exact(clip.max(1))).for_each(|(logits, clip)| {
            let mut sums: Vec<f64> = bias.iter().copied().map(f64::from).collect();
            let statistics = statistics(clip, self.rows);
            let weights = weight.chunks_exact(classes);
            for ((value, map), weights) in statistics.iter().zip(&self.normalise).zip(weights) {
                let value = f64::from(map.apply(*value));
                let products = weights.iter().map(|weight| value * f64::from(*weight));
                sums.iter_mut().zip(products).for_each(|(sum, product)| *sum += product);
            }
            logits.iter_mut().zip(sums).for_each(|(logit, sum)| *logit += sum as f32);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::NO_ACTIVATION;

    #[test]
    fn statistics_of_a_small_clip() {
        // Two rows: a step after two of four frames, and an alternation.
        let clip = [0.0, 0.0, 4.0, 4.0, 1.0, 3.0, 1.0, 3.0];
        let found = statistics(&clip, [1, 2]);
        assert_eq!(found.len(), count([1, 2]));
        assert_eq!(found[..2], [2.0, 2.0]);
        // Differences of the rows: 1, 3, −3, −1.
        assert_eq!(found[2], 5.0f32.sqrt());
        // Adjacent frames differ by 0, 4, 0, 0 and by 2, −2, 2, 0.
        assert_eq!(found[3..5], [2.0, 3.0f32.sqrt()]);
        // Means of two frames: 0 → 4, 2 → 4, 4 → 4, 4 → 4 and 2 → 2, 2 → 3, 2 → 3, 3 → 3.
        assert_eq!(found[5..7], [5.0f32.sqrt(), 0.5f32.sqrt()]);
    }

    #[test]
    fn single_frame_never_changes() {
        let found = statistics(&[7.0, 9.0], [2, 1]);
        let mut expected = vec![0.0; count([2, 1])];
        expected[..2].copy_from_slice(&[7.0, 9.0]);
        assert_eq!(found, expected);
    }

    #[test]
    fn logits_are_added_clip_by_clip() {
        let rows = [1, 1];
        let normalise = vec![Affine { factor: 2.0, shift: 1.0 }; count(rows)];
        let mut weight = vec![0.0; 2 * count(rows)];
        weight[..2].copy_from_slice(&[1.0, -1.0]);
        let linear = Linear { weight, bias: vec![0.0, 10.0], slope: NO_ACTIVATION };
        let mut logits = [100.0, 200.0, 300.0, 400.0];
        Classifier::new(rows, normalise, linear).add_to(&mut logits, &[3.0, 5.0, 1.0, 1.0]);
        assert_eq!(logits, [109.0, 201.0, 303.0, 407.0]);
    }
}
