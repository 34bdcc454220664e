//! A matrix product, a bias and a leaky ReLU, of a batch.
//!
//! Knows nothing about other layers.

use rayon::prelude::*;

use super::convolution::group;
use super::tile::{self, Tile, View};
use crate::lanes::{LANES, Lanes, Sixteen, Unit, Work, sixteens};
use crate::plan;

/// The layer, with its outputs in blocks of sixteen.
#[derive(Debug)]
pub(crate) struct Linear {
    inputs: usize,
    /// `[group of blocks][input][block of the group]`
    weights: Vec<Sixteen>,
    /// `[block]`
    bias: Vec<Sixteen>,
    slope: f32,
    unit: Unit,
}

impl Linear {
    /// `places`: which of the layer's inputs each number of a row is, if it is one.
    pub(crate) fn pack(layer: &plan::Linear, places: &[Option<usize>], unit: Unit) -> Linear {
        let (bias, outputs) = (sixteens(&layer.bias), layer.bias.len());
        let group = group(bias.len());
        // Most of what there is of some networks: it is allocated and written once.
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
                weights.extend(sixteens(rest));
            }
        }
        Linear { inputs: places.len(), weights, bias, slope: layer.slope, unit }
    }

    /// The numbers of a row that is made: the outputs, and zeros.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len() * LANES
    }

    /// Rows of inputs → rows of outputs.
    pub(crate) fn run(&self, rows: &[f32]) -> Vec<f32> {
        let count = rows.len() / self.inputs;
        let (columns, outputs) = (group(self.bias.len()) * LANES, self.outputs());
        let mut by_group = vec![0.0; count * outputs];
        by_group.par_chunks_exact_mut((count * columns).max(1)).enumerate().for_each(
            |(group, output)| {
                self.unit.run(Group { linear: self, rows, group, output });
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

/// Some columns of the output.
struct Group<'a> {
    linear: &'a Linear,
    rows: &'a [f32],
    group: usize,
    output: &'a mut [f32],
}

/// For as many rows as there are registers for, again and again, then for what is left.
macro_rules! tiles {
    ($group:ident, $lanes:ident: $blocks:literal of [$($rows:literal)*]) => {
        let count = $group.rows.len() / $group.linear.inputs;
        let mut left = count;
        $(
            while $rows * $blocks <= L::SUMS && left >= $rows {
                $group.tile::<L, $rows, $blocks>($lanes, count - left);
                left -= $rows;
            }
        )*
    };
}

impl Work for Group<'_> {
    #[inline(always)]
    fn on<L: Lanes>(mut self, lanes: L) {
        match group(self.linear.bias.len()) {
            2 => {
                tiles!(self, lanes: 2 of [8 4 3 2 1]);
            }
            _ => {
                tiles!(self, lanes: 1 of [8 6 3 2 1]);
            }
        }
    }
}

impl Group<'_> {
    #[inline(always)]
    fn tile<L: Lanes, const ROWS: usize, const BLOCKS: usize>(&mut self, lanes: L, first: usize) {
        let Linear { inputs, weights, bias, slope, .. } = self.linear;
        let ((bias, _), (weights, _)) = (bias.as_chunks::<BLOCKS>(), weights.as_chunks::<BLOCKS>());
        let bias = bias[self.group].each_ref().map(|bias| lanes.load(bias));
        let mut sums: Tile<L, 1, ROWS, BLOCKS> = [[bias; ROWS]];
        let numbers = &self.rows[first * inputs..];
        let view = View { numbers, run: *inputs, pitch: 0, down: 0, across: *inputs };
        tile::add(lanes, &mut sums, view, &weights[self.group * inputs..][..*inputs]);
        let slope = lanes.splat(*slope);
        let (output, _) = self.output.as_chunks_mut::<LANES>();
        let output = output[first * BLOCKS..].iter_mut();
        for (sum, output) in sums[0].as_flattened().iter().zip(output) {
            lanes.store(lanes.max(lanes.mul(*sum, slope), *sum), output);
        }
    }
}
