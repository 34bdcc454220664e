//! The patches of an image that a convolution sees, as columns of a matrix, and back.
//!
//! Row `(c, i, j)` of the matrix holds what the weight at `[c, i, j]` is multiplied with, column by column of the
//! output. Made for some rows of the output at a time, so that the matrix stays in the cache near the processor.
//! Knows nothing about weights.

use std::ops::Range;

use crate::geometry::Geometry;

/// How many values a tile of patches may have: 128 KiB of floats, which second-level caches hold.
const TILE: usize = 32 * 1024;

/// The rows of the output that are made at a time.
pub(crate) fn tile_rows(geometry: &Geometry) -> usize {
    (TILE / (geometry.patch() * geometry.out[1]).max(1)).clamp(1, geometry.out[0].max(1))
}

/// Writes the patches of the output rows `rows` of one group of channels.
pub(crate) fn gather(geometry: &Geometry, image: &[f32], rows: Range<usize>, patches: &mut [f32]) {
    let [height, width] = geometry.size;
    let width_out = geometry.out[1];
    let mut lines = patches.chunks_exact_mut(width_out);
    for channel in image.chunks_exact(height * width) {
        for (i, j) in geometry.taps() {
            let columns = geometry.columns(j);
            for row in rows.clone() {
                let line = lines.next().expect("BUG: a matrix too small for its patches");
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

/// Adds to each value of the image what the patches that it is in hold in its place.
pub(crate) fn scatter(geometry: &Geometry, patches: &[f32], rows: Range<usize>, image: &mut [f32]) {
    let [height, width] = geometry.size;
    let mut lines = patches.chunks_exact(geometry.out[1]);
    for channel in image.chunks_exact_mut(height * width) {
        for (i, j) in geometry.taps() {
            let columns = geometry.columns(j);
            for row in rows.clone() {
                let line = lines.next().expect("BUG: a matrix too small for its patches");
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
