//! The sizes of a convolution.

use std::ops::Range;

/// The sizes of a convolution. Dilation is 1.
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
    /// Input channels of a group.
    pub(crate) fn group_in(&self) -> usize {
        self.channels_in / self.groups
    }

    /// Output channels of a group.
    pub(crate) fn group_out(&self) -> usize {
        self.channels_out / self.groups
    }

    /// Values of a patch: what one value of the output is computed from.
    pub(crate) fn patch(&self) -> usize {
        self.group_in() * self.kernel[0] * self.kernel[1]
    }

    /// Values of one channel of the input.
    pub(crate) fn plane(&self) -> usize {
        self.size[0] * self.size[1]
    }

    /// Values of one channel of the output.
    pub(crate) fn plane_out(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// The places in the kernel, in C order.
    pub(crate) fn taps(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let [height, width] = self.kernel;
        (0..height).flat_map(move |i| (0..width).map(move |j| (i, j)))
    }

    /// The row of the input that the kernel's row `i` sees for the output's `row`; none in the padding.
    pub(crate) fn source_row(&self, row: usize, i: usize) -> Option<usize> {
        (row * self.stride[0] + i).checked_sub(self.padding[0]).filter(|row| *row < self.size[0])
    }

    /// The columns of the output for which the kernel's column `j` sees the input and not the padding.
    pub(crate) fn columns(&self, j: usize) -> Range<usize> {
        let (stride, padding) = (self.stride[1], self.padding[1]);
        let end = (self.size[1] + padding).saturating_sub(j).div_ceil(stride).min(self.out[1]);
        let start = padding.saturating_sub(j).div_ceil(stride).min(end);
        start..end
    }

    /// The column of the input that the kernel's column `j` sees for the output's `column`, one of
    /// [`Geometry::columns`].
    pub(crate) fn source_column(&self, column: usize, j: usize) -> usize {
        column * self.stride[1] + j - self.padding[1]
    }

    /// Whether the patches are the input as it lies.
    pub(crate) fn is_pointwise(&self) -> bool {
        (self.kernel, self.stride, self.padding) == ([1, 1], [1, 1], [0, 0])
    }
}
