//! Trainable layers, loaded from named tensors and stored back to them.

use anyhow::Result;
use burn::module::{Module, Param};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData, module as ops};
use kernels::conv2d::conv2d;

use crate::device::to_host;
use crate::norm::BatchNorm;
use crate::weights::Weights;

/// 2D convolution over height and width.
#[derive(Module, Debug)]
pub(crate) struct Convolution {
    /// `[out channels, in channels, side, side]`
    weight: Param<Tensor<4>>,
    /// `[out channels]`; `None` if a batch norm follows, which has its own.
    bias: Option<Param<Tensor<1>>>,
    stride: usize,
    padding: usize,
}

/// Matrix product plus bias.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    /// `[inputs, outputs]`
    weight: Param<Tensor<2>>,
    /// `[outputs]`
    bias: Param<Tensor<1>>,
}

/// Loads layers from host weights to a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub weights: &'a Weights,
    pub device: &'a Device,
}

impl Source<'_> {
    /// Loads the convolution `layer`, with a bias if the weights have one.
    pub(crate) fn convolution(
        self,
        layer: &str,
        stride: usize,
        padding: usize,
    ) -> Result<Convolution> {
        let weight = Param::from_data(self.data(layer, "weight")?, self.device);
        let bias = self.weights.get(&format!("{layer}.bias")).is_ok();
        let bias = bias.then(|| self.data(layer, "bias")).transpose()?;
        let bias = bias.map(|bias| Param::from_data(bias, self.device));
        Ok(Convolution { weight, bias, stride, padding })
    }

    /// Loads the linear layer `layer`.
    pub(crate) fn linear(self, layer: &str) -> Result<Linear> {
        let [weight, bias] = ["weight", "bias"].map(|part| self.data(layer, part));
        Ok(Linear {
            weight: Param::from_data(weight?, self.device),
            bias: Param::from_data(bias?, self.device),
        })
    }

    /// Loads the batch norm `layer`.
    pub(crate) fn norm(self, layer: &str) -> Result<BatchNorm> {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let [weight, bias, mean, var] = parts.map(|part| self.data(layer, part));
        Ok(BatchNorm::new([weight?, bias?, mean?, var?], self.device))
    }

    fn data(self, layer: &str, part: &str) -> Result<TensorData> {
        let tensor = self.weights.get(&format!("{layer}.{part}"))?;
        Ok(TensorData::new(tensor.values.clone(), tensor.shape.clone()))
    }
}

impl Convolution {
    pub(crate) fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let options = ConvOptions::new([self.stride; 2], [self.padding; 2], [1, 1], 1);
        conv2d(input, self.weight.val(), self.bias.as_ref().map(Param::val), options)
    }

    /// Stores its tensors in `weights` under the name `layer`.
    pub(crate) fn store(&self, layer: &str, weights: &mut Weights) -> Result<()> {
        store(weights, layer, "weight", self.weight.val())?;
        self.bias.as_ref().map_or(Ok(()), |bias| store(weights, layer, "bias", bias.val()))
    }
}

impl Linear {
    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        ops::linear(input, self.weight.val(), Some(self.bias.val()))
    }

    /// Stores its tensors in `weights` under the name `layer`.
    pub(crate) fn store(&self, layer: &str, weights: &mut Weights) -> Result<()> {
        store(weights, layer, "weight", self.weight.val())?;
        store(weights, layer, "bias", self.bias.val())
    }
}

impl BatchNorm {
    /// Stores its tensors in `weights` under the name `layer`.
    pub(crate) fn store(&self, layer: &str, weights: &mut Weights) -> Result<()> {
        store(weights, layer, "weight", self.weight.val())?;
        store(weights, layer, "bias", self.bias.val())?;
        store(weights, layer, "running_mean", self.running_mean.clone())?;
        store(weights, layer, "running_var", self.running_var.clone())
    }
}

fn store<const D: usize>(
    weights: &mut Weights,
    layer: &str,
    part: &str,
    tensor: Tensor<D>,
) -> Result<()> {
    let shape = tensor.dims().to_vec();
    weights.insert(&format!("{layer}.{part}"), shape, to_host(tensor)?);
    Ok(())
}
