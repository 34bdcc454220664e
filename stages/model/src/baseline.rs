//! The original network: two convolutions and two linear layers, all but the last with batch norm.
//!
//! ```text
//! [N, 1, 100, 100]  conv 5×5 pad 2 → 8    batch norm  leaky ReLU  max-pool 2
//! [N, 8, 50, 50]    conv 5×5 → 16         batch norm  leaky ReLU  max-pool 2
//! [N, 16, 23, 23]   flatten
//! [N, 8464]         linear → 256          batch norm  leaky ReLU  dropout
//! [N, 256]          linear → classes      (logits)
//! ```

use anyhow::Result;
use burn::module::Module;
use burn::tensor::Tensor;
use inference::plan::{self, Affine, Head, NO_ACTIVATION, Plan, Pooling};
use kernels::{Activation, Epilogue, Pool};

use crate::config::{LEAKY_SLOPE, NetworkConfig, PADDING, POOL};
use crate::folded::Folded;
use crate::layers::{Convolution, Linear, Source};
use crate::norm::BatchNorm;
use crate::weights::Weights;

/// Epilogue of the batch norm of a convolution.
const POOLED: Epilogue = Epilogue { activation: LEAKY_RELU, pool: Pool::Max([POOL; 2]) };

/// Epilogue of the batch norm of the hidden layer.
const HIDDEN: Epilogue = Epilogue { activation: LEAKY_RELU, pool: Pool::None };

const LEAKY_RELU: Activation = Activation::LeakyRelu(LEAKY_SLOPE as f32);

/// Trainable layers.
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

    pub(crate) fn forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        let x = self.norm1.forward(self.conv1.forward(images), POOLED);
        let x = self.norm2.forward(self.conv2.forward(x), POOLED);
        let x = self.linear1.forward(x.flatten(1, 3)).unsqueeze_dims(&[-1, -1]);
        let x: Tensor<2> = self.norm3.forward(x, HIDDEN).flatten(1, 3);
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

/// Returns the inference plan for clips of this configuration.
pub(crate) fn plan(weights: &Weights, config: &NetworkConfig) -> Result<Plan> {
    let folded = Folded(weights);
    let [_, height, width] = config.pooled()?;
    let mut plan = Plan {
        input: vec![Affine { factor: 1.0, shift: 0.0 }; config.input[0]],
        convolutions: Vec::new(),
        head: Head::Flatten([height, width]),
        linears: vec![
            folded.linear("linear1", Some("norm3"), LEAKY_SLOPE as f32)?,
            folded.linear("linear2", None, NO_ACTIVATION)?,
        ],
    };
    for (names, padding) in [(["conv1", "norm1"], PADDING), (["conv2", "norm2"], 0)] {
        let (term, bias) = folded.convolution(names, plan.last(), [1, padding])?;
        let (slope, pooling) = (LEAKY_SLOPE as f32, Pooling::Max2x2);
        plan.convolutions.push(plan::Convolution { terms: vec![term], bias, slope, pooling });
    }
    Ok(plan)
}
