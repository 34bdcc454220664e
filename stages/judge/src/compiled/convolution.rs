//! A convolution, with what follows it: how it is kept.
//!
//! Knows nothing about other layers, or about how it is computed.

use super::picture::Channels;
use crate::lanes::{LANES, Sixteen, Unit, sixteens};
use crate::plan::{self, PictureId, Pixels, Window};

/// A sum of convolutions of pictures and of a bias, a leaky ReLU, and perhaps a pool.
#[derive(Debug)]
pub(crate) struct Convolution {
    pub terms: Vec<Term>,
    pub bias: Vec<Sixteen>,
    /// What is below zero is multiplied with it.
    pub slope: f32,
    pub finish: Finish,
    pub unit: Unit,
}

/// What becomes of the sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Each is a pixel.
    Every,
    /// The largest of two rows and two columns is one.
    Largest,
    /// So, too, but the lanes of a sum are eight channels of two columns.
    LargestOfHalves,
}

/// One picture's part in a convolution.
#[derive(Debug)]
pub(crate) struct Term {
    /// The number of the picture.
    pub from: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// The columns that a sum sees.
    pub columns: usize,
    /// From a sum to that below, and to that beside it.
    pub stride: [usize; 2],
    pub padding: usize,
    /// `[group of blocks][row of the kernel][block in][column][lane in][block of the group]`
    pub weights: Vec<Sixteen>,
}

impl Convolution {
    /// `channels`: how those of a picture lie.
    pub(crate) fn pack(
        convolution: &plan::Convolution,
        finish: Finish,
        unit: Unit,
        channels: impl Fn(PictureId) -> Channels,
    ) -> Convolution {
        let mut bias = sixteens(&convolution.bias);
        if finish == Finish::LargestOfHalves {
            bias.iter_mut().for_each(|bias| bias.copy_within(..HALF, HALF));
        }
        let mut packed =
            Convolution { terms: Vec::new(), bias, slope: convolution.slope, finish, unit };
        let group = packed.group();
        let terms = convolution.terms.iter();
        packed.terms =
            terms.map(|term| Term::pack(term, channels(term.from), finish, group)).collect();
        packed
    }

    /// Height and width of what it makes of pictures of these sizes; none if that has no pixel, or is a sum of several
    /// sizes.
    pub(crate) fn size(&self, sizes: &[[usize; 2]]) -> Option<[usize; 2]> {
        let windows = self.terms.iter().map(|term| Window {
            picture: sizes[term.from],
            kernel: term.kernel,
            stride: term.stride[0],
            padding: term.padding,
        });
        match self.finish {
            Finish::Every => Pixels::All.size(windows),
            Finish::Largest | Finish::LargestOfHalves => Pixels::LargestOfFour.size(windows),
        }
    }

    /// How many blocks are computed together.
    pub(crate) fn group(&self) -> usize {
        match self.finish {
            Finish::Every => group(self.bias.len()),
            Finish::Largest | Finish::LargestOfHalves => 1,
        }
    }

    /// How many products make a pixel.
    pub(crate) fn products(&self) -> usize {
        self.terms.iter().map(|term| term.weights.len() * LANES).sum()
    }
}

impl Term {
    fn pack(term: &plan::Term, channels: Channels, finish: Finish, group: usize) -> Term {
        let ([out, channels_in, height, width], stride) = (term.shape, term.stride);
        let (columns, step) = match finish {
            Finish::Every | Finish::Largest => (width, stride),
            Finish::LargestOfHalves => (width + stride, 2 * stride),
        };
        let value = |channel: usize, channel_in: usize, i: usize, j: usize| {
            let there = channel < out && channel_in < channels_in && j < width;
            let at = ((channel * channels_in + channel_in) * height + i) * width + j;
            if there { term.weight[at] } else { 0.0 }
        };
        let weight = |block: usize, lane: usize, channel_in: usize, i: usize, j: usize| match finish
        {
            Finish::Every | Finish::Largest => value(block * LANES + lane, channel_in, i, j),
            Finish::LargestOfHalves => {
                let (half, channel) = (lane / HALF, lane % HALF);
                j.checked_sub(half * stride).map_or(0.0, |j| value(channel, channel_in, i, j))
            }
        };
        let blocks = out.div_ceil(LANES);
        let mut weights =
            Vec::with_capacity(blocks * height * columns * channels.blocks * channels.lanes);
        for first in (0..blocks).step_by(group) {
            for (i, block_in) in pairs(height, channels.blocks) {
                for (j, lane_in) in pairs(columns, channels.lanes) {
                    let channel_in = block_in * channels.lanes + lane_in;
                    weights.extend((first..first + group).map(|block| -> Sixteen {
                        std::array::from_fn(|lane| weight(block, lane, channel_in, i, j))
                    }));
                }
            }
        }
        Term {
            from: term.from.0,
            kernel: [height, width],
            columns,
            stride: [stride, step],
            padding: term.padding,
            weights,
        }
    }
}

/// The channels of half a block.
pub(crate) const HALF: usize = LANES / 2;

/// How many of so many blocks are computed together: two, where that leaves none over.
pub(crate) fn group(blocks: usize) -> usize {
    if blocks.is_multiple_of(2) { 2 } else { 1 }
}

fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |outer| (0..inner).map(move |inner| (outer, inner)))
}
