//! Normalisation per channel, activation and pooling of slices, fused.
//!
//! The forward and the backward pass each read the input twice and store no intermediate result.
//!
//! For each channel, `z = (x − mean) · scale · weight + bias` with `scale = 1 / √(variance + ε)`,
//! and `y = pool(f(z))`. With `g` the gradient of `z`, `x̂ = (x − mean) · scale`, and means over
//! the values of a channel (Ioffe and Szegedy 2015),
//! `dx = weight · scale · (g − mean(g) − x̂ · mean(g · x̂))`. Inputs have shape (batch, channels,
//! height, width) in C order.

use rayon::prelude::*;

use crate::activation::{Activation, with_known};
use crate::epilogue::{Epilogue, Pool};
use crate::simd::{sum_of, vectorized};

/// Sizes of a batch and its epilogue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Block {
    pub batch: usize,
    pub channels: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    pub epilogue: Epilogue,
}

/// Statistics of each channel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statistics {
    pub mean: Vec<f32>,
    /// Biased variance.
    pub variance: Vec<f32>,
}

/// Gradients of a block.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub input: Vec<f32>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Normalisation of a channel as an affine map: `z = x · factor + shift`.
#[derive(Clone, Copy, Debug)]
struct Affine {
    factor: f32,
    shift: f32,
}

impl Block {
    /// Returns height and width of the output.
    pub(crate) fn out(&self) -> [usize; 2] {
        self.epilogue.pool.out(self.size)
    }

    fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    fn plane_out(&self) -> usize {
        self.out()[0] * self.out()[1]
    }

