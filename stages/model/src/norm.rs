//! Batch normalisation with PyTorch's semantics.
//!
//! burn's own layer differs in two ways. It keeps the biased variance in the running statistics
//! (PyTorch keeps the unbiased one, which is a third larger for the hidden layer with batches of
//! four). It also updates them behind a shared reference, so a module saved during training is one
//! batch stale. Here [`BatchNorm::forward`] takes `&mut self`.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kernels::Epilogue;
use kernels::norm::{self, Scale};

use crate::config::NORM_EPSILON;

/// Weight of a batch in the running statistics, as in PyTorch.
const MOMENTUM: f64 = 0.1;

/// `y = (x − mean) / √(variance + ε) · weight + bias`, channel by channel (Ioffe and Szegedy 2015).
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[channels]`, trained.
    pub weight: Param<Tensor<1>>,
    /// `[channels]`, trained.
    pub bias: Param<Tensor<1>>,
    /// `[channels]`: moving average of the batch means.
    pub running_mean: Tensor<1>,
    /// `[channels]`: moving average of the unbiased batch variances.
    pub running_var: Tensor<1>,
}

impl BatchNorm {
    /// Creates the layer from its four `[channels]` tensors, in the order of the fields.
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

    /// Normalises `[batch, channels, height, width]` with the statistics of the batch, updates the
    /// running statistics, and applies the epilogue.
    ///
    /// A channel needs at least two values, since the unbiased variance of one value is undefined.
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
    fn running_statistics_match_pytorch() {
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
            assert!((found - expected).abs() < 1e-5 * expected, "{found}, expected {expected}");
        }
        // The output is normalised with the biased variance.
        assert!((output[0] + 2.0 / (8.0f32 / 3.0).sqrt()).abs() < 1e-4, "{output:?}");
    }
}
