//! Conversion between an image and the patch matrix of a convolution (im2col and col2im).
//!
//! Row `(c, i, j)` of the matrix has the input values for the weight at `[c, i, j]`, with one
//! column per output position. The matrix covers a few output rows at a time, so that it stays in
//! the second-level cache.

use std::ops::Range;

use crate::geometry::Geometry;

/// Maximum number of values in a tile of patches: 128 KiB of floats, which fit in second-level
/// caches.
const TILE: usize = 32 * 1024;

/// Returns the number of output rows per tile, at least 1.
pub(crate) fn tile_rows(geometry: &Geometry) -> usize {
    (TILE / (geometry.patch() * geometry.out[1]).max(1)).clamp(1, geometry.out[0].max(1))
}

/// Writes the patches for the output rows `rows` of one group of channels.
pub(crate) fn gather(geometry: &Geometry, image: &[f32], rows: Range<usize>, patches: &mut [f32]) {
    let [height, width] = geometry.size;
    let width_out = geometry.out[1];
    let mut lines = patches.chunks_exact_mut(width_out);
    for channel in image.chunks_exact(height * width) {
        for (i, j) in geometry.taps() {
            let columns = geometry.columns(j);
            for row in rows.clone() {
                let line = lines.next().expect("BUG: matrix is too small for its patches");
                let Some(y) = geometry.source_row(row, i).filter(|_| !columns.is_empty()) else {
                    line.fill(0.0);
                    continue;
                };
                line[..columns.start].fill(0.0);
                line[columns.end..].fill(0.0);
                let source = &channel[y * width + geometry.source_column(columns.start, j)..];
                copy(&mut line[columns.clone()], source, geometry.stride[1]);
            }
        }
    }
}

/// Adds each value of the patches to its position in the image.
pub(crate) fn scatter(geometry: &Geometry, patches: &[f32], rows: Range<usize>, image: &mut [f32]) {
    let [height, width] = geometry.size;
    let mut lines = patches.chunks_exact(geometry.out[1]);
    for channel in image.chunks_exact_mut(height * width) {
        for (i, j) in geometry.taps() {
            let columns = geometry.columns(j);
            for row in rows.clone() {
                let line = lines.next().expect("BUG: matrix is too small for its patches");
                let Some(y) = geometry.source_row(row, i).filter(|_| !columns.is_empty()) else {
                    continue;
                };
                let target = &mut channel[y * width + geometry.source_column(columns.start, j)..];
                add(target, &line[columns.clone()], geometry.stride[1]);
            }
        }
    }
}

#[inline(always)]
fn copy(target: &mut [f32], source: &[f32], stride: usize) {
    if stride == 1 {
        target.copy_from_slice(&source[..target.len()]);
    } else {
        target.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, from)| *to = *from);
    }
}

#[inline(always)]
fn add(target: &mut [f32], source: &[f32], stride: usize) {
    if stride == 1 {
        target.iter_mut().zip(source).for_each(|(to, from)| *to += from);
    } else {
        target.iter_mut().step_by(stride).zip(source).for_each(|(to, from)| *to += from);
    }
}
