//! A convolution with packed weights.

use super::feature_map::Channels;
use crate::level::Level;
use crate::plan::{self, FeatureMapId, Pooling, Window};
use crate::simd::{F32x16, LANES, to_f32x16};

/// Sum of convolutions, plus bias, leaky ReLU and optional pooling.
#[derive(Debug)]
pub(crate) struct Convolution {
    pub terms: Vec<Term>,
    pub bias: Vec<F32x16>,
    /// Slope of the leaky ReLU below zero.
    pub slope: f32,
    pub pool: Pool,
    pub level: Level,
}

/// Pooling, by the way it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// No pooling: each sum is an output.
    None,
    /// Max-pool 2×2: an output is the largest of the sums of two rows and two columns.
    Max,
    /// Max-pool 2×2 for up to 8 channels: the lanes of a sum are 8 channels of two adjacent
    /// columns.
    MaxHalves,
}

/// Convolution of one feature map.
#[derive(Debug)]
pub(crate) struct Term {
    /// Index of the input feature map.
    pub from: usize,
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Input columns that contribute to one sum.
    pub columns: usize,
    /// Input rows and columns between adjacent sums.
    pub stride: [usize; 2],
    pub padding: usize,
    /// `[group of blocks][row of the kernel][block in][column][lane in][block of the group]`
    pub weights: Vec<F32x16>,
}

impl Convolution {
    /// Packs the weights. `channels` returns the channel layout of a feature map.
    pub(crate) fn pack(
        convolution: &plan::Convolution,
        pool: Pool,
        level: Level,
        channels: impl Fn(FeatureMapId) -> Channels,
    ) -> Convolution {
        let mut bias = to_f32x16(&convolution.bias);
        if pool == Pool::MaxHalves {
            bias.iter_mut().for_each(|bias| bias.copy_within(..HALF, HALF));
        }
        let mut packed =
            Convolution { terms: Vec::new(), bias, slope: convolution.slope, pool, level };
        let group = packed.group();
        let terms = convolution.terms.iter();
        packed.terms =
            terms.map(|term| Term::pack(term, channels(term.from), pool, group)).collect();
        packed
    }

    /// Returns height and width of the output for feature maps of these sizes; `None` if it is
    /// empty or if the summands differ in size.
    pub(crate) fn size(&self, sizes: &[[usize; 2]]) -> Option<[usize; 2]> {
        let windows = self.terms.iter().map(|term| Window {
            input: sizes[term.from],
            kernel: term.kernel,
            stride: term.stride[0],
            padding: term.padding,
        });
        match self.pool {
            Pool::None => Pooling::None.size(windows),
            Pool::Max | Pool::MaxHalves => Pooling::Max2x2.size(windows),
        }
    }

    /// Returns the number of channel blocks that are computed together.
    pub(crate) fn group(&self) -> usize {
        match self.pool {
            Pool::None => group(self.bias.len()),
            Pool::Max | Pool::MaxHalves => 1,
        }
    }

    /// Returns the number of multiplications per output pixel.
    pub(crate) fn products(&self) -> usize {
        self.terms.iter().map(|term| term.weights.len() * LANES).sum()
    }
}

impl Term {
    fn pack(term: &plan::Term, channels: Channels, pool: Pool, group: usize) -> Term {
        let ([out, channels_in, height, width], stride) = (term.shape, term.stride);
        let (columns, step) = match pool {
            Pool::None | Pool::Max => (width, stride),
            Pool::MaxHalves => (width + stride, 2 * stride),
        };
        let value = |channel: usize, channel_in: usize, i: usize, j: usize| {
            let exists = channel < out && channel_in < channels_in && j < width;
            let at = ((channel * channels_in + channel_in) * height + i) * width + j;
            if exists { term.weight[at] } else { 0.0 }
        };
        let weight = |block: usize, lane: usize, channel_in: usize, i: usize, j: usize| match pool {
            Pool::None | Pool::Max => value(block * LANES + lane, channel_in, i, j),
            Pool::MaxHalves => {
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
                    weights.extend((first..first + group).map(|block| -> F32x16 {
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

/// Channels of half a block.
pub(crate) const HALF: usize = LANES / 2;

/// Returns the size of a group of blocks: 2 if the number of blocks is even, else 1.
pub(crate) fn group(blocks: usize) -> usize {
    if blocks.is_multiple_of(2) { 2 } else { 1 }
}

fn pairs(outer: usize, inner: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..outer).flat_map(move |outer| (0..inner).map(move |inner| (outer, inner)))
}
