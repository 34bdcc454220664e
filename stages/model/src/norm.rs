//! Batch normalisation as PyTorch defines it.
//!
//! Not the tensor library's own layer, which keeps the biased variance in its running statistics (PyTorch:
//! the unbiased one; for the hidden layer and batches of four that is a third more) and updates them behind
//! a shared reference, so that a module saved while it trains is one batch stale. Here the caller sees the
//! update: [`BatchNorm::forward`] takes `&mut self`. Knows nothing about the layers around it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kernels::Epilogue;
use kernels::norm::{self, Scale};

use crate::config::NORM_EPSILON;

/// How much of a batch's statistics enters the running ones, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// `y = (x − mean) / √(variance + ε) · weight + bias`, channel by channel (Ioffe and Szegedy 2015).
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Of shape `[channels]`, trained.
    pub weight: Param<Tensor<1>>,
    /// Of shape `[channels]`, trained.
    pub bias: Param<Tensor<1>>,
    /// The mean of past batches, of shape `[channels]`.
    pub running_mean: Tensor<1>,
    /// The unbiased variance of past batches, of shape `[channels]`.
    pub running_var: Tensor<1>,
}

impl BatchNorm {
    /// From its four tensors, each of shape `[channels]`, in the order of the fields.
    pub fn new(
        [weight, bias, running_mean, running_var]: [TensorData; 4],
        device: &Device,
    ) -> BatchNorm {
        BatchNorm {
            weight: Param::from_data(weight, device),
            bias: Param::from_data(bias, device),
            running_mean: Tensor::from_data(running_mean, device),
            running_var: Tensor::from_data(running_var, device),
        }
    }

    /// Normalises `[batch, channels, height, width]` by the batch's own statistics, moves the running ones
    /// towards them, and does what follows. A channel needs two values at least: the variance of one is
    /// nothing to divide by.
    pub fn forward(&mut self, input: Tensor<4>, then: Epilogue) -> Tensor<4> {
        let [batch, _, height, width] = input.dims();
        let count = (batch * height * width) as f64;
        let batch = norm::batch_norm(input, self.scale(), then);
        let unbiased = count / (count - 1.0);
        self.running_mean = blend(&self.running_mean, batch.mean, 1.0);
        self.running_var = blend(&self.running_var, batch.variance, unbiased);
        batch.output
    }

    fn scale(&self) -> Scale {
        Scale { weight: self.weight.val(), bias: self.bias.val(), epsilon: NORM_EPSILON }
    }
}

fn blend(running: &Tensor<1>, batch: Tensor<1>, scale: f64) -> Tensor<1> {
    let kept = running.clone().mul_scalar(1.0 - MOMENTUM);
    kept.add(batch.mul_scalar(MOMENTUM * scale)).detach()
}

#[cfg(test)]
mod tests {
    use kernels::{Activation, Pool};

    use super::*;

    #[test]
    fn running_statistics_are_those_of_pytorch() {
        let device = Device::flex().autodiff();
        let of = |values: [f32; 2]| TensorData::from(values);
        let mut norm = BatchNorm::new(
            [of([1.0, 2.0]), of([0.0, 1.0]), of([0.0, 0.0]), of([1.0, 1.0])],
            &device,
        );
        let input = Tensor::<2>::from_data([[1.0, 10.0], [3.0, 30.0], [5.0, 80.0]], &device);
        let then = Epilogue { activation: Activation::Identity, pool: Pool::None };
        let input = input.reshape([3, 2, 1, 1]);
        let output: Vec<f32> = norm.forward(input, then).into_data().iter::<f32>().collect();
        // Channel 0: mean 3, biased variance 8/3, unbiased 4. Channel 1: mean 40, unbiased 1300.
        let expected = [0.3, 4.0, 0.9 + 0.4, 0.9 + 130.0];
        let running =
            [norm.running_mean.clone(), norm.running_var.clone()].map(|tensor| tensor.into_data());
        for (found, expected) in running.iter().flat_map(|data| data.iter::<f32>()).zip(expected) {
            assert!((found - expected).abs() < 1e-5 * expected, "{found} is not {expected}");
        }
        // The output is normalised by the biased variance.
        assert!((output[0] + 2.0 / (8.0f32 / 3.0).sqrt()).abs() < 1e-4, "{output:?}");
    }
}
