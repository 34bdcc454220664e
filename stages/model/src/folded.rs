//! The layers that networks judge with: a normalisation by running statistics is a factor and a shift for each
//! channel, which the layer before it takes up.
//!
//! Knows nothing about how a network puts them together.

use anyhow::Result;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Tensor, TensorData, module as ops};
use kernels::Then;
use kernels::conv2d::Fixed;

use crate::config::NORM_EPSILON;
use crate::layers::Source;
use crate::weights::Weights;

/// A convolution over height and width, with the normalisation of its output.
#[derive(Debug)]
pub(crate) struct FoldedConvolution(Fixed);

/// A matrix product and a bias, with the normalisation of its output.
#[derive(Debug)]
pub(crate) struct FoldedLinear {
    /// `[inputs, outputs]`
    weight: Tensor<2>,
    /// `[outputs]`
    bias: Tensor<1>,
}

impl Source<'_> {
    /// The convolution `layer` with the batch norm `norm`.
    pub(crate) fn folded_convolution(
        self,
        [layer, norm]: [&str; 2],
        stride: usize,
        padding: usize,
    ) -> Result<FoldedConvolution> {
        let channels = Channels::of(self.weights, norm)?;
        let weight = self.weights.get(&format!("{layer}.weight"))?;
        let each = weight.values.len() / channels.factor.len();
        let rows = weight.values.chunks_exact(each).zip(&channels.factor);
        let values: Vec<f32> =
            rows.flat_map(|(row, factor)| row.iter().map(move |value| value * factor)).collect();
        let weight = Tensor::from_data(TensorData::new(values, weight.shape.clone()), self.device);
        let bias = self.bias(channels.bias(self.weights, layer));
        let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1);
        Ok(FoldedConvolution(Fixed::new(weight, bias, options)))
    }

    /// The batch norm `norm` by itself: a convolution of each channel with one number.
    pub(crate) fn folded_norm(self, norm: &str) -> Result<FoldedConvolution> {
        let Channels { factor, shift } = Channels::of(self.weights, norm)?;
        let groups = factor.len();
        let weight = Tensor::from_data(TensorData::new(factor, [groups, 1, 1, 1]), self.device);
        let options = ConvOptions::new([1; 2], [0; 2], [1, 1], groups);
        Ok(FoldedConvolution(Fixed::new(weight, self.bias(shift), options)))
    }

    /// The linear layer `layer` with the batch norm `norm`, if there is one.
    pub(crate) fn folded_linear(self, layer: &str, norm: Option<&str>) -> Result<FoldedLinear> {
        let weight = self.weights.get(&format!("{layer}.weight"))?;
        let outputs = weight.shape[1];
        let channels =
            norm.map_or_else(|| Ok(Channels::unchanged(outputs)), |norm| Channels::of(self.weights, norm))?;
        let rows = weight.values.chunks_exact(outputs);
        let values: Vec<f32> = rows
            .flat_map(|row| row.iter().zip(&channels.factor).map(|(value, factor)| value * factor))
            .collect();
        Ok(FoldedLinear {
            weight: Tensor::from_data(TensorData::new(values, weight.shape.clone()), self.device),
            bias: self.bias(channels.bias(self.weights, layer)),
        })
    }

    fn bias(self, values: Vec<f32>) -> Tensor<1> {
        let count = values.len();
        Tensor::from_data(TensorData::new(values, [count]), self.device)
    }
}

/// What a normalisation multiplies each channel with and adds to it.
struct Channels {
    factor: Vec<f32>,
    shift: Vec<f32>,
}

impl Channels {
    fn of(weights: &Weights, norm: &str) -> Result<Channels> {
        let part = |part: &str| Ok::<_, anyhow::Error>(&weights.get(&format!("{norm}.{part}"))?.values);
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let scale = |variance: &f32| 1.0 / (f64::from(*variance) + NORM_EPSILON).sqrt();
        let factor: Vec<f32> = weight
            .iter()
            .zip(variance)
            .map(|(weight, variance)| (f64::from(*weight) * scale(variance)) as f32)
            .collect();
        let shift =
            bias.iter().zip(mean.iter().zip(&factor)).map(|(bias, (mean, factor))| bias - mean * factor);
        Ok(Channels { shift: shift.collect(), factor })
    }

    fn unchanged(count: usize) -> Channels {
        Channels { factor: vec![1.0; count], shift: vec![0.0; count] }
    }

    /// The bias of `layer` with the normalisation after it; a layer may have none.
    fn bias(&self, weights: &Weights, layer: &str) -> Vec<f32> {
        match weights.get(&format!("{layer}.bias")) {
            Err(_) => self.shift.clone(),
            Ok(bias) => {
                let scaled = bias.values.iter().zip(&self.factor).map(|(bias, factor)| bias * factor);
                scaled.zip(&self.shift).map(|(bias, shift)| bias + shift).collect()
            }
        }
    }
}

impl FoldedConvolution {
    /// The output added to `onto`, if there is any, and what is made of it then.
    pub(crate) fn forward(&self, input: Tensor<4>, onto: Option<Tensor<4>>, then: Then) -> Tensor<4> {
        self.0.forward(input, onto, then)
    }
}

impl FoldedLinear {
    pub(crate) fn forward(&self, input: Tensor<2>) -> Tensor<2> {
        ops::linear(input, self.weight.clone(), Some(self.bias.clone()))
    }
}
