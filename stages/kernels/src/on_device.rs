//! Runs an inference plan with burn's operations, on any device.
//!
//! Networks on GPUs run this way. It is also the reference for the compiled plans of the CPU.

use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData, activation, module as ops};
use inference::plan::{Head, NO_ACTIVATION, Plan, Pooling};

/// Layers of a [`Plan`], with their weights on a device.
#[derive(Debug)]
pub struct OnDevice {
    /// Shape `[1, channels, 1, 1]`, as is that of `shift`.
    factor: Tensor<4>,
    shift: Tensor<4>,
    convolutions: Vec<Convolution>,
    head: Head,
    linears: Vec<Linear>,
}

#[derive(Debug)]
struct Convolution {
    terms: Vec<Term>,
    /// Shape `[1, channels, 1, 1]`.
    bias: Tensor<4>,
    slope: f32,
    pooling: Pooling,
}

#[derive(Debug)]
struct Term {
    from: usize,
    weight: Tensor<4>,
    options: ConvOptions<2>,
}

#[derive(Debug)]
struct Linear {
    weight: Tensor<2>,
    bias: Tensor<1>,
    slope: f32,
}

impl OnDevice {
    /// Copies the weights of a plan to a device.
    pub fn new(plan: &Plan, device: &Device) -> OnDevice {
        let of_channels = |values: Vec<f32>| {
            let shape = [1, values.len(), 1, 1];
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        let convolutions = plan.convolutions.iter().map(|convolution| {
            let terms = convolution.terms.iter().map(|term| Term {
                from: term.from.0,
                weight: Tensor::from_data(TensorData::new(term.weight.clone(), term.shape), device),
                options: ConvOptions::new([term.stride; 2], [term.padding; 2], [1, 1], 1),
            });
            Convolution {
                terms: terms.collect(),
                bias: of_channels(convolution.bias.clone()),
                slope: convolution.slope,
                pooling: convolution.pooling,
            }
        });
        let linears = plan.linears.iter().map(|linear| {
            let outputs = linear.bias.len();
            let shape = [linear.weight.len() / outputs, outputs];
            Linear {
                weight: Tensor::from_data(TensorData::new(linear.weight.clone(), shape), device),
                bias: Tensor::from_data(TensorData::new(linear.bias.clone(), [outputs]), device),
                slope: linear.slope,
            }
        });
        OnDevice {
            factor: of_channels(plan.input.iter().map(|channel| channel.factor).collect()),
            shift: of_channels(plan.input.iter().map(|channel| channel.shift).collect()),
            convolutions: convolutions.collect(),
            head: plan.head,
            linears: linears.collect(),
        }
    }

    /// Computes logits: `[N, channels, height, width]` → `[N, outputs]`.
    pub fn forward(&self, clips: Tensor<4>) -> Tensor<2> {
        let clip = clips * self.factor.clone() + self.shift.clone();
        let mut pictures = vec![clip.clone()];
        let last = self.convolutions.iter().fold(clip, |_, convolution| {
            let picture = convolution.forward(&pictures);
            pictures.push(picture.clone());
            picture
        });
        let row = match self.head {
            Head::Mean => last.flatten::<3>(2, 3).mean_dim(2).flatten(1, 2),
            Head::Flatten(_) => last.flatten(1, 3),
        };
        self.linears.iter().fold(row, |row, layer| {
            active(ops::linear(row, layer.weight.clone(), Some(layer.bias.clone())), layer.slope)
        })
    }
}

impl Convolution {
    fn forward(&self, pictures: &[Tensor<4>]) -> Tensor<4> {
        let sum = self.terms.iter().fold(self.bias.clone(), |sum, term| {
            sum + ops::conv2d(
                pictures[term.from].clone(),
                term.weight.clone(),
                None,
                term.options.clone(),
            )
        });
        let x = active(sum, self.slope);
        match self.pooling {
            Pooling::None => x,
            Pooling::Max2x2 => ops::max_pool2d(x, MaxPoolOptions::new([2, 2])),
        }
    }
}

fn active<const D: usize>(x: Tensor<D>, slope: f32) -> Tensor<D> {
    if slope == NO_ACTIVATION { x } else { activation::leaky_relu(x, f64::from(slope)) }
}
