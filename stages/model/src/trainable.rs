//! A network that can be trained: its logits have gradients.
//!
//! Knows nothing about labels, losses, optimizers or files; which layers there are, [`crate::config`] says.

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};

use crate::baseline::Baseline;
use crate::config::{Architecture, NetworkConfig};
use crate::layers::Source;
use crate::random::Random;
use crate::resnet::ResNet;
use crate::weights::Weights;

/// The layers on an autodiff device.
#[derive(Module, Debug)]
pub struct Trainable {
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

impl Trainable {
    /// Layers with these weights on this device, one with autodiff.
    ///
    /// # Errors
    /// Weights that do not fit the configuration; as [`NetworkConfig::tensors`].
    pub fn new(config: &NetworkConfig, weights: &Weights, device: &Device) -> Result<Trainable> {
        weights.check(config)?;
        let source = Source { weights, device };
        let layers = match config.model {
            Architecture::Baseline => Layers::Baseline(Baseline::new(source)?),
            Architecture::ResNet => Layers::ResNet(ResNet::new(source)?),
        };
        Ok(Trainable { layers, config: config.clone() })
    }

    /// What it was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The logits of a batch of two or more by its own statistics, which also move the running ones.
    ///
    /// `mask` of shape `[N, hidden]` multiplies the hidden activations: zero drops one, and the rest are
    /// scaled so that the expected sum stays ([`Trainable::dropout_mask`]).
    pub fn forward(&mut self, images: Tensor<4>, mask: Tensor<2>) -> Tensor<2> {
        match &mut self.layers {
            Layers::Baseline(layers) => layers.forward(images, mask),
            Layers::ResNet(layers) => layers.forward(images, mask),
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
