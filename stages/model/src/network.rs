//! A network to judge with: weights in, logits out, by the running statistics.
//!
//! Knows nothing about labels, gradients or files; which layers there are, [`crate::config`] says.

use anyhow::{Context as _, Result};
use burn::tensor::{Device, Tensor};

use crate::baseline::FoldedBaseline;
use crate::config::{Architecture, NetworkConfig};
use crate::dataset::Dataset;
use crate::layers::Source;
use crate::resnet::FoldedResNet;
use crate::weights::Weights;

/// How many clips are evaluated at once: enough to keep the cores busy, and 30 MB of activations.
const EVALUATION_BATCH: usize = 32;

/// The layers on a device without autodiff, with each normalisation folded into the layer before it.
#[derive(Debug)]
pub struct Network {
    layers: Layers,
    config: NetworkConfig,
    weights: Weights,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one or two of them")]
enum Layers {
    Baseline(FoldedBaseline),
    ResNet(FoldedResNet),
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
            Architecture::Baseline => Layers::Baseline(FoldedBaseline::new(source)?),
            Architecture::ResNet => Layers::ResNet(FoldedResNet::new(source)?),
        };
        Ok(Network { layers, config: config.clone(), weights: weights.clone() })
    }

    /// What the network was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The weights that it was built from.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The logits of a batch: `[N, channels, height, width]` → `[N, classes]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        match &self.layers {
            Layers::Baseline(layers) => layers.forward(images),
            Layers::ResNet(layers) => layers.forward(images),
        }
    }

    /// The logits of the clips at `indices`, on the host: one row of [`NetworkConfig::classes`] a clip.
    ///
    /// # Errors
    /// The device, which is the network's, fails to give them back.
    pub fn logits(&self, dataset: &Dataset, indices: &[usize], device: &Device) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * self.config.classes);
        for batch in dataset.batches(indices, EVALUATION_BATCH) {
            logits.extend(to_host(self.forward(dataset.images(batch, device)))?);
        }
        Ok(logits)
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
