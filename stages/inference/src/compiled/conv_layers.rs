//! Convolutional layers: feature maps in, feature maps out.

use rayon::prelude::*;

use super::convolution::{Convolution, HALF, Pool};
use super::feature_map::{Channels, FeatureMap};
use super::row_block::{Row, RowBlock};
use crate::level::Level;
use crate::plan::{Affine, Plan, Pooling};
use crate::simd::LANES;

/// Number of multiplications that justify another thread.
const GRAIN: usize = 1 << 17;

/// Convolutions, each of which reads earlier feature maps.
#[derive(Debug)]
pub(crate) struct ConvLayers {
    input: Vec<Affine>,
    convolutions: Vec<Convolution>,
    /// The first is the input.
    feature_maps: Vec<MapLayout>,
}

/// Layout of a feature map, without its size.
#[derive(Clone, Copy, Debug)]
struct MapLayout {
    count: usize,
    channels: Channels,
    /// Largest padding of the convolutions that read it.
    border: usize,
}

/// Unit of work that is distributed over threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parallel {
    /// Each thread processes whole clips.
    Clips,
    /// Threads share the rows of each layer.
    Rows,
}

impl ConvLayers {
    pub(crate) fn new(plan: &Plan, level: Level) -> ConvLayers {
        let count = plan.input.len();
        let clip = MapLayout { count, channels: Channels::for_input(count), border: 0 };
        let mut conv_layers = ConvLayers {
            input: plan.input.clone(),
            convolutions: Vec::new(),
            feature_maps: vec![clip],
        };
        for convolution in &plan.convolutions {
            let count = convolution.bias.len();
            let mut channels = Channels { blocks: count.div_ceil(LANES), lanes: LANES };
            let pool = match convolution.pooling {
                Pooling::None => Pool::None,
                Pooling::Max2x2 if count > HALF => Pool::Max,
                Pooling::Max2x2 => {
                    channels.lanes = HALF;
                    Pool::MaxHalves
                }
            };
            for term in &convolution.terms {
                let input = &mut conv_layers.feature_maps[term.from.0];
                input.border = input.border.max(term.padding);
            }
            let feature_maps = &conv_layers.feature_maps;
            let packed =
                Convolution::pack(convolution, pool, level, |from| feature_maps[from.0].channels);
            conv_layers.convolutions.push(packed);
            conv_layers.feature_maps.push(MapLayout { count, channels, border: 0 });
        }
        conv_layers
    }

    /// Returns the channel layout and the number of channels of the last feature map.
    pub(crate) fn last(&self) -> (Channels, usize) {
        let last = self.feature_maps[self.convolutions.len()];
        (last.channels, last.count)
    }

    /// Returns the number of values of a clip of this size.
    pub(crate) fn clip(&self, [height, width]: [usize; 2]) -> usize {
        self.input.len() * height * width
    }

    /// Returns the layouts of all feature maps for a clip of this size; `None` if one is empty.
    pub(crate) fn layouts(&self, size: [usize; 2]) -> Option<Vec<FeatureMap>> {
        let mut sizes = vec![size];
        for convolution in &self.convolutions {
            sizes.push(convolution.size(&sizes)?);
        }
        let of = |(made, size): (&MapLayout, _)| FeatureMap {
            channels: made.channels,
            size,
            border: made.border,
        };
        Some(self.feature_maps.iter().zip(sizes).map(of).collect())
    }

    /// Computes all feature maps of a clip and returns the last.
    pub(crate) fn run<'a>(
        &self,
        clip: &[f32],
        layouts: &[FeatureMap],
        parallel: Parallel,
        buffers: &'a mut Buffers,
    ) -> &'a [f32] {
        self.load_clip(clip, &layouts[0], &mut buffers.feature_maps[0]);
        for (convolution, made) in self.convolutions.iter().zip(1..) {
            let (feature_maps, rest) = buffers.feature_maps.split_at_mut(made);
            let layout = layouts[made];
            let groups = layout.channels.blocks / convolution.group();
            let (unit_len, units) = (layout.row() / groups, layout.size[0] * groups);
            let row = Row { convolution, feature_maps, layouts, layout, row: 0, group: 0 };
            let output = &mut rest[0][layout.rows()];
            if parallel == Parallel::Clips {
                RowBlock { row, units: 0..units, output }.compute();
                continue;
            }
            let products = convolution.products() * layout.size[0] * layout.size[1];
            let share =
                units.div_ceil((products / GRAIN).clamp(1, 2 * rayon::current_num_threads()));
            output.par_chunks_mut(share * unit_len).enumerate().for_each(|(part, output)| {
                RowBlock { row, units: part * share..(part + 1) * share, output }.compute();
            });
        }
        &buffers.feature_maps[self.convolutions.len()]
    }

    /// Copies a clip `[channels, height, width]` into a feature map, applying the input's affine
    /// maps.
    fn load_clip(&self, clip: &[f32], layout: &FeatureMap, feature_map: &mut [f32]) {
        let ([height, width], lanes) = (layout.size, layout.channels.lanes);
        for (channel, (values, affine)) in
            clip.chunks_exact(height * width).zip(&self.input).enumerate()
        {
            let begin = channel / lanes * layout.pitch() + layout.border * lanes + channel % lanes;
            let scaled = |value: &f32| affine.apply(*value);
            let rows = feature_map[layout.rows()].chunks_exact_mut(layout.row());
            for (target, source) in rows.zip(values.chunks_exact(width)) {
                let target = target[begin..].iter_mut();
                match lanes {
                    // Without `step_by`, so that the loop is vectorized.
                    1 => target.zip(source).for_each(|(to, from)| *to = scaled(from)),
                    _ => {
                        target.step_by(lanes).zip(source).for_each(|(to, from)| *to = scaled(from));
                    }
                }
            }
        }
    }
}

/// Buffers for the feature maps of one clip.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    feature_maps: Vec<Vec<f32>>,
    layouts: Vec<FeatureMap>,
}

impl Buffers {
    /// Resizes the buffers to these layouts. The borders are zero and never written.
    pub(crate) fn fit(&mut self, layouts: &[FeatureMap]) {
        if self.layouts != layouts {
            // Free the old buffers first: those of a long clip are large.
            self.feature_maps.clear();
            self.feature_maps.extend(layouts.iter().map(|layout| vec![0.0; layout.len()]));
            self.layouts = layouts.to_vec();
        }
    }
}
