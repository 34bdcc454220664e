//! A trainable network: its logits have gradients.
//!
//! [`crate::config`] defines the layers.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::baseline::Baseline;
use crate::config::{Architecture, NetworkConfig};
use crate::layers::Source;
use crate::random::Random;
use crate::resnet::ResNet;
use crate::weights::Weights;

/// Layers on an autodiff device.
#[derive(Module, Debug)]
pub struct Trainable {
    layers: Layers,
    /// Tensors of the classifier of statistics, which is fitted elsewhere.
    #[module(skip)]
    statistics: Weights,
    #[module(skip)]
    config: NetworkConfig,
}

#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one or two of them")]
enum Layers {
    Baseline(Baseline),
    ResNet(ResNet),
}

impl Trainable {
    /// Builds the layers with these weights on a device with autodiff.
    ///
    /// # Errors
    /// The weights do not fit the configuration; also the errors of [`NetworkConfig::tensors`].
    pub fn new(config: &NetworkConfig, weights: &Weights, device: &Device) -> Result<Trainable> {
        weights.check(config)?;
        let source = Source { weights, device };
        let layers = match config.model {
            Architecture::Baseline => Layers::Baseline(Baseline::new(source)?),
            Architecture::ResNet => Layers::ResNet(ResNet::new(source)?),
        };
        let statistics = weights.below("statistics.");
        Ok(Trainable { layers, statistics, config: config.clone() })
    }

    /// Returns the configuration the network was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Returns the logits of a batch, `[N, channels, height, width]` → `[N, classes]`. Those of the
    /// statistics are not in them.
    ///
    /// Normalises with the statistics of the batch, which needs two clips at least, and updates the
    /// running statistics. `mask` is `[N, hidden]` and multiplies the hidden activations; see
    /// [`Trainable::dropout_mask`].
    pub fn forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        match &mut self.layers {
            Layers::Baseline(layers) => layers.forward(images, mask),
            Layers::ResNet(layers) => layers.forward(images, mask),
        }
    }

    /// Draws a dropout mask `[count, hidden]`.
    ///
    /// A value is 0 with the configured probability p, else 1 / (1 − p), so that the expected sum
    /// does not change.
    pub fn dropout_mask(&self, count: usize, random: &mut Random, device: &Device) -> Tensor<2> {
        let (dropout, hidden) = (self.config.dropout as f32, self.config.hidden());
        let kept = 1.0 / (1.0 - dropout);
        let mask: Vec<f32> =
            (0..count * hidden).map(|_| if random.unit() < dropout { 0.0 } else { kept }).collect();
        Tensor::from_data(TensorData::new(mask, [count, hidden]), device)
    }

    /// Copies the weights to the host.
    ///
    /// # Errors
    /// Reading from the device fails.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = self.statistics.clone();
        match &self.layers {
            Layers::Baseline(layers) => layers.store(&mut weights)?,
            Layers::ResNet(layers) => layers.store(&mut weights)?,
        }
        Ok(weights)
    }
}
