//! A tile of sums that stays in registers.

use crate::simd::{F32x16, Simd};

/// Sums for `ROWS × COLUMNS` pixels and `BLOCKS` blocks of 16 channels.
pub(crate) type Tile<S, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize> =
    [[[<S as Simd>::Vector; BLOCKS]; COLUMNS]; ROWS];

/// Input values of a tile: runs of contiguous values for each pixel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    /// Values, starting with the first of the first pixel.
    pub values: &'a [f32],
    /// Length of a run.
    pub run: usize,
    /// Distance between runs.
    pub pitch: usize,
    /// Distance between vertically adjacent pixels.
    pub down: usize,
    /// Distance between horizontally adjacent pixels.
    pub across: usize,
}

/// Adds to each sum the products of its pixel's values with the weights, run by run.
///
/// `weights` holds one `[block]` per value, for all runs in order.
#[inline(always)]
pub(crate) fn add<S: Simd, const ROWS: usize, const COLUMNS: usize, const BLOCKS: usize>(
    simd: S,
    sums: &mut Tile<S, ROWS, COLUMNS, BLOCKS>,
    view: View<'_>,
    weights: &[[F32x16; BLOCKS]],
) {
    for (run, weights) in weights.chunks_exact(view.run).enumerate() {
        let pixels: [[&[f32]; COLUMNS]; ROWS] = std::array::from_fn(|row| {
            let row = &view.values[run * view.pitch + row * view.down..];
            std::array::from_fn(|column| &row[column * view.across..][..view.run])
        });
        for (at, weights) in weights.iter().enumerate() {
            let weights = weights.each_ref().map(|weights| simd.load(weights));
            for (sums, pixels) in sums.iter_mut().zip(&pixels) {
                for column in 0..COLUMNS {
                    add_product(simd, &mut sums[column], pixels[column][at], weights);
                }
            }
        }
    }
}

/// Does the same as [`add`] with `view.across` as the constant `ACROSS`.
///
/// Then pixels do not need separate pointers, which cost more than short runs do.
#[inline(always)]
pub(crate) fn add_const<
    S: Simd,
    const ROWS: usize,
    const COLUMNS: usize,
    const BLOCKS: usize,
    const ACROSS: usize,
>(
    simd: S,
    sums: &mut Tile<S, ROWS, COLUMNS, BLOCKS>,
    view: View<'_>,
    weights: &[[F32x16; BLOCKS]],
) {
    let reach = (COLUMNS - 1) * ACROSS;
    for (run, weights) in weights.chunks_exact(view.run).enumerate() {
        let rows: [&[f32]; ROWS] = std::array::from_fn(|row| {
            &view.values[run * view.pitch + row * view.down..][..reach + view.run]
        });
        for (at, weights) in weights.iter().enumerate() {
            let weights = weights.each_ref().map(|weights| simd.load(weights));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let pixels = &row[at..][..=reach];
                for column in 0..COLUMNS {
                    add_product(simd, &mut sums[column], pixels[column * ACROSS], weights);
                }
            }
        }
    }
}

#[inline(always)]
fn add_product<S: Simd, const BLOCKS: usize>(
    simd: S,
    sums: &mut [S::Vector; BLOCKS],
    value: f32,
    weights: [S::Vector; BLOCKS],
) {
    let value = simd.splat(value);
    for block in 0..BLOCKS {
        sums[block] = simd.mul_add(value, weights[block], sums[block]);
    }
}
