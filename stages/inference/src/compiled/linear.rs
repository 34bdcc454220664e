//! Linear layer on a batch: matrix product, bias, leaky ReLU.

use rayon::prelude::*;

use super::convolution::group;
use super::tile::{self, Tile, View};
use crate::level::Level;
use crate::plan;
use crate::simd::{F32x16, Kernel, LANES, Simd, to_f32x16};

/// A linear layer with packed weights. Outputs are in blocks of 16.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    /// `[group of blocks][input][block of the group]`
    weights: Vec<F32x16>,
    /// `[block]`
    bias: Vec<F32x16>,
    slope: f32,
    level: Level,
}

impl Linear {
    /// Packs the weights. `places` maps each value of an input row to an input of the layer; `None`
    /// is padding.
    pub(crate) fn pack(layer: &plan::Linear, places: &[Option<usize>], level: Level) -> Linear {
        let (bias, outputs) = (to_f32x16(&layer.bias), layer.bias.len());
        let group = group(bias.len());
        // These are most of the weights of some networks, so allocate and write them only once.
        let mut weights = Vec::with_capacity(places.len() * bias.len());
        for first in (0..outputs).step_by(group * LANES) {
            for place in places {
                let Some(place) = place else {
                    weights.resize(weights.len() + group, [0.0; LANES]);
                    continue;
                };
                let row = &layer.weight[place * outputs..][..outputs];
                let (whole, rest) = row[first..outputs.min(first + group * LANES)].as_chunks();
                weights.extend_from_slice(whole);
                weights.extend(to_f32x16(rest));
            }
        }
        Linear { inputs: places.len(), weights, bias, slope: layer.slope, level }
    }

    /// Returns the length of an output row, including padding.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len() * LANES
    }

    /// Maps rows of inputs to rows of outputs: `[N, inputs]` → `[N, outputs]`.
    pub(crate) fn run(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.inputs;
        let (columns, outputs) = (group(self.bias.len()) * LANES, self.outputs());
        let mut by_group = vec![0.0; count * outputs];
        by_group.par_chunks_exact_mut((count * columns).max(1)).enumerate().for_each(
            |(group, output)| {
                self.level.run(Group { linear: self, rows, group, output });
            },
        );
        let mut output = Vec::with_capacity(by_group.len());
        for row in 0..count {
            let groups = by_group.chunks_exact(count * columns);
            output.extend(groups.flat_map(|group| &group[row * columns..][..columns]));
        }
        output
    }
}

/// One group of output columns for all rows.
struct Group<'a> {
    linear: &'a Linear,
    rows: &'a [f32],
    group: usize,
    output: &'a mut [f32],
}

/// Covers the rows with tiles: the tallest that fit into the registers, then shorter ones for the
/// rest.
macro_rules! tiles {
    ($group:ident, $simd:ident: $blocks:literal of [$($rows:literal)*]) => {
        let count = $group.rows.len() / $group.linear.inputs;
        let mut left = count;
        $(
            while $rows * $blocks <= S::ACCUMULATORS && left >= $rows {
                $group.tile::<S, $rows, $blocks>($simd, count - left);
                left -= $rows;
            }
        )*
    };
}

impl Kernel for Group<'_> {
    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        match group(self.linear.bias.len()) {
            2 => {
                tiles!(self, simd: 2 of [8 4 3 2 1]);
            }
            _ => {
                tiles!(self, simd: 1 of [8 6 3 2 1]);
            }
        }
    }
}

impl Group<'_> {
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const BLOCKS: usize>(&mut self, simd: S, first: usize) {
        let Linear { inputs, weights, bias, slope, .. } = self.linear;
        let ((bias, _), (weights, _)) = (bias.as_chunks::<BLOCKS>(), weights.as_chunks::<BLOCKS>());
        let bias = bias[self.group].each_ref().map(|bias| simd.load(bias));
        let mut sums: Tile<S, 1, ROWS, BLOCKS> = [[bias; ROWS]];
        let values = &self.rows[first * inputs..];
        let view = View { values, run: *inputs, pitch: 0, down: 0, across: *inputs };
        tile::add(simd, &mut sums, view, &weights[self.group * inputs..][..*inputs]);
        let slope = simd.splat(*slope);
        let (output, _) = self.output.as_chunks_mut::<LANES>();
        let output = output[first * BLOCKS..].iter_mut();
        for (sum, output) in sums[0].as_flattened().iter().zip(output) {
            simd.store(simd.max(simd.mul(*sum, slope), *sum), output);
        }
    }
}
