//! How a picture lies in memory.
//!
//! ```text
//! [row][block][column][lane]      channel = block · lanes + lane
//! ```
//!
//! Around it is a border of zeros, for the padding of those who read it. What a row of a kernel sees of a block is one
//! run of numbers; the next run, of the next block or of the first one in the next row, is always as far away. Knows
//! nothing about what is computed.

use std::ops::Range;

use crate::lanes::LANES;

/// The sizes of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub channels: Channels,
    /// Height and width.
    pub size: [usize; 2],
    /// The width of the border, on each side.
    pub border: usize,
}

/// How channels lie: side by side, in blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub blocks: usize,
    pub lanes: usize,
}

impl Channels {
    /// Of so many channels, as they come in.
    pub(crate) fn of(count: usize) -> Channels {
        Channels { blocks: count.div_ceil(LANES), lanes: count.min(LANES) }
    }
}

impl Picture {
    /// From a run of a kernel to the next: the columns of a block, with their border.
    pub(crate) fn pitch(&self) -> usize {
        (self.size[1] + 2 * self.border) * self.channels.lanes
    }

    /// The numbers of a row.
    pub(crate) fn row(&self) -> usize {
        self.channels.blocks * self.pitch()
    }

    /// Where the rows lie, without the border above and below.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.border * self.row()..(self.border + self.size[0]) * self.row()
    }

    /// All numbers.
    pub(crate) fn len(&self) -> usize {
        (self.size[0] + 2 * self.border) * self.row()
    }

    /// For each number of a picture without border the index of it in `[channel][row][column]`; none for lanes
    /// beyond `count` channels.
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

    /// The mean of each channel of `picture`. The sums have more digits than the numbers: a long picture of equal
    /// numbers keeps theirs.
    pub(crate) fn mean(&self, picture: &[f32], means: &mut [f32]) {
        let (lanes, width) = (self.channels.lanes, self.size[1] * self.channels.lanes);
        let mut sums = vec![0.0f64; means.len()];
        for row in picture[self.rows()].chunks_exact(self.row()) {
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
    fn a_long_picture_of_equal_numbers_has_their_mean() {
        let picture = Picture {
            channels: Channels { blocks: 1, lanes: LANES },
            size: [64, 25_840],
            border: 1,
        };
        let numbers: [f32; LANES] = std::array::from_fn(|lane| 0.1 + lane as f32 / 7.0);
        let values: Vec<f32> = numbers.iter().copied().cycle().take(picture.len()).collect();
        let mut means = [0.0; LANES];
        picture.mean(&values, &mut means);
        assert_eq!(means, numbers);
    }
}
