//! Backward pass of a convolution on slices, by patches and matrix products.
//!
//! Samples are computed in parallel, each by one thread.

use rayon::prelude::*;

use crate::gemm::{Destination, Matrix, multiply};
use crate::geometry::Geometry;
use crate::patches;
use crate::simd::{sum_of, vectorized};

/// Number of partial sums of the weight gradients, independent of the number of threads.
const PARTS: usize = 8;

/// Gradients of a convolution; that of the input only on request.
#[derive(Debug)]
pub(crate) struct Gradients {
    pub input: Option<Vec<f32>>,
    pub weight: Vec<f32>,
    pub bias: Vec<f32>,
}

/// Request for the gradient of the input, which is not needed in the first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InputGradient {
    Wanted,
    Unused,
}

/// Returns the gradients, given the gradient of the output in `output`.
pub(crate) fn backward(
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    output: &[f32],
    wanted: InputGradient,
) -> Gradients {
    let mut input_gradient =
        vec![0.0; if wanted == InputGradient::Wanted { input.len() } else { 0 }];
    let bias = bias_gradient(geometry, output);
    let weight = if output.is_empty() || input.is_empty() {
        vec![0.0; weight.len()]
    } else {
        samples_backward(geometry, input, weight, output, &mut input_gradient)
    };
    let input = (wanted == InputGradient::Wanted).then_some(input_gradient);
    Gradients { input, weight, bias }
}

/// Writes the gradient of the input, unless its slice is empty, and returns that of the weights.
fn samples_backward(
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    output: &[f32],
    input_gradient: &mut [f32],
) -> Vec<f32> {
    let part = geometry.batch.div_ceil(PARTS);
    let (sample_in, sample_out) =
        (geometry.channels_in * geometry.plane(), geometry.channels_out * geometry.plane_out());
    let compute = |input: &[f32], output: &[f32], mut gradient: Option<&mut [f32]>| {
        let mut sum = vec![0.0; weight.len()];
        let mut scratch = Vec::new();
        for sample in 0..output.len() / sample_out {
            let input = &input[sample * sample_in..][..sample_in];
            let output = &output[sample * sample_out..][..sample_out];
            let gradient =
                gradient.as_deref_mut().map(|all| &mut all[sample * sample_in..][..sample_in]);
            sample_backward(geometry, input, weight, output, gradient, &mut sum, &mut scratch);
        }
        sum
    };
    let parts = input.par_chunks(part * sample_in).zip(output.par_chunks(part * sample_out));
    let sums: Vec<Vec<f32>> = if input_gradient.is_empty() {
        parts.map(|(input, output)| compute(input, output, None)).collect()
    } else {
        let gradients = input_gradient.par_chunks_mut(part * sample_in);
        parts.zip(gradients).map(|((input, output), it)| compute(input, output, Some(it))).collect()
    };
    sum_in_order(sums)
}

/// Adds one sample's contribution to the gradients of the weights and of the input.
fn sample_backward(
    geometry: &Geometry,
    input: &[f32],
    weight: &[f32],
    output: &[f32],
    mut input_gradient: Option<&mut [f32]>,
    weight_gradient: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let (plane, rows, depth) = (geometry.plane_out(), geometry.group_out(), geometry.patch());
    let mut backwards = Vec::new();
    let group_in = geometry.group_in() * geometry.plane();
    for (group, (input, weight)) in
        inputs(geometry, input).zip(weights(geometry, weight)).enumerate()
    {
        let output = &output[group * rows * plane..][..rows * plane];
        let target = &mut weight_gradient[group * rows * depth..][..rows * depth];
        let mut gradient =
            input_gradient.as_deref_mut().map(|all| &mut all[group * group_in..][..group_in]);
        tiles(geometry, input, scratch, |at, patches| {
            let output = Matrix::rows(&output[at..], rows, patches.columns, plane);
            multiply(target, depth, output, patches.transposed(), Destination::Add);
            let Some(gradient) = gradient.as_deref_mut() else { return };
            if geometry.is_pointwise() {
                multiply(
                    &mut gradient[at..],
                    plane,
                    weight.transposed(),
                    output,
                    Destination::Replace,
                );
                return;
            }
            backwards.resize(depth * patches.columns, 0.0);
            multiply(
                &mut backwards,
                patches.columns,
                weight.transposed(),
                output,
                Destination::Replace,
            );
            let first = at / geometry.out[1];
            let rows = first..first + patches.columns / geometry.out[1];
            vectorized(|| patches::scatter(geometry, &backwards, rows, gradient));
        });
    }
}

/// Calls `each` with the patch matrix of each tile and the index in an output plane where its
/// columns begin.
fn tiles(
    geometry: &Geometry,
    input: &[f32],
    scratch: &mut Vec<f32>,
    mut each: impl FnMut(usize, Matrix<'_>),
) {
    let depth = geometry.patch();
    if geometry.is_pointwise() {
        return each(0, Matrix::rows(input, depth, geometry.plane(), geometry.plane()));
    }
    let step = patches::tile_rows(geometry);
    for first in (0..geometry.out[0]).step_by(step) {
        let rows = first..(first + step).min(geometry.out[0]);
        let columns = rows.len() * geometry.out[1];
        scratch.resize(depth * columns, 0.0);
        vectorized(|| patches::gather(geometry, input, rows, scratch));
        each(first * geometry.out[1], Matrix::rows(scratch, depth, columns, columns));
    }
}

fn inputs<'a>(geometry: &Geometry, input: &'a [f32]) -> impl Iterator<Item = &'a [f32]> + use<'a> {
    input.chunks_exact(geometry.group_in() * geometry.plane())
}

fn weights<'a>(
    geometry: &Geometry,
    weight: &'a [f32],
) -> impl Iterator<Item = Matrix<'a>> + use<'a> {
    let (rows, depth) = (geometry.group_out(), geometry.patch());
    weight.chunks_exact(rows * depth).map(move |group| Matrix::rows(group, rows, depth, depth))
}

fn bias_gradient(geometry: &Geometry, output: &[f32]) -> Vec<f32> {
    let (channels, plane) = (geometry.channels_out, geometry.plane_out());
    let sum = |channel: usize| {
        let planes = (0..geometry.batch)
            .map(|sample| &output[(sample * channels + channel) * plane..][..plane]);
        planes.map(|plane| vectorized(|| sum_of(plane, plane, |value, _| value))).sum()
    };
    (0..channels).into_par_iter().map(sum).collect()
}

/// Sums vectors of equal length in order.
pub(crate) fn sum_in_order(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        vectorized(|| total.iter_mut().zip(&part).for_each(|(total, part)| *total += part));
    }
    total
}
