//! A network as a value: weights in, logits out.
//!
//! Knows nothing about labels, losses, optimizers or files; which layers there are, [`crate::config`] says.

use anyhow::{Context as _, Result};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::baseline::Baseline;
use crate::config::{Architecture, NetworkConfig};
use crate::dataset::Dataset;
use crate::layers::Source;
use crate::random::Random;
use crate::resnet::ResNet;
use crate::weights::Weights;

/// How many clips are evaluated at once: enough to keep the cores busy, and 30 MB of activations.
const EVALUATION_BATCH: usize = 32;

/// The network on a device. On an autodiff device it can be trained; [`Module::valid`] gives the one to
/// evaluate with.
#[derive(Module, Debug)]
pub struct Network {
    layers: Layers,
    #[module(skip)]
    config: NetworkConfig,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one or two of them")]
enum Layers {
    Baseline(Baseline),
    ResNet(ResNet),
}

impl Network {
    /// A network with these weights on this device.
    ///
    /// # Errors
    /// Weights that do not fit the configuration; as [`NetworkConfig::tensors`].
    pub fn new(config: &NetworkConfig, weights: &Weights, device: &Device) -> Result<Network> {
        weights.check(config)?;
        let source = Source { weights, device };
        let layers = match config.model {
            Architecture::Baseline => Layers::Baseline(Baseline::new(source)?),
            Architecture::ResNet => Layers::ResNet(ResNet::new(source)?),
        };
        Ok(Network { layers, config: config.clone() })
    }

    /// What the network was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The logits of a batch, by the running statistics: `[N, channels, height, width]` → `[N, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match &self.layers {
            Layers::Baseline(layers) => layers.forward(images),
            Layers::ResNet(layers) => layers.forward(images),
        }
    }

    /// The logits of the clips at `indices`, on the host: one row of [`NetworkConfig::classes`] a clip.
    /// The network must be one to evaluate with, on `device`.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub fn logits(&self, dataset: &Dataset, indices: &[usize], device: &Device) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * self.config.classes);
        for batch in dataset.batches(indices, EVALUATION_BATCH) {
            logits.extend(to_host(self.forward(dataset.images(batch, device)))?);
        }
        Ok(logits)
    }

    /// The logits of a batch of two or more by its own statistics, which also move the running ones.
    ///
    /// `mask` of shape `[N, hidden]` multiplies the hidden activations: zero drops one, and the rest are
    /// scaled so that the expected sum stays ([`Network::dropout_mask`]).
    pub fn train_forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        match &mut self.layers {
            Layers::Baseline(layers) => layers.train_forward(images, mask),
            Layers::ResNet(layers) => layers.train_forward(images, mask),
        }
    }

    /// A dropout mask for `count` clips: zero with the configured probability, else 1 / (1 − probability).
    pub fn dropout_mask(&self, count: usize, random: &mut Random, device: &Device) -> Tensor<2> {
        let (dropout, hidden) = (self.config.dropout as f32, self.config.hidden());
        let kept = 1.0 / (1.0 - dropout);
        let mask: Vec<f32> =
            (0..count * hidden).map(|_| if random.unit() < dropout { 0.0 } else { kept }).collect();
        Tensor::from_data(TensorData::new(mask, [count, hidden]), device)
    }

    /// The weights on the host.
    ///
    /// # Errors
    /// The device fails to give them back.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::default();
        match &self.layers {
            Layers::Baseline(layers) => layers.store(&mut weights)?,
            Layers::ResNet(layers) => layers.store(&mut weights)?,
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
