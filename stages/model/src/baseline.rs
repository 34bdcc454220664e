//! The original network: two convolutions and two linear layers, each but the last with batch normalisation.
//!
//! ```text
//! [N, 1, 100, 100]  conv 5×5 pad 2 → 8    batch norm  leaky ReLU  max-pool 2
//! [N, 8, 50, 50]    conv 5×5 → 16         batch norm  leaky ReLU  max-pool 2
//! [N, 16, 23, 23]   flatten
//! [N, 8464]         linear → 256          batch norm  leaky ReLU  dropout
//! [N, 256]          linear → classes      (logits)
//! ```
//!
//! Knows nothing about labels, losses, optimizers or files.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Tensor, activation, module as ops};

use crate::config::{LEAKY_SLOPE, PADDING, POOL};
use crate::layers::{Convolution, Linear, Source};
use crate::norm::BatchNorm;
use crate::weights::Weights;

#[derive(Module, Debug)]
pub(crate) struct Baseline {
    conv1: Convolution,
    norm1: BatchNorm,
    conv2: Convolution,
    norm2: BatchNorm,
    linear1: Linear,
    norm3: BatchNorm,
    linear2: Linear,
}

impl Baseline {
    pub(crate) fn new(source: Source<'_>) -> Result<Baseline> {
        Ok(Baseline {
            conv1: source.convolution("conv1", 1, PADDING)?,
            norm1: source.norm("norm1")?,
            conv2: source.convolution("conv2", 1, 0)?,
            norm2: source.norm("norm2")?,
            linear1: source.linear("linear1")?,
            norm3: source.norm("norm3")?,
            linear2: source.linear("linear2")?,
        })
    }

    pub(crate) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = pooled_activation(self.norm1.forward(self.conv1.forward(images)));
        let x = pooled_activation(self.norm2.forward(self.conv2.forward(x)));
        let x = leaky_relu(self.norm3.forward(self.linear1.forward(x.flatten(1, 3))));
        self.linear2.forward(x)
    }

    pub(crate) fn train_forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        let x = pooled_activation(self.norm1.train_forward(self.conv1.forward(images)));
        let x = pooled_activation(self.norm2.train_forward(self.conv2.forward(x)));
        let x = leaky_relu(self.norm3.train_forward(self.linear1.forward(x.flatten(1, 3))));
        self.linear2.forward(x * mask)
    }

    pub(crate) fn store(&self, weights: &mut Weights) -> Result<()> {
        self.conv1.store("conv1", weights)?;
        self.norm1.store("norm1", weights)?;
        self.conv2.store("conv2", weights)?;
        self.norm2.store("norm2", weights)?;
        self.linear1.store("linear1", weights)?;
        self.norm3.store("norm3", weights)?;
        self.linear2.store("linear2", weights)
    }
}

/// Leaky ReLU, then max-pool, computed in the other order: a leaky ReLU grows with its input, so it maps
/// the largest of four to the largest of four, and after the pool there is a quarter of the work.
fn pooled_activation(x: Tensor<4>) -> Tensor<4> {
    leaky_relu(ops::max_pool2d(x, MaxPoolOptions::new([POOL; 2])))
}

/// `max(x, 0) + slope · min(x, 0)`. As `relu(x)·(1 − slope) + x·slope`, whose gradient needs no mask of
/// its own: several times faster on the CPU than the library's `leaky_relu`.
fn leaky_relu<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    activation::relu(x.clone()).mul_scalar(1.0 - LEAKY_SLOPE) + x.mul_scalar(LEAKY_SLOPE)
}