    /// Returns the planes of a channel, one per sample.
    fn planes<'a>(
        &self,
        channel: usize,
        input: &'a [f32],
        plane: usize,
    ) -> impl Iterator<Item = &'a [f32]> + Clone {
        let (channels, batch) = (self.channels, self.batch);
        (0..batch).map(move |sample| &input[(sample * channels + channel) * plane..][..plane])
    }

    /// Returns mean and variance of each channel.
    ///
    /// The variance takes a second pass about the mean, which avoids cancellation.
    pub(crate) fn statistics(&self, input: &[f32]) -> Statistics {
        let count = (self.batch * self.plane()) as f64;
        let channel_statistics = |channel| {
            let planes = self.planes(channel, input, self.plane());
            let sum = |map: &dyn Fn(&[f32]) -> f32| {
                planes.clone().map(|plane| f64::from(map(plane))).sum::<f64>()
            };
            let mean = (sum(&|plane| vectorized(|| sum_of(plane, plane, |value, _| value))) / count)
                as f32;
            let squares = |plane: &[f32]| {
                vectorized(|| sum_of(plane, plane, |value, _| (value - mean) * (value - mean)))
            };
            (mean, (sum(&squares) / count) as f32)
        };
        let (mean, variance) = (0..self.channels).into_par_iter().map(channel_statistics).unzip();
        Statistics { mean, variance }
    }

    /// Returns the output and, for a max-pool, the index in the input plane of each output value.
    pub(crate) fn forward(
        &self,
        input: &[f32],
        statistics: &Statistics,
        weight: &[f32],
        bias: &[f32],
        epsilon: f32,
    ) -> (Vec<f32>, Vec<u32>) {
        let mut output = vec![0.0; self.batch * self.channels * self.plane_out()];
        let mut origins =
            vec![0; if matches!(self.epilogue.pool, Pool::Max(_)) { output.len() } else { 0 }];
        if output.is_empty() {
            return (output, origins);
        }
        let affine = affine(statistics, weight, bias, epsilon);
        let planes =
            output.par_chunks_exact_mut(self.plane_out()).zip(input.par_chunks_exact(self.plane()));
        let planes = planes
            .enumerate()
            .map(|(at, (output, input))| (affine[at % self.channels], input, output));
        match self.epilogue.pool {
            Pool::Max(window) => {
                let planes = planes.zip(origins.par_chunks_exact_mut(self.plane_out()));
                planes.for_each_init(Columns::default, |columns, (plane, origins)| {
                    vectorized(|| {
                        with_known!(self.epilogue.activation, |known| self
                            .max_pool(window, known, plane, columns, origins));
                    });
                });
            }
            Pool::Average(window) => planes.for_each(|plane| {
                vectorized(|| {
                    with_known!(self.epilogue.activation, |known| self
                        .average_pool(window, known, plane));
                });
            }),
            Pool::None => planes.for_each(|(affine, input, output)| {
                vectorized(|| {
                    with_known!(self.epilogue.activation, |known| {
                        output
                            .iter_mut()
                            .zip(input)
                            .for_each(|(y, x)| *y = known.at(affine.at(*x)));
                    });
                });
            }),
        }
        (output, origins)
    }

    /// Takes the maximum down each column first, which vectorises, then across the columns of a
    /// window.
    #[inline(always)]
    fn max_pool(
        &self,
        [height, width]: [usize; 2],
        activation: Activation,
        (affine, input, output): (Affine, &[f32], &mut [f32]),
        columns: &mut Columns,
        origins: &mut [u32],
    ) {
        let (row, row_out) = (self.size[1], self.out()[1]);
        columns.resize(row);
        let lines = output.chunks_exact_mut(row_out).zip(origins.chunks_exact_mut(row_out));
        for (first, (output, origins)) in (0..).step_by(height * row).zip(lines) {
            let mut rows =
                (first as u32..).step_by(row).zip(input[first..][..height * row].chunks_exact(row));
            if let Some((begin, source)) = rows.next() {
                columns.rows.fill(begin);
                columns
                    .values
                    .iter_mut()
                    .zip(source)
                    .for_each(|(best, x)| *best = activation.at(affine.at(*x)));
            }
            for (begin, source) in rows {
                let best = columns.values.iter_mut().zip(&mut columns.rows);
                for ((best, row), x) in best.zip(source) {
                    let value = activation.at(affine.at(*x));
                    *row = if value > *best { begin } else { *row };
                    *best = if value > *best { value } else { *best };
                }
            }
            match width {
                2 => columns.larger_of_two(output, origins),
                _ => columns.largest_across(width, output, origins),
            }
        }
    }

    #[inline(always)]
    fn average_pool(
        &self,
        [height, width]: [usize; 2],
        activation: Activation,
        (affine, input, output): (Affine, &[f32], &mut [f32]),
    ) {
        let (row, row_out) = (self.size[1], self.out()[1]);
        let share = 1.0 / (height * width) as f32;
        for (line, output) in output.chunks_exact_mut(row_out).enumerate() {
            for i in 0..height {
                let source = &input[(line * height + i) * row..][..row];
                for (mean, window) in output.iter_mut().zip(source.chunks_exact(width)) {
                    *mean += sum_of(window, window, |x, _| activation.at(affine.at(x))) * share;
                }
            }
        }
    }

    /// Returns the gradients, given the gradient of the output in `output`.
    pub(crate) fn backward(
        &self,
        input: &[f32],
        statistics: &Statistics,
        [weight, bias]: [&[f32]; 2],
        epsilon: f32,
        output: &[f32],
        origins: &[u32],
    ) -> Gradients {
        let affine = affine(statistics, weight, bias, epsilon);
        let scale: Vec<f32> =
            statistics.variance.iter().map(|it| 1.0 / (it + epsilon).sqrt()).collect();
        let channel_sums = |channel: usize| {
            let (affine, mean) = (affine[channel], statistics.mean[channel]);
            let mut sums = [0.0f64; 2];
            for sample in 0..self.batch {
                let at = sample * self.channels + channel;
                let plane_sums = vectorized(|| {
                    with_known!(self.epilogue.activation, |known| self.plane_sums(
                        known,
                        affine,
                        mean,
                        at,
                        [input, output],
                        origins
                    ))
                });
                sums.iter_mut().zip(plane_sums).for_each(|(sum, part)| *sum += f64::from(part));
            }
            [sums[0] as f32, sums[1] as f32 * scale[channel]]
        };
        let sums: Vec<[f32; 2]> = (0..self.channels).into_par_iter().map(channel_sums).collect();
        let count = (self.batch * self.plane()) as f32;
        let mut gradient = vec![0.0; input.len()];
        if !input.is_empty() {
            gradient.par_chunks_exact_mut(self.plane()).enumerate().for_each(|(at, gradient)| {
                let channel = at % self.channels;
                let [bias_sum, weight_sum] = sums[channel];
                // dx = a · (g − mean(g) − x̂ · mean(g · x̂)) = a · g + slope · x + level
                let a = affine[channel].factor;
                let slope = -a * scale[channel] * weight_sum / count;
                let level = -a * bias_sum / count - slope * statistics.mean[channel];
                let input = &input[at * self.plane()..][..self.plane()];
                vectorized(|| {
                    gradient.iter_mut().zip(input).for_each(|(dx, x)| *dx = x * slope + level);
                    with_known!(self.epilogue.activation, |known| {
                        self.add_gradient(
                            known,
                            affine[channel],
                            at,
                            [input, output],
                            origins,
                            gradient,
                        );
                    });
                });
            });
        }
        let bias = sums.iter().map(|sums| sums[0]).collect();
        Gradients { input: gradient, weight: sums.iter().map(|sums| sums[1]).collect(), bias }
    }

    /// Returns the sums of `g` and of `g · (x − mean)` over a plane.
    #[inline(always)]
    fn plane_sums(
        &self,
        activation: Activation,
        affine: Affine,
        mean: f32,
        at: usize,
        [input, output]: [&[f32]; 2],
        origins: &[u32],
    ) -> [f32; 2] {
        let input = &input[at * self.plane()..][..self.plane()];
        let output = &output[at * self.plane_out()..][..self.plane_out()];
        let slope = |x: f32| activation.slope(affine.at(x));
        match self.epilogue.pool {
            Pool::None => [
                sum_of(input, output, |x, g| g * slope(x)),
                sum_of(input, output, |x, g| g * slope(x) * (x - mean)),
            ],
            Pool::Max(_) => {
                let origins = &origins[at * self.plane_out()..][..self.plane_out()];
                let mut sums = [0.0; 2];
                for (g, origin) in output.iter().zip(origins) {
                    let x = input[*origin as usize];
                    let g = g * slope(x);
                    sums[0] += g;
                    sums[1] += g * (x - mean);
                }
                sums
            }
            Pool::Average([height, width]) => {
                let mut sums = [0.0; 2];
                self.each_window(height, width, |first, out| {
                    let (window, g) =
                        (&input[first..][..width], output[out] / (height * width) as f32);
                    sums[0] += g * sum_of(window, window, |x, _| slope(x));
                    sums[1] += g * sum_of(window, window, |x, _| slope(x) * (x - mean));
                });
                sums
            }
        }
    }

    /// Adds `a · g` to the gradient of a plane.
    #[inline(always)]
    fn add_gradient(
        &self,
        activation: Activation,
        affine: Affine,
        at: usize,
        [input, output]: [&[f32]; 2],
        origins: &[u32],
        gradient: &mut [f32],
    ) {
        let output = &output[at * self.plane_out()..][..self.plane_out()];
        let factor = |x: f32| activation.slope(affine.at(x)) * affine.factor;
        match self.epilogue.pool {
            Pool::None => {
                let pairs = input.iter().zip(output);
                gradient.iter_mut().zip(pairs).for_each(|(dx, (x, g))| *dx += g * factor(*x));
            }
            Pool::Max(_) => {
                let origins = &origins[at * self.plane_out()..][..self.plane_out()];
                for (g, origin) in output.iter().zip(origins) {
                    gradient[*origin as usize] += g * factor(input[*origin as usize]);
                }
            }
            Pool::Average([height, width]) => self.each_window(height, width, |first, out| {
                let g = output[out] / (height * width) as f32;
                let window = gradient[first..][..width].iter_mut().zip(&input[first..][..width]);
                window.for_each(|(dx, x)| *dx += g * factor(*x));
            }),
        }
    }

    /// Calls `visit` for every row of every window, with the index in the plane where the row
    /// begins and the index of the window.
    #[inline(always)]
    fn each_window(&self, height: usize, width: usize, mut visit: impl FnMut(usize, usize)) {
        let [lines, columns] = self.out();
        for line in 0..lines * height {
            for column in 0..columns {
                visit(line * self.size[1] + column * width, line / height * columns + column);
            }
        }
    }
}

