//! A network for inference, with the running statistics of its batch norms.
//!
//! [`crate::config`] defines the layers.

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use inference::compiled::Compiled;
use inference::plan::NO_ACTIVATION;
use inference::statistics::Classifier;
use kernels::on_device::OnDevice;

use crate::config::{Architecture, NetworkConfig, STATISTICS_LINEAR, STATISTICS_NORM};
use crate::dataset::Dataset;
use crate::device::to_host;
use crate::folded::Folded;
use crate::weights::Weights;
use crate::{baseline, resnet};

/// Clips per batch in [`Network::logits`].
///
/// A GPU needs many. The CPU processes convolutions clip by clip, but reads the weights of the
/// linear layers once for several clips.
const EVALUATION_BATCH: usize = 32;

/// Inference layers on a device without autodiff. Batch norms are folded into the preceding layer.
#[derive(Debug)]
pub struct Network {
    layers: Layers,
    statistics: Option<Classifier>,
    config: NetworkConfig,
    weights: Weights,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a process has one or two of them")]
enum Layers {
    Processor(Compiled),
    Device(OnDevice, Device),
}

impl Network {
    /// Builds a network with these weights on this device.
    ///
    /// # Errors
    /// The weights do not fit the configuration; also the errors of [`NetworkConfig::tensors`].
    pub fn new(config: &NetworkConfig, weights: &Weights, device: &Device) -> Result<Network> {
        weights.check(config)?;
        let plan = match config.model {
            Architecture::Baseline => baseline::plan(weights, config)?,
            Architecture::ResNet => resnet::plan(weights)?,
        };
        let layers = match *device == Device::flex() {
            true => Layers::Processor(Compiled::new(&plan)),
            false => Layers::Device(OnDevice::new(&plan, device), device.clone()),
        };
        let statistics = config.statistics.then(|| statistics(config, weights)).transpose()?;
        Ok(Network { layers, statistics, config: config.clone(), weights: weights.clone() })
    }

    /// Returns the configuration the network was built from.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// Returns the weights the network was built from, before folding.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Returns the logits of a batch in C order, `[N, classes]`.
    ///
    /// `values` are the clips in C order and `shape` is `[N, channels, height, width]`.
    ///
    /// # Errors
    /// The network does not accept clips of this shape (the baseline accepts only one shape),
    /// `values` is empty or does not have the length of the shape, or reading from the device
    /// fails.
    pub fn forward(&self, values: Vec<f32>, shape: [usize; 4]) -> Result<Vec<f32>> {
        let ([count, clip @ ..], input) = (shape, self.config.input);
        ensure!(
            self.config.accepts(clip),
            "clips of the shape {clip:?} do not fit the network, which was trained on {input:?}"
        );
        let product = shape.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
        let found = values.len();
        ensure!(
            found > 0 && product == Some(found),
            "{found} values do not make {count} clips of the shape {clip:?}"
        );
        let mut logits = match &self.layers {
            Layers::Processor(layers) => layers.run(&values, [shape[2], shape[3]]),
            Layers::Device(layers, device) => {
                let data = TensorData::new(values.clone(), shape);
                to_host(layers.forward(Tensor::from_data(data, device)))?
            }
        };
        if let Some(statistics) = &self.statistics {
            statistics.add_to(&mut logits, &values);
        }
        Ok(logits)
    }

    /// Returns the logits of the clips at `indices` in C order, `[N, classes]`.
    ///
    /// # Errors
    /// The errors of [`Network::forward`].
    pub fn logits(&self, dataset: &Dataset, indices: &[usize]) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * self.config.classes);
        for batch in dataset.batches(indices, EVALUATION_BATCH) {
            let (values, shape) = dataset.values(batch);
            logits.extend(self.forward(values, shape)?);
        }
        Ok(logits)
    }
}

/// Returns the classifier of the statistics of a clip.
fn statistics(config: &NetworkConfig, weights: &Weights) -> Result<Classifier> {
    let folded = Folded(weights);
    let [channels, height, _] = config.input;
    let linear = folded.linear(STATISTICS_LINEAR, None, NO_ACTIVATION)?;
    Ok(Classifier::new([channels, height], folded.norm(STATISTICS_NORM)?, linear))
}
