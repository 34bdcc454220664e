//! The layers that make pictures of pictures.
//!
//! Knows nothing about what becomes of the last one.

use rayon::prelude::*;

use super::convolution::{Convolution, Finish, HALF};
use super::picture::{Channels, Picture};
use super::strip::{Row, Strip};
use crate::lanes::{LANES, Unit};
use crate::plan::{Affine, Pixels, Plan};

/// How many products are worth another thread.
const GRAIN: usize = 1 << 17;

/// Convolutions, each of pictures that were made before.
#[derive(Debug)]
pub(crate) struct Body {
    input: Vec<Affine>,
    convolutions: Vec<Convolution>,
    /// The clip is the first.
    pictures: Vec<Made>,
}

/// A picture of any size.
#[derive(Clone, Copy, Debug)]
struct Made {
    count: usize,
    channels: Channels,
    /// What those who read it need.
    border: usize,
}

/// What threads share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Each has clips of its own.
    Clips,
    /// Each has rows of its own, layer by layer.
    Rows,
}

impl Body {
    pub(crate) fn new(plan: &Plan, unit: Unit) -> Body {
        let count = plan.input.len();
        let clip = Made { count, channels: Channels::of(count), border: 0 };
        let mut body =
            Body { input: plan.input.clone(), convolutions: Vec::new(), pictures: vec![clip] };
        for convolution in &plan.convolutions {
            let count = convolution.bias.len();
            let mut channels = Channels { blocks: count.div_ceil(LANES), lanes: LANES };
            let finish = match convolution.pixels {
                Pixels::All => Finish::Every,
                Pixels::LargestOfFour if count > HALF => Finish::Largest,
                Pixels::LargestOfFour => {
                    channels.lanes = HALF;
                    Finish::LargestOfHalves
                }
            };
            for term in &convolution.terms {
                let made = &mut body.pictures[term.from.0];
                made.border = made.border.max(term.padding);
            }
            let pictures = &body.pictures;
            let packed =
                Convolution::pack(convolution, finish, unit, |from| pictures[from.0].channels);
            body.convolutions.push(packed);
            body.pictures.push(Made { count, channels, border: 0 });
        }
        body
    }

    /// How the channels of the last picture lie, and how many there are.
    pub(crate) fn last(&self) -> (Channels, usize) {
        let last = self.pictures[self.convolutions.len()];
        (last.channels, last.count)
    }

    /// The numbers of a clip of this size.
    pub(crate) fn clip(&self, [height, width]: [usize; 2]) -> usize {
        self.input.len() * height * width
    }

    /// How the pictures of a clip of this size lie; none if one of them has no pixel.
    pub(crate) fn layouts(&self, size: [usize; 2]) -> Option<Vec<Picture>> {
        let mut sizes = vec![size];
        for convolution in &self.convolutions {
            sizes.push(convolution.size(&sizes)?);
        }
        let of = |(made, size): (&Made, _)| Picture {
            channels: made.channels,
            size,
            border: made.border,
        };
        Some(self.pictures.iter().zip(sizes).map(of).collect())
    }

    /// Makes all pictures of a clip, and gives the last.
    pub(crate) fn run<'a>(
        &self,
        clip: &[f32],
        layouts: &[Picture],
        sharing: Sharing,
        buffers: &'a mut Buffers,
    ) -> &'a [f32] {
        self.take_in(clip, &layouts[0], &mut buffers.pictures[0]);
        for (convolution, made) in self.convolutions.iter().zip(1..) {
            let (pictures, rest) = buffers.pictures.split_at_mut(made);
            let layout = layouts[made];
            let groups = layout.channels.blocks / convolution.group();
            let (unit, units) = (layout.row() / groups, layout.size[0] * groups);
            let row = Row { convolution, pictures, layouts, layout, row: 0, group: 0 };
            let output = &mut rest[0][layout.rows()];
            if sharing == Sharing::Clips {
                Strip { row, units: 0..units, output }.run();
                continue;
            }
            let products = convolution.products() * layout.size[0] * layout.size[1];
            let share =
                units.div_ceil((products / GRAIN).clamp(1, 2 * rayon::current_num_threads()));
            output.par_chunks_mut(share * unit).enumerate().for_each(|(part, output)| {
                Strip { row, units: part * share..(part + 1) * share, output }.run();
            });
        }
        &buffers.pictures[self.convolutions.len()]
    }

    /// Copies a clip to where its border is.
    fn take_in(&self, clip: &[f32], layout: &Picture, picture: &mut [f32]) {
        let ([height, width], lanes) = (layout.size, layout.channels.lanes);
        for (channel, (values, affine)) in
            clip.chunks_exact(height * width).zip(&self.input).enumerate()
        {
            let begin = channel / lanes * layout.pitch() + layout.border * lanes + channel % lanes;
            let scaled = |value: &f32| affine.of(*value);
            let rows = picture[layout.rows()].chunks_exact_mut(layout.row());
            for (target, source) in rows.zip(values.chunks_exact(width)) {
                let target = target[begin..].iter_mut();
                match lanes {
                    // In a form that becomes vectors.
                    1 => target.zip(source).for_each(|(to, from)| *to = scaled(from)),
                    _ => {
                        target.step_by(lanes).zip(source).for_each(|(to, from)| *to = scaled(from))
                    }
                }
            }
        }
    }
}

/// What the pictures of one clip are written to.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pictures: Vec<Vec<f32>>,
    layouts: Vec<Picture>,
}

impl Buffers {
    /// Makes room for such pictures, with borders of zeros: nothing else is ever written there.
    pub(crate) fn fit(&mut self, layouts: &[Picture]) {
        if self.layouts != layouts {
            // Pictures of another size make room first: those of a long clip are large.
            self.pictures.clear();
            self.pictures.extend(layouts.iter().map(|layout| vec![0.0; layout.len()]));
            self.layouts = layouts.to_vec();
        }
    }
}
