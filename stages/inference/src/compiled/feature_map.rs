//! Memory layout of a feature map.
//!
//! ```text
//! [row][block][column][lane]      channel = block · lanes + lane
//! ```
//!
//! A border of zeros provides the padding for the convolutions that read the map. The values that a
//! kernel row covers in a block are contiguous (a run). The distance to the next run, in the next
//! block or in the first block of the next row, is constant ([`FeatureMap::pitch`]).

use std::ops::Range;

use crate::simd::LANES;

/// Layout of a feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FeatureMap {
    pub channels: Channels,
    /// Height and width.
    pub size: [usize; 2],
    /// Width of the border on each side.
    pub border: usize,
}

/// Channel layout: blocks of interleaved channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub blocks: usize,
    pub lanes: usize,
}

impl Channels {
    /// Returns the layout for an input with `count` channels.
    pub(crate) fn for_input(count: usize) -> Channels {
        Channels { blocks: count.div_ceil(LANES), lanes: count.min(LANES) }
    }
}

impl FeatureMap {
    /// Returns the distance between runs: the values of one block in one row, with its border.
    pub(crate) fn pitch(&self) -> usize {
        (self.size[1] + 2 * self.border) * self.channels.lanes
    }

    /// Returns the number of values of a row, with its border.
    pub(crate) fn row(&self) -> usize {
        self.channels.blocks * self.pitch()
    }

    /// Returns the range of all rows, without the border above and below.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.border * self.row()..(self.border + self.size[0]) * self.row()
    }

    /// Returns the number of values, with the border.
    pub(crate) fn len(&self) -> usize {
        (self.size[0] + 2 * self.border) * self.row()
    }

    /// Maps each value of a feature map without border to its index in `[channel][row][column]`;
    /// `None` for padding lanes beyond `count` channels.
    pub(crate) fn places(&self, count: usize) -> Vec<Option<usize>> {
        let Channels { blocks, lanes } = self.channels;
        let [height, width] = self.size;
        let place = |at: usize| {
            let (pixel, lane) = (at / lanes, at % lanes);
            let (row, block, column) =
                (pixel / (width * blocks), pixel / width % blocks, pixel % width);
            let channel = block * lanes + lane;
            (channel < count).then_some((channel * height + row) * width + column)
        };
        (0..self.len()).map(place).collect()
    }

    /// Computes the mean of each channel of `feature_map`.
    ///
    /// Sums are `f64`, so that the mean of many equal values is that value.
    pub(crate) fn mean(&self, feature_map: &[f32], means: &mut [f32]) {
        let (lanes, width) = (self.channels.lanes, self.size[1] * self.channels.lanes);
        let mut sums = vec![0.0f64; means.len()];
        for row in feature_map[self.rows()].chunks_exact(self.row()) {
            for (sums, block) in sums.chunks_exact_mut(lanes).zip(row.chunks_exact(self.pitch())) {
                for pixel in block[self.border * lanes..][..width].chunks_exact(lanes) {
                    sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += f64::from(*value));
                }
            }
        }
        let count = (self.size[0] * self.size[1]) as f64;
        means.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / count) as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_of_many_equal_values_is_exact() {
        let feature_map = FeatureMap {
            channels: Channels { blocks: 1, lanes: LANES },
            size: [64, 25_840],
            border: 1,
        };
        let numbers: [f32; LANES] = std::array::from_fn(|lane| 0.1 + lane as f32 / 7.0);
        let values: Vec<f32> = numbers.iter().copied().cycle().take(feature_map.len()).collect();
        let mut means = [0.0; LANES];
        feature_map.mean(&values, &mut means);
        assert_eq!(means, numbers);
    }
}
