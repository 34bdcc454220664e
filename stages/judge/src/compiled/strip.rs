//! Some rows of the picture that a convolution makes.
//!
//! Knows nothing about other layers, or about threads.

use std::ops::Range;

use super::convolution::{Convolution, Finish, HALF};
use super::picture::{Channels, Picture};
use super::tile::{self, Tile, View};
use crate::lanes::{LANES, Lanes, Work};

/// What is computed by one thread.
#[derive(Debug)]
pub(crate) struct Strip<'a> {
    pub row: Row<'a>,
    /// Which groups of blocks of which rows: `row · groups + group`.
    pub units: Range<usize>,
    /// Where they are written to.
    pub output: &'a mut [f32],
}

/// A group of blocks of a row of a picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub convolution: &'a Convolution,
    /// The pictures that there are, and how they lie.
    pub pictures: &'a [Vec<f32>],
    pub layouts: &'a [Picture],
    /// How the picture lies that is made.
    pub layout: Picture,
    pub row: usize,
    pub group: usize,
}

impl Strip<'_> {
    pub(crate) fn run(self) {
        self.row.convolution.unit.run(self);
    }
}

impl Work for Strip<'_> {
    #[inline(always)]
    fn on<L: Lanes>(self, lanes: L) {
        let group = self.row.convolution.group();
        let groups = self.row.layout.channels.blocks / group;
        let outputs = self.output.chunks_exact_mut(group * self.row.layout.pitch());
        for (unit, output) in self.units.zip(outputs) {
            let row = Row { row: unit / groups, group: unit % groups, ..self.row };
            row.run(lanes, output);
        }
    }
}

/// Tiles of as many columns as there are registers for, again and again, then those for what is left.
macro_rules! tiles {
    ($row:ident, $lanes:ident, $output:ident: <$rows:literal, $blocks:literal> [$($columns:literal)*]) => {
        let mut first = 0;
        $(
            while $rows * $columns * $blocks <= L::SUMS && $row.sums_left(first) >= $columns {
                $row.tile::<L, $rows, $columns, $blocks>($lanes, first, $output);
                first += $columns;
            }
        )*
    };
}

impl Row<'_> {
    #[inline(always)]
    fn run<L: Lanes>(&self, lanes: L, output: &mut [f32]) {
        match (self.convolution.finish, self.convolution.group()) {
            (Finish::Every, 2) => {
                tiles!(self, lanes, output: <1, 2> [13 12 7 4 2 1]);
            }
            (Finish::Every, _) => {
                tiles!(self, lanes, output: <1, 1> [13 12 7 4 2 1]);
            }
            (Finish::Largest, _) => {
                tiles!(self, lanes, output: <2, 1> [12 10 6 2]);
            }
            (Finish::LargestOfHalves, _) => {
                tiles!(self, lanes, output: <2, 1> [13 12 7 4 3 1]);
            }
        }
    }

    /// How many sums of a row there are from `first` on.
    #[inline(always)]
    fn sums_left(&self, first: usize) -> usize {
        let columns = match self.convolution.finish {
            Finish::Every | Finish::LargestOfHalves => self.layout.size[1],
            Finish::Largest => 2 * self.layout.size[1],
        };
        columns - first
    }

    #[inline(always)]
    fn tile<L: Lanes, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
        &self,
        lanes: L,
        first: usize,
        output: &mut [f32],
    ) {
        let (bias, _) = self.convolution.bias.as_chunks::<BLOCKS>();
        let bias = bias[self.group].each_ref().map(|bias| lanes.load(bias));
        let mut sums: Tile<L, ROWS, COLUMNS, BLOCKS> = [[bias; COLUMNS]; ROWS];
        for term in &self.convolution.terms {
            let (layout, picture) = (self.layouts[term.from], &self.pictures[term.from]);
            let Channels { blocks, lanes: lanes_in } = layout.channels;
            let [down, across] = term.stride;
            // The rows of the kernel that see one of the picture, for one row of the tile at least.
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
                numbers: &picture[corner..],
                run,
                pitch: layout.pitch(),
                down: down * layout.row(),
                across: across * lanes_in,
            };
            // Distances that the networks have.
            match view.across {
                2 => tile::add_known::<_, _, _, _, 2>(lanes, &mut sums, view, weights),
                8 if ROWS == 2 => tile::add_known::<_, _, _, _, 8>(lanes, &mut sums, view, weights),
                16 if ROWS == 1 => {
                    tile::add_known::<_, _, _, _, 16>(lanes, &mut sums, view, weights)
                }
                32 if ROWS == 1 => {
                    tile::add_known::<_, _, _, _, 32>(lanes, &mut sums, view, weights)
                }
                _ => tile::add(lanes, &mut sums, view, weights),
            }
        }
        self.finish(lanes, sums, first, output);
    }

    #[inline(always)]
    fn finish<L: Lanes, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
        &self,
        lanes: L,
        sums: Tile<L, ROWS, COLUMNS, BLOCKS>,
        first: usize,
        output: &mut [f32],
    ) {
        let slope = lanes.splat(self.convolution.slope);
        let active = |x| lanes.max(lanes.mul(x, slope), x);
        let lower = |column: usize| lanes.max(sums[0][column][0], sums[ROWS - 1][column][0]);
        let border = self.layout.border * self.layout.channels.lanes;
        match self.convolution.finish {
            Finish::Every => {
                for block in 0..BLOCKS {
                    let (output, _) =
                        output[block * self.layout.pitch() + border..].as_chunks_mut::<LANES>();
                    for (sums, output) in sums[0].iter().zip(&mut output[first..][..COLUMNS]) {
                        lanes.store(active(sums[block]), output);
                    }
                }
            }
            Finish::Largest => {
                let (output, _) = output[border..].as_chunks_mut::<LANES>();
                for (pair, output) in output[first / 2..][..COLUMNS / 2].iter_mut().enumerate() {
                    lanes.store(active(lanes.max(lower(2 * pair), lower(2 * pair + 1))), output);
                }
            }
            Finish::LargestOfHalves => {
                let (output, _) = output[border..].as_chunks_mut::<HALF>();
                for (column, output) in output[first..][..COLUMNS].iter_mut().enumerate() {
                    let mut both = [0.0; LANES];
                    lanes.store(active(lower(column)), &mut both);
                    let (left, right) = both.split_at(HALF);
                    for (largest, (left, right)) in output.iter_mut().zip(left.iter().zip(right)) {
                        *largest = if left > right { *left } else { *right };
                    }
                }
            }
        }
    }
}
