//! Small residual network for spectrograms of any length (He et al. 2016, post-activation blocks).
//!
//! ```text
//! [N, 1, H, W]       batch norm           (learns the scale of the features from the data)
//!                    conv 3×3 stride 2 → 16     batch norm  ReLU
//! [N, 16, H/2, W/2]  block, stride 2 → 32
//! [N, 32, H/4, W/4]  block, stride 2 → 64
//! [N, 64, H/8, W/8]  block, stride 2 → 128
//! [N, 128]           mean over height and width     dropout
//!                    linear → classes     (logits)
//!
//! block: ReLU(main + shortcut)
//!   main:     conv 3×3 stride 2, batch norm, ReLU, conv 3×3, batch norm
//!   shortcut: conv 1×1 stride 2, batch norm
//! ```
//!
//! The mean and the linear layer commute, so the logits of a clip are the mean of the logits of its
//! segments. The network therefore trains on crops and classifies a whole clip in one pass. Does
//! not know about labels, losses, optimizers or files.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Tensor, activation::relu};
use inference::plan::{self, Head, NO_ACTIVATION, Plan, Pooling};
use kernels::{Activation, Epilogue, Pool};

use crate::config::RESNET_CHANNELS;
use crate::folded::Folded;
use crate::layers::{Convolution, Linear, Source};
use crate::norm::BatchNorm;
use crate::weights::Weights;

/// Slope of a ReLU below zero.
const RELU_SLOPE: f32 = 0.0;

/// Epilogue of a batch norm: ReLU without pooling.
const RELU: Epilogue = Epilogue { activation: Activation::LeakyRelu(RELU_SLOPE), pool: Pool::None };

/// Trainable layers.
#[derive(Module, Debug)]
pub(crate) struct ResNet {
    input_norm: BatchNorm,
    stem: Normed,
    blocks: Vec<Block>,
    linear: Linear,
}

#[derive(Module, Debug)]
struct Block {
    first: Normed,
    second: Normed,
    shortcut: Normed,
}

/// Convolution without bias, followed by a batch norm.
#[derive(Module, Debug)]
struct Normed {
    convolution: Convolution,
    norm: BatchNorm,
}

impl ResNet {
    pub(crate) fn new(source: Source<'_>) -> Result<ResNet> {
        let blocks =
            (1..RESNET_CHANNELS.len()).map(|number| Block::new(source, &format!("block{number}")));
        Ok(ResNet {
            input_norm: source.norm("input_norm")?,
            stem: Normed::new(source, "stem", 2, 1)?,
            blocks: blocks.collect::<Result<_>>()?,
            linear: source.linear("linear")?,
        })
    }

    pub(crate) fn forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        let x = self.stem.forward(self.input_norm.forward(images, Epilogue::NONE), RELU);
        let x = self.blocks.iter_mut().fold(x, |x, block| block.forward(x));
        self.linear.forward(mean_of_channels(x) * mask)
    }

    pub(crate) fn store(&self, weights: &mut Weights) -> Result<()> {
        self.input_norm.store("input_norm", weights)?;
        self.stem.store("stem", weights)?;
        for (block, number) in self.blocks.iter().zip(1..) {
            block.store(&format!("block{number}"), weights)?;
        }
        self.linear.store("linear", weights)
    }
}

impl Block {
    fn new(source: Source<'_>, name: &str) -> Result<Block> {
        Ok(Block {
            first: Normed::new(source, &format!("{name}.first"), 2, 1)?,
            second: Normed::new(source, &format!("{name}.second"), 1, 1)?,
            shortcut: Normed::new(source, &format!("{name}.shortcut"), 2, 0)?,
        })
    }

    fn forward(&mut self, x: Tensor<4>) -> Tensor<4> {
        let shortcut = self.shortcut.forward(x.clone(), Epilogue::NONE);
        relu(self.second.forward(self.first.forward(x, RELU), Epilogue::NONE) + shortcut)
    }

    fn store(&self, name: &str, weights: &mut Weights) -> Result<()> {
        self.first.store(&format!("{name}.first"), weights)?;
        self.second.store(&format!("{name}.second"), weights)?;
        self.shortcut.store(&format!("{name}.shortcut"), weights)
    }
}

impl Normed {
    fn new(source: Source<'_>, name: &str, stride: usize, padding: usize) -> Result<Normed> {
        Ok(Normed {
            convolution: source.convolution(&format!("{name}.conv"), stride, padding)?,
            norm: source.norm(&format!("{name}.norm"))?,
        })
    }

    fn forward(&mut self, x: Tensor<4>, then: Epilogue) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x), then)
    }

    fn store(&self, name: &str, weights: &mut Weights) -> Result<()> {
        self.convolution.store(&format!("{name}.conv"), weights)?;
        self.norm.store(&format!("{name}.norm"), weights)
    }
}

/// Averages over height and width: `[N, channels, height, width]` → `[N, channels]`.
fn mean_of_channels(x: Tensor<4>) -> Tensor<2> {
    let [count, channels, ..] = x.dims();
    x.flatten::<3>(2, 3).mean_dim(2).reshape([count, channels])
}

/// Returns the inference plan. The shortcut of a block becomes a term of its second convolution.
pub(crate) fn plan(weights: &Weights) -> Result<Plan> {
    let folded = Folded(weights);
    let mut plan = Plan {
        input: folded.norm("input_norm")?,
        convolutions: Vec::new(),
        head: Head::Mean,
        linears: vec![folded.linear("linear", None, NO_ACTIVATION)?],
    };
    let normed = |name: &str, from, shape| {
        folded.convolution([&format!("{name}.conv"), &format!("{name}.norm")], from, shape)
    };
    let rectified =
        |terms, bias| plan::Convolution { terms, bias, slope: RELU_SLOPE, pooling: Pooling::None };
    let (stem, bias) = normed("stem", plan.last(), [2, 1])?;
    plan.convolutions.push(rectified(vec![stem], bias));
    for block in 1..RESNET_CHANNELS.len() {
        let x = plan.last();
        let (first, bias) = normed(&format!("block{block}.first"), x, [2, 1])?;
        plan.convolutions.push(rectified(vec![first], bias));
        let (second, bias) = normed(&format!("block{block}.second"), plan.last(), [1, 1])?;
        let (shortcut, more) = normed(&format!("block{block}.shortcut"), x, [2, 0])?;
        let bias = bias.iter().zip(more).map(|(one, other)| one + other).collect();
        plan.convolutions.push(rectified(vec![second, shortcut], bias));
    }
    Ok(plan)
}
