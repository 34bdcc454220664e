//! Sizes and index arithmetic of a convolution.

use std::ops::Range;

/// Sizes of a convolution with dilation 1. Pairs are (height, width).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub batch: usize,
    pub channels_in: usize,
    pub channels_out: usize,
    /// Height and width of the input.
    pub size: [usize; 2],
    /// Height and width of the output.
    pub out: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub groups: usize,
}

impl Geometry {
    /// Returns the number of input channels per group.
    pub(crate) fn group_in(&self) -> usize {
        self.channels_in / self.groups
    }

    /// Returns the number of output channels per group.
    pub(crate) fn group_out(&self) -> usize {
        self.channels_out / self.groups
    }

    /// Returns the number of input values that contribute to one output value.
    pub(crate) fn patch(&self) -> usize {
        self.group_in() * self.kernel[0] * self.kernel[1]
    }

    /// Returns the number of values in one input channel.
    pub(crate) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Returns the number of values in one output channel.
    pub(crate) fn plane_out(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// Returns the (row, column) positions in the kernel, in C order.
    pub(crate) fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [height, width] = self.kernel;
        (0..height).flat_map(move |i| (0..width).map(move |j| (i, j)))
    }

    /// Returns the input row under kernel row `i` for output row `row`; `None` in the padding.
    pub(crate) fn source_row(&self, row: usize, i: usize) -> Option<usize> {
        (row * self.stride[0] + i).checked_sub(self.padding[0]).filter(|row| *row < self.size[0])
    }

    /// Returns the output columns for which kernel column `j` is over the input and not the
    /// padding.
    pub(crate) fn columns(&self, j: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[1], self.padding[1]);
        let end = (self.size[1] + padding).saturating_sub(j).div_ceil(stride).min(self.out[1]);
        let start = padding.saturating_sub(j).div_ceil(stride).min(end);
        start..end
    }

    /// Returns the input column under kernel column `j` for output column `column`, which must be
    /// in [`Geometry::columns`].
    pub(crate) fn source_column(&self, column: usize, j: usize) -> usize {
        column * self.stride[1] + j - self.padding[1]
    }

    /// Reports whether the patch matrix is the input itself: a 1 × 1 kernel, no stride, no padding.
    pub(crate) fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == ([1, 1], [1, 1], [0, 0])
    }
}
