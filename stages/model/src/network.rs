//! The network: two convolutions and two linear layers, each but the last with batch normalisation.
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

use anyhow::{Context as _, Result};
use burn::module::{Module, Param};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation, module as ops};

use crate::config::{HIDDEN, LEAKY_SLOPE, NetworkConfig, PADDING, POOL};
use crate::dataset::Dataset;
use crate::norm::BatchNorm;
use crate::random::Random;
use crate::weights::Weights;

/// How many clips are evaluated at once: enough to keep the cores busy, and 30 MB of activations.
const EVALUATION_BATCH: usize = 32;

/// The network on a device. On an autodiff device it can be trained; [`Module::valid`] gives the one to
/// evaluate with.
#[derive(Module, Debug)]
pub struct Network {
    conv1: Convolution,
    norm1: BatchNorm,
    conv2: Convolution,
    norm2: BatchNorm,
    linear1: Linear,
    norm3: BatchNorm,
    linear2: Linear,
    #[module(skip)]
    config: NetworkConfig,
}

#[derive(Module, Debug)]
struct Convolution {
    /// `[channels out, channels in, 5, 5]`
    weight: Param<Tensor<4>>,
    bias: Param<Tensor<1>>,
    padding: usize,
}

#[derive(Module, Debug)]
struct Linear {
    /// `[inputs, outputs]`
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Network {
    /// A network with these weights on this device.
    ///
    /// # Errors
    /// Weights that do not fit the configuration; as [`NetworkConfig::tensors`].
    pub fn new(config: &NetworkConfig, weights: &Weights, device: &Device) -> Result<Network> {
        weights.check(config)?;
        let data = |layer: &str, part: &str| -> Result<TensorData> {
            let tensor = weights.get(&format!("{layer}.{part}"))?;
            Ok(TensorData::new(tensor.values.clone(), tensor.shape.clone()))
        };
        let bias = |layer: &str| Ok::<_, anyhow::Error>(Param::from_data(data(layer, "bias")?, device));
        let convolution = |layer: &str, padding| {
            let weight = Param::from_data(data(layer, "weight")?, device);
            Ok::<_, anyhow::Error>(Convolution { weight, bias: bias(layer)?, padding })
        };
        let linear = |layer: &str| {
            let weight = Param::from_data(data(layer, "weight")?, device);
            Ok::<_, anyhow::Error>(Linear { weight, bias: bias(layer)? })
        };
        let norm = |layer: &str| {
            let parts = ["weight", "bias", "running_mean", "running_var"];
            let [weight, bias, mean, var] = parts.map(|part| data(layer, part));
            Ok::<_, anyhow::Error>(BatchNorm::new([weight?, bias?, mean?, var?], device))
        };
        Ok(Network {
            conv1: convolution("conv1", PADDING)?,
            norm1: norm("norm1")?,
            conv2: convolution("conv2", 0)?,
            norm2: norm("norm2")?,
            linear1: linear("linear1")?,
            norm3: norm("norm3")?,
            linear2: linear("linear2")?,
            config: config.clone(),
        })
    }

    /// What the network was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The logits of a batch, by the running statistics: `[N, channels, height, width]` → `[N, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let x = pooled_activation(self.norm1.forward(self.conv1.forward(images)));
        let x = pooled_activation(self.norm2.forward(self.conv2.forward(x)));
        let x = leaky_relu(self.norm3.forward(self.linear1.forward(x.flatten(1, 3))));
        self.linear2.forward(x)
    }

    /// The logits of the clips at `indices`, on the host: one row of [`NetworkConfig::classes`] a clip.
    /// The network must be one to evaluate with, on `device`.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub fn logits(&self, dataset: &Dataset, indices: &[usize], device: &Device) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * self.config.classes);
        for batch in indices.chunks(EVALUATION_BATCH) {
            logits.extend(to_host(self.forward(dataset.images(batch, device)))?);
        }
        Ok(logits)
    }

    /// The logits of a batch of two or more by its own statistics, which also move the running ones.
    ///
    /// `mask` of shape `[N, 256]` multiplies the hidden activations: zero drops one, and the rest are
    /// scaled so that the expected sum stays ([`Network::dropout_mask`]).
    pub fn train_forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        let x = pooled_activation(self.norm1.train_forward(self.conv1.forward(images)));
        let x = pooled_activation(self.norm2.train_forward(self.conv2.forward(x)));
        let x = leaky_relu(self.norm3.train_forward(self.linear1.forward(x.flatten(1, 3))));
        self.linear2.forward(x * mask)
    }

    /// A dropout mask for `count` clips: zero with the configured probability, else 1 / (1 − probability).
    pub fn dropout_mask(&self, count: usize, random: &mut Random, device: &Device) -> Tensor<2> {
        let dropout = self.config.dropout as f32;
        let kept = 1.0 / (1.0 - dropout);
        let mask: Vec<f32> =
            (0..count * HIDDEN).map(|_| if random.unit() < dropout { 0.0 } else { kept }).collect();
        Tensor::from_data(TensorData::new(mask, [count, HIDDEN]), device)
    }

    /// The weights on the host.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::default();
        let mut keep = |layer: &str, part: &str, data: TensorData| -> Result<()> {
            let shape = data.shape().to_vec();
            let values = data.try_into_vec::<f32>().ok().context("the device gave no 32-bit floats back")?;
            weights.insert(&format!("{layer}.{part}"), shape, values);
            Ok(())
        };
        for (layer, convolution) in [("conv1", &self.conv1), ("conv2", &self.conv2)] {
            keep(layer, "weight", convolution.weight.val().try_into_data()?)?;
            keep(layer, "bias", convolution.bias.val().try_into_data()?)?;
        }
        for (layer, linear) in [("linear1", &self.linear1), ("linear2", &self.linear2)] {
            keep(layer, "weight", linear.weight.val().try_into_data()?)?;
            keep(layer, "bias", linear.bias.val().try_into_data()?)?;
        }
        for (layer, norm) in [("norm1", &self.norm1), ("norm2", &self.norm2), ("norm3", &self.norm3)] {
            keep(layer, "weight", norm.weight.val().try_into_data()?)?;
            keep(layer, "bias", norm.bias.val().try_into_data()?)?;
            keep(layer, "running_mean", norm.running_mean.clone().try_into_data()?)?;
            keep(layer, "running_var", norm.running_var.clone().try_into_data()?)?;
        }
        Ok(weights)
    }
}

/// The values of a tensor, in C order.
///
/// # Errors
/// The device fails to give them back.
pub fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().context("cannot read a tensor back from the device")?;
    data.try_into_vec::<f32>().ok().context("the device gave no 32-bit floats back")
}

impl Convolution {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let padding = [self.padding; 2];
        let options = ConvOptions::new([1, 1], padding, [1, 1], 1);
        ops::conv2d(input, self.weight.val(), Some(self.bias.val()), options)
    }
}

impl Linear {
    fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        ops::linear(input, self.weight.val(), Some(self.bias.val()))
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
