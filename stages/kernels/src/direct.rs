//! Forward pass of a convolution on slices: sums of shifted views of the images, with one tile of
//! the output at a time in registers.
//!
//! Each channel is copied once, with its padding. For a stride of s the copy consists of s × s
//! planes (phases) of every s-th row and column. In a phase, the inputs of one kernel position for
//! consecutive output positions are at consecutive addresses, even across rows, so no patch matrix
//! is needed. The sums at the padding between rows are meaningless. They are dropped when a strip
//! of rows is complete and still in the cache.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::geometry::Geometry;
use crate::simd::{vectorized, with_vectors};

/// Output channels in a tile. Of 16 registers, 4 × 3 hold sums, 3 hold the image and 1 holds
/// weights.
const CHANNELS: usize = 4;

/// Vectors per channel in a tile.
const VECTORS: usize = 3;

/// Number of values that a tile may extend past the end; the longest vectors have 16 values.
const SLACK: usize = VECTORS * 16;

/// Approximate number of sums per channel in a strip; those of 4 channels take 64 KiB.
const STRIP: usize = 4096;

/// Operands of a convolution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operands<'a> {
    pub input: &'a [f32],
    /// Weights in the layout of [`blocks`].
    pub weight: &'a [Weights],
    pub bias: &'a [f32],
}

/// Returns the output, of shape (batch, channels_out, height, width) in C order.
pub(crate) fn forward(geometry: &Geometry, operands: Operands<'_>) -> Vec<f32> {
    let [height, width] = geometry.out;
    let mut output = vec![0.0; geometry.batch * geometry.channels_out * height * width];
    if output.is_empty() {
        return output;
    }
    let layout = Layout::new(geometry);
    let images = layout.copies(geometry, operands.input);
    let of_group = geometry.group_out().div_ceil(CHANNELS);
    let groups = output.chunks_exact_mut(geometry.group_out() * height * width);
    let jobs: Vec<(usize, &mut [f32])> = groups
        .enumerate()
        .flat_map(|(group, output)| {
            (group * of_group..).zip(output.chunks_mut(CHANNELS * height * width))
        })
        .collect();
    jobs.into_par_iter().for_each_init(Vec::new, |sums, (block, output)| {
        let (all, image) = (block / of_group, &images[block / of_group * layout.group..]);
        let first = all % geometry.groups * geometry.group_out() + block % of_group * CHANNELS;
        let job = Job { geometry, layout: &layout, bias: &operands.bias[first..], image };
        job.run(&operands.weight[block % (of_group * geometry.groups)], output, sums);
    });
    output
}

/// Layout of the copy of a group of channels.
#[derive(Debug)]
struct Layout {
    /// Height and width of a phase.
    size: [usize; 2],
    /// Number of phases of a channel, vertically and horizontally; only those that the kernel uses.
    phases: [usize; 2],
    /// Offset of the first input of each kernel position, for each channel in turn.
    offsets: Vec<usize>,
    /// Number of values in a group.
    group: usize,
}

impl Layout {
    fn new(geometry: &Geometry) -> Layout {
        let of_axis = |axis: usize| {
            let padded = geometry.size[axis] + 2 * geometry.padding[axis];
            (
                padded.div_ceil(geometry.stride[axis]),
                geometry.stride[axis].min(geometry.kernel[axis]),
            )
        };
        let ((height, phases_down), (width, phases_across)) = (of_axis(0), of_axis(1));
        let channel = phases_down * phases_across * height * width;
        let offset = |channel_at: usize, (i, j): (usize, usize)| {
            let [down, across] = geometry.stride;
            let phase = i % down * phases_across + j % across;
            channel_at * channel + (phase * height + i / down) * width + j / across
        };
        let channels = 0..geometry.group_in();
        let offsets =
            channels.flat_map(|at| geometry.taps().map(move |tap| offset(at, tap))).collect();
        let group = geometry.group_in() * channel;
        Layout { size: [height, width], phases: [phases_down, phases_across], offsets, group }
    }

    /// Copies all images, with slack at the end so that the last tile can be a full one.
    fn copies(&self, geometry: &Geometry, input: &[f32]) -> Vec<f32> {
        let mut copies = vec![0.0; geometry.batch * geometry.groups * self.group + SLACK];
        let plane = self.size[0] * self.size[1];
        let phases = self.phases[0] * self.phases[1];
        let channels = copies
            .par_chunks_exact_mut(phases * plane)
            .zip(input.par_chunks_exact(geometry.plane()));
        channels.for_each(|(copy, image)| {
            vectorized(|| {
                for (phase, copy) in copy.chunks_exact_mut(plane).enumerate() {
                    self.copy(
                        geometry,
                        [phase / self.phases[1], phase % self.phases[1]],
                        image,
                        copy,
                    );
                }
            });
        });
        copies
    }