/// Maximum of each column over the rows of a window.
#[derive(Debug, Default)]
struct Columns {
    values: Vec<f32>,
    /// Index in the plane where the row of that maximum begins.
    rows: Vec<u32>,
}

impl Columns {
    fn resize(&mut self, length: usize) {
        self.values.resize(length, 0.0);
        self.rows.resize(length, 0);
    }

    /// Does [`Columns::largest_across`] for pairs of columns, in a form that vectorises.
    #[inline(always)]
    fn larger_of_two(&self, output: &mut [f32], origins: &mut [u32]) {
        let (values, _) = self.values.as_chunks::<2>();
        let (rows, _) = self.rows.as_chunks::<2>();
        let count = output.len().min(values.len()).min(rows.len()).min(origins.len());
        let (values, rows) = (&values[..count], &rows[..count]);
        let (output, origins) = (&mut output[..count], &mut origins[..count]);
        for at in 0..count {
            let ([left, right], [row, other]) = (values[at], rows[at]);
            let better = (right > left) | ((right == left) & (other < row));
            output[at] = if better { right } else { left };
            origins[at] = if better { other + 1 } else { row } + 2 * at as u32;
        }
    }

    /// Writes the maximum of every `width` columns and its index in the plane. Of equal values, the
    /// first in C order counts.
    #[inline(always)]
    fn largest_across(&self, width: usize, output: &mut [f32], origins: &mut [u32]) {
        let windows = self.values.chunks_exact(width).zip(self.rows.chunks_exact(width));
        let places = output.iter_mut().zip(origins);
        for ((first, (values, rows)), (output, origin)) in
            (0u32..).step_by(width).zip(windows).zip(places)
        {
            let (mut value, mut row, mut column) = (values[0], rows[0], first);
            for (other, (candidate, begin)) in (first..).zip(values.iter().zip(rows)).skip(1) {
                // No short-circuit operators: they would be unpredictable branches.
                let better = (*candidate > value) | ((*candidate == value) & (*begin < row));
                value = if better { *candidate } else { value };
                row = if better { *begin } else { row };
                column = if better { other } else { column };
            }
            (*output, *origin) = (value, row + column);
        }
    }
}

impl Affine {
    #[inline(always)]
    fn at(self, x: f32) -> f32 {
        x * self.factor + self.shift
    }
}

fn affine(statistics: &Statistics, weight: &[f32], bias: &[f32], epsilon: f32) -> Vec<Affine> {
    let channels = statistics.mean.iter().zip(&statistics.variance).zip(weight.iter().zip(bias));
    let channel_affine = |((mean, variance), (weight, bias)): ((&f32, &f32), (&f32, &f32))| {
        let factor = weight / (variance + epsilon).sqrt();
        Affine { factor, shift: bias - mean * factor }
    };
    channels.map(channel_affine).collect()
}
