//! A tile of sums that stays in registers.
//!
//! Knows nothing about where its numbers come from.

use crate::lanes::{Lanes, Sixteen};

/// A sum for each pixel, which are columns of rows, and each of its channels, sixteen of which are a block.
pub(crate) type Tile<L, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize> =
    [[[<L as Lanes>::Vector; BLOCKS]; COLUMNS]; ROWS];

/// What a tile of pixels sees: for each of them, runs of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// From the first number of the first pixel on.
    pub numbers: &'a [f32],
    /// The length of a run.
    pub run: usize,
    /// From a run to the next.
    pub pitch: usize,
    /// From a pixel to that below.
    pub down: usize,
    /// From a pixel to that beside it.
    pub across: usize,
}

/// Adds to each sum the products of a pixel's numbers with the weights of its channels, run by run.
#[inline(always)]
pub(crate) fn add<L: Lanes, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
    lanes: L,
    sums: &mut Tile<L, ROWS, COLUMNS, BLOCKS>,
    view: View<'_>,
    weights: &[[Sixteen; BLOCKS]],
) {
    for (run, weights) in weights.chunks_exact(view.run).enumerate() {
        let pixels: [[&[f32]; COLUMNS]; ROWS] = std::array::from_fn(|row| {
            let row = &view.numbers[run * view.pitch + row * view.down..];
            std::array::from_fn(|column| &row[column * view.across..][..view.run])
        });
        for (at, weights) in weights.iter().enumerate() {
            let weights = weights.each_ref().map(|weights| lanes.load(weights));
            for (sums, pixels) in sums.iter_mut().zip(&pixels) {
                for column in 0..COLUMNS {
                    add_product(lanes, &mut sums[column], pixels[column][at], weights);
                }
            }
        }
    }
}

/// So, too, where the compiler knows the distance across: pixels need no pointers of their own then, which cost more
/// than short runs do.
#[inline(always)]
pub(crate) fn add_known<
    L: Lanes,
    const ROWS: usize,
    const COLUMNS: usize,
    const BLOCKS: usize,
    const ACROSS: usize,
>(
    lanes: L,
    sums: &mut Tile<L, ROWS, COLUMNS, BLOCKS>,
    view: View<'_>,
    weights: &[[Sixteen; BLOCKS]],
) {
    let reach = (COLUMNS - 1) * ACROSS;
    for (run, weights) in weights.chunks_exact(view.run).enumerate() {
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| {
            &view.numbers[run * view.pitch + row * view.down..][..reach + view.run]
        });
        for (at, weights) in weights.iter().enumerate() {
            let weights = weights.each_ref().map(|weights| lanes.load(weights));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let pixels = &row[at..][..=reach];
                for column in 0..COLUMNS {
                    add_product(lanes, &mut sums[column], pixels[column * ACROSS], weights);
                }
            }
        }
    }
}

#[inline(always)]
fn add_product<L: Lanes, const BLOCKS: usize>(
    lanes: L,
    sums: &mut [L::Vector; BLOCKS],
    number: f32,
    weights: [L::Vector; BLOCKS],
) {
    let number = lanes.splat(number);
    for block in 0..BLOCKS {
        sums[block] = lanes.mul_add(number, weights[block], sums[block]);
    }
}
