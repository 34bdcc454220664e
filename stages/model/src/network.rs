//! A network to judge with: weights in, logits out, by the running statistics.
//!
//! Knows nothing about labels, gradients or files; which layers there are, [`crate::config`] says.

use anyhow::{Context as _, Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use judge::compiled::Compiled;
use kernels::on_device::OnDevice;

use crate::config::{Architecture, NetworkConfig};
use crate::dataset::Dataset;
use crate::weights::Weights;
use crate::{baseline, resnet};

/// How many clips are evaluated at once: a device wants many. The processor judges clip by clip, but reads the weights
/// of the linear layers once for several.
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
    Processor(Compiled),
    Device(OnDevice, Device),
}

impl Network {
    /// A network with these weights on this device.
    ///
    /// # Errors
    /// Weights that do not fit the configuration; as [`NetworkConfig::tensors`].
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

    /// The logits of a batch, one row of [`NetworkConfig::classes`] a clip: the values `[N, channels, height, width]`
    /// in C order and these four lengths.
    ///
    /// # Errors
    /// A shape of clips that the network does not take, the baseline those of one shape only; another number of values,
    /// or none; the device fails to give the logits back.
    pub fn judge(&self, values: Vec<f32>, shape: [usize; 4]) -> Result<Vec<f32>> {
        let ([count, clip @ ..], input) = (shape, self.config.input);
        ensure!(
            self.config.takes(clip),
            "clips of the shape {clip:?} do not fit the network, which learnt from {input:?}"
        );
        let product = shape.iter().try_fold(1usize, |product, length| product.checked_mul(*length));
        let there = values.len();
        ensure!(
            there > 0 && product == Some(there),
            "{there} values are not those of {count} clips of the shape {clip:?}"
        );
        match &self.layers {
            Layers::Processor(layers) => Ok(layers.run(&values, [shape[2], shape[3]])),
            Layers::Device(layers, device) => {
                to_host(layers.forward(Tensor::from_data(TensorData::new(values, shape), device)))
            }
        }
    }

    /// The logits of the clips at `indices`.
    ///
    /// # Errors
    /// As [`Network::judge`].
    pub fn logits(&self, dataset: &Dataset, indices: &[usize]) -> Result<Vec<f32>> {
        let mut logits = Vec::with_capacity(indices.len() * self.config.classes);
        for batch in dataset.batches(indices, EVALUATION_BATCH) {
            let (values, shape) = dataset.values(batch);
            logits.extend(self.judge(values, shape)?);
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
