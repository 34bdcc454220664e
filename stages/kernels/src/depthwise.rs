//! Depth-wise convolution of slices: each channel by a kernel of its own, without a matrix of patches.
//!
//! A row of the output is a sum of rows of the input, shifted and scaled, which is what vector units are for.
//! Knows nothing about tensors.

use rayon::prelude::*;

use crate::conv::{Geometry, sum_in_order};
use crate::simd::{sum_of, vectorized};

/// Writes the output.
pub(crate) fn forward(geometry: &Geometry, input: &[f32], weight: &[f32], bias: &[f32], output: &mut [f32]) {
    let planes = output.par_chunks_exact_mut(geometry.plane_out());
    planes.zip(input.par_chunks_exact(geometry.plane())).enumerate().for_each(|(at, (output, input))| {
        let channel = at % geometry.channels_out;
        output.fill(bias[channel]);
        vectorized(|| {
            rows(geometry, |tap, to, from, length| {
                let weight = weight[channel * geometry.patch() + tap];
                let target = &mut output[to..][..length];
                add_scaled(target, &input[from..], geometry.stride[1], weight);
            });
        });
    });
}

/// Writes the gradient of the input, if there is room for it, and gives that of the weights.
pub(crate) fn backward(
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    output: &[f32],
    input_gradient: &mut [f32],
) -> Vec<f32> {
    let planes = output.par_chunks_exact(geometry.plane_out()).enumerate();
    if !input_gradient.is_empty() {
        planes.clone().zip(input_gradient.par_chunks_exact_mut(geometry.plane())).for_each(
            |((at, output), target)| {
                let channel = at % geometry.channels_out;
                vectorized(|| {
                    rows(geometry, |tap, to, from, length| {
                        let weight = weight[channel * geometry.patch() + tap];
                        spread_scaled(
                            &mut target[from..],
                            &output[to..][..length],
                            geometry.stride[1],
                            weight,
                        );
                    });
                });
            },
        );
    }
    let of_plane = |(at, output): (usize, &[f32])| {
        let input = &input[at * geometry.plane()..][..geometry.plane()];
        let mut sums = vec![0.0; geometry.patch()];
        vectorized(|| {
            rows(geometry, |tap, to, from, length| {
                sums[tap] += dot(&output[to..][..length], &input[from..], geometry.stride[1]);
            });
        });
        sums
    };
    let sums: Vec<Vec<f32>> = planes.map(of_plane).collect();
    sum_in_order(sums.chunks_exact(geometry.channels_out).map(|sample| sample.concat()).collect())
}

/// Calls `each` with the index of a tap, where a run of a row begins in the output and in the input, and its
/// length in the output.
#[inline(always)]
fn rows(geometry: &Geometry, mut each: impl FnMut(usize, usize, usize, usize)) {
    for row in 0..geometry.out[0] {
        for (tap, (i, j)) in geometry.taps().enumerate() {
            let columns = geometry.columns(j);
            let Some(y) = geometry.source_row(row, i).filter(|_| !columns.is_empty()) else { continue };
            let from = y * geometry.size[1] + geometry.source_column(columns.start, j);
            each(tap, row * geometry.out[1] + columns.start, from, columns.len());
        }
    }
}

#[inline(always)]
fn add_scaled(target: &mut [f32], source: &[f32], stride: usize, weight: f32) {
    if stride == 1 {
        target.iter_mut().zip(source).for_each(|(to, from)| *to += weight * from);
    } else {
        target.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, from)| *to += weight * from);
    }
}

#[inline(always)]
fn spread_scaled(target: &mut [f32], source: &[f32], stride: usize, weight: f32) {
    if stride == 1 {
        target.iter_mut().zip(source).for_each(|(to, from)| *to += weight * from);
    } else {
        target.iter_mut().step_by(stride).zip(source).for_each(|(to, from)| *to += weight * from);
    }
}

#[inline(always)]
fn dot(output: &[f32], input: &[f32], stride: usize) -> f32 {
    if stride == 1 {
        sum_of(output, &input[..output.len()], |a, b| a * b)
    } else {
        output.iter().zip(input.iter().step_by(stride)).map(|(a, b)| a * b).sum()
    }
}
