//! Computes a block of rows of a convolution's output.
//!
//! Single-threaded: the caller splits the rows over threads.

use std::ops::Range;

use super::convolution::{Convolution, HALF, Pool};
use super::feature_map::{Channels, FeatureMap};
use super::tile::{self, Tile, View};
use crate::simd::{Kernel, LANES, Simd};

/// Work of one thread: a range of rows, split by groups of channel blocks.
#[derive(Debug)]
pub(crate) struct RowBlock<'a> {
    pub row: Row<'a>,
    /// Units to compute, numbered `row · groups + group`.
    pub units: Range<usize>,
    /// Output of these units.
    pub output: &'a mut [f32],
}

/// One group of channel blocks in one row of the output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub convolution: &'a Convolution,
    /// Values and layouts of the feature maps computed so far.
    pub feature_maps: &'a [Vec<f32>],
    pub layouts: &'a [FeatureMap],
    /// Layout of the output.
    pub layout: FeatureMap,
    pub row: usize,
    pub group: usize,
}

impl RowBlock<'_> {
    pub(crate) fn compute(self) {
        self.row.convolution.level.run(self);
    }
}

impl Kernel for RowBlock<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let group = self.row.convolution.group();
        let groups = self.row.layout.channels.blocks / group;
        let outputs = self.output.chunks_exact_mut(group * self.row.layout.pitch());
        for (unit, output) in self.units.zip(outputs) {
            let row = Row { row: unit / groups, group: unit % groups, ..self.row };
            row.run(simd, output);
        }
    }
}

/// Covers a row with tiles: the widest that fit into the registers, then narrower ones for the
/// rest.
macro_rules! tiles {
    (
        $row:ident, $simd:ident, $output:ident:
        <$rows:literal, $blocks:literal> [$($columns:literal)*]
    ) => {
        let mut first = 0;
        $(
            while $rows * $columns * $blocks <= S::ACCUMULATORS
                && $row.sums_left(first) >= $columns
            {
                $row.tile::<S, $rows, $columns, $blocks>($simd, first, $output);
                first += $columns;
            }
        )*
    };
}

impl Row<'_> {
    #[inline(always)]
    fn run<S: Simd>(&self, simd: S, output: &mut [f32]) {
        match (self.convolution.pool, self.convolution.group()) {
            (Pool::None, 2) => {
                tiles!(self, simd, output: <1, 2> [13 12 7 4 2 1]);
            }
            (Pool::None, _) => {
                tiles!(self, simd, output: <1, 1> [13 12 7 4 2 1]);
            }
            (Pool::Max, _) => {
                tiles!(self, simd, output: <2, 1> [12 10 6 2]);
            }
            (Pool::MaxHalves, _) => {
                tiles!(self, simd, output: <2, 1> [13 12 7 4 3 1]);
            }
        }
    }

    /// Returns the number of sums in a row from `first` on.
    #[inline(always)]
    fn sums_left(&self, first: usize) -> usize {
        let columns = match self.convolution.pool {
            Pool::None | Pool::MaxHalves => self.layout.size[1],
            Pool::Max => 2 * self.layout.size[1],
        };
        columns - first
    }

    /// Computes one tile of `ROWS × COLUMNS` sums for `BLOCKS` channel blocks and stores its
    /// outputs.
    #[inline(always)]
    fn tile<S: Simd, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
        &self,
        simd: S,
        first: usize,
        output: &mut [f32],
    ) {
        let (bias, _) = self.convolution.bias.as_chunks::<BLOCKS>();
        let bias = bias[self.group].each_ref().map(|bias| simd.load(bias));
        let mut sums: Tile<S, ROWS, COLUMNS, BLOCKS> = [[bias; COLUMNS]; ROWS];
        for term in &self.convolution.terms {
            let (layout, feature_map) = (self.layouts[term.from], &self.feature_maps[term.from]);
            let Channels { blocks, lanes: lanes_in } = layout.channels;
            let [down, across] = term.stride;
            // The kernel rows that overlap the feature map for at least one row of the tile.
            let top = self.row * ROWS * down;
            let end = (layout.size[0] + term.padding).saturating_sub(top).min(term.kernel[0]);
            let begin = term.padding.saturating_sub(top + (ROWS - 1) * down).min(end);
            let run = term.columns * lanes_in;
            let (weights, _) = term.weights.as_chunks::<BLOCKS>();
            let weights = &weights[self.group * term.kernel[0] * blocks * run..];
            let weights = &weights[begin * blocks * run..end * blocks * run];
            let outside = layout.border - term.padding;
            let corner =
                (top + begin + outside) * layout.row() + (first * across + outside) * lanes_in;
            let view = View {
                values: &feature_map[corner..],
                run,
                pitch: layout.pitch(),
                down: down * layout.row(),
                across: across * lanes_in,
            };
            // Distances that occur in the networks are compile-time constants.
            match view.across {
                2 => tile::add_const::<_, _, _, _, 2>(simd, &mut sums, view, weights),
                8 if ROWS == 2 => tile::add_const::<_, _, _, _, 8>(simd, &mut sums, view, weights),
                16 if ROWS == 1 => {
                    tile::add_const::<_, _, _, _, 16>(simd, &mut sums, view, weights);
                }
                32 if ROWS == 1 => {
                    tile::add_const::<_, _, _, _, 32>(simd, &mut sums, view, weights);
                }
                _ => tile::add(simd, &mut sums, view, weights),
            }
        }
        self.store(simd, sums, first, output);
    }

    /// Applies pooling and activation to the sums and stores the outputs.
    #[inline(always)]
    fn store<S: Simd, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
        &self,
        simd: S,
        sums: Tile<S, ROWS, COLUMNS, BLOCKS>,
        first: usize,
        output: &mut [f32],
    ) {
        let slope = simd.splat(self.convolution.slope);
        let leaky_relu = |x| simd.max(simd.mul(x, slope), x);
        let column_max = |column: usize| simd.max(sums[0][column][0], sums[ROWS - 1][column][0]);
        let border = self.layout.border * self.layout.channels.lanes;
        match self.convolution.pool {
            Pool::None => {
                for block in 0..BLOCKS {
                    let (output, _) =
                        output[block * self.layout.pitch() + border..].as_chunks_mut::<LANES>();
                    for (sums, output) in sums[0].iter().zip(&mut output[first..][..COLUMNS]) {
                        simd.store(leaky_relu(sums[block]), output);
                    }
                }
            }
            Pool::Max => {
                let (output, _) = output[border..].as_chunks_mut::<LANES>();
                for (pair, output) in output[first / 2..][..COLUMNS / 2].iter_mut().enumerate() {
                    let largest = simd.max(column_max(2 * pair), column_max(2 * pair + 1));
                    simd.store(leaky_relu(largest), output);
                }
            }
            Pool::MaxHalves => {
                let (output, _) = output[border..].as_chunks_mut::<HALF>();
                for (column, output) in output[first..][..COLUMNS].iter_mut().enumerate() {
                    let mut both = [0.0; LANES];
                    simd.store(leaky_relu(column_max(column)), &mut both);
                    let (left, right) = both.split_at(HALF);
                    for (largest, (left, right)) in output.iter_mut().zip(left.iter().zip(right)) {
                        *largest = if left > right { *left } else { *right };
                    }
                }
            }
        }
    }
}