    /// Copies one phase of an image: every s-th row and column.
    #[inline(always)]
    fn copy(&self, geometry: &Geometry, phase: [usize; 2], image: &[f32], copy: &mut [f32]) {
        let first = |axis: usize| {
            // The first index in the phase that is not padding, and its index in the image.
            let (stride, padding) = (geometry.stride[axis], geometry.padding[axis]);
            let at = padding.saturating_sub(phase[axis]).div_ceil(stride);
            (at, at * stride + phase[axis] - padding)
        };
        let ((row, y), (column, x)) = (first(0), first(1));
        let rows = image.chunks_exact(geometry.size[1]).skip(y).step_by(geometry.stride[0]);
        for (target, source) in copy.chunks_exact_mut(self.size[1]).skip(row).zip(rows) {
            let (target, source) = (&mut target[column..], source.get(x..).unwrap_or_default());
            match geometry.stride[1] {
                1 => target[..source.len()].copy_from_slice(source),
                2 => {
                    // In a form that vectorises.
                    let (pairs, rest) = source.as_chunks::<2>();
                    let (whole, last) = target.split_at_mut(pairs.len());
                    whole.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
                    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                }
                stride => {
                    target
                        .iter_mut()
                        .zip(source.iter().step_by(stride))
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Weights of [`CHANNELS`] output channels, interleaved at each kernel position.
pub(crate) type Weights = Vec<[f32; CHANNELS]>;

/// Rearranges the weights of groups of `group_out` output channels with `patch` values each into
/// blocks of [`CHANNELS`] channels.
pub(crate) fn blocks(group_out: usize, patch: usize, weight: &[f32]) -> Vec<Weights> {
    let block = |block: &[f32]| {
        let mut weights = vec![[0.0; CHANNELS]; patch];
        for (channel, of_channel) in block.chunks_exact(patch).enumerate() {
            weights.iter_mut().zip(of_channel).for_each(|(all, weight)| all[channel] = *weight);
        }
        weights
    };
    let groups = weight.chunks_exact(group_out * patch);
    groups.flat_map(|group| group.chunks(CHANNELS * patch).map(block)).collect()
}

/// The computation of up to [`CHANNELS`] output channels of one image.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    geometry: &'a Geometry,
    layout: &'a Layout,
    bias: &'a [f32],
    image: &'a [f32],
}

impl Job<'_> {
    fn run(&self, weights: &Weights, output: &mut [f32], sums: &mut Vec<f32>) {
        let ([rows, width], pitch) = (self.geometry.out, self.layout.size[1]);
        let strip = (STRIP / pitch).clamp(1, rows);
        let length = strip * pitch + SLACK;
        sums.resize(CHANNELS * length, 0.0);
        for first in (0..rows).step_by(strip) {
            let rows = first..(first + strip).min(rows);
            let count = (rows.len() - 1) * pitch + width;
            let offsets = &self.layout.offsets;
            let image = &self.image[first * pitch..];
            with_vectors(Sums { weights, offsets, image, count, length, sums });
            let channels =
                output.chunks_exact_mut(self.geometry.plane_out()).zip(sums.chunks_exact(length));
            for ((output, sums), bias) in channels.zip(self.bias) {
                let output = output[rows.start * width..rows.end * width].chunks_exact_mut(width);
                vectorized(|| {
                    for (output, sums) in output.zip(sums.chunks(pitch)) {
                        output.iter_mut().zip(sums).for_each(|(value, sum)| *value = sum + bias);
                    }
                });
            }
        }
    }
}

/// The computation of the sums of a strip, without bias.
struct Sums<'a> {
    weights: &'a Weights,
    offsets: &'a [usize],
    image: &'a [f32],
    count: usize,
    /// Distance between channels in `sums`.
    length: usize,
    sums: &'a mut [f32],
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut at = 0;
        while at < self.count {
            // The rest of a small image is often less than a full tile.
            if self.count - at > 2 * S::F32_LANES {
                self.tile::<S, VECTORS>(simd, at);
                at += VECTORS * S::F32_LANES;
            } else {
                self.tile::<S, 2>(simd, at);
                at += 2 * S::F32_LANES;
            }
        }
    }
}

impl Sums<'_> {
    /// Computes `WIDTH` vectors of sums of each channel, from index `at` on.
    #[inline(always)]
    fn tile<S: Simd, const WIDTH: usize>(&mut self, simd: S, at: usize) {
        let lanes = WIDTH * S::F32_LANES;
        let mut tile = [[simd.splat_f32s(0.0); WIDTH]; CHANNELS];
        for (weights, offset) in self.weights.iter().zip(self.offsets) {
            let (source, _) = S::as_simd_f32s(&self.image[offset + at..][..lanes]);
            let source: [S::f32s; WIDTH] = std::array::from_fn(|vector| source[vector]);
            for channel in 0..CHANNELS {
                let weight = simd.splat_f32s(weights[channel]);
                for vector in 0..WIDTH {
                    tile[channel][vector] =
                        simd.mul_add_e_f32s(weight, source[vector], tile[channel][vector]);
                }
            }
        }
        for (sums, tile) in self.sums.chunks_exact_mut(self.length).zip(tile) {
            let (target, _) = S::as_mut_simd_f32s(&mut sums[at..][..lanes]);
            target.copy_from_slice(&tile);
        }
    }
}
