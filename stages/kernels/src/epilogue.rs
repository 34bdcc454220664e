//! Epilogue of a layer: an activation, then a pool.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation, module as ops};

use crate::activation::Activation;

/// Operations applied to the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue {
    /// Activation of each value, applied first.
    pub activation: Activation,
    /// Pool over windows of the activations.
    pub pool: Pool,
}

/// Pooling of the activations. Windows do not overlap, and incomplete windows at the edges are
/// dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// No pooling.
    None,
    /// Maximum over windows of this height and width; of equal values, the first counts.
    Max([usize; 2]),
    /// Mean over windows of this height and width.
    Average([usize; 2]),
}

impl Epilogue {
    /// The identity.
    pub const NONE: Epilogue = Epilogue { activation: Activation::Identity, pool: Pool::None };

    /// Applies activation and pool with burn's own operations.
    pub(crate) fn with_burn_ops(self, x: Tensor<4>) -> Tensor<4> {
        let x = match self.activation {
            Activation::Identity => x,
            // Unlike burn's `leaky_relu`, this needs no mask for its gradient.
            Activation::LeakyRelu(slope) => {
                activation::relu(x.clone()).mul_scalar(1.0 - slope) + x.mul_scalar(slope)
            }
            Activation::Silu => activation::silu(x),
        };
        match self.pool {
            Pool::None => x,
            Pool::Max(window) => ops::max_pool2d(x, MaxPoolOptions::new(window)),
            Pool::Average(window) => ops::avg_pool2d(x, AvgPoolOptions::new(window)),
        }
    }
}

impl Pool {
    /// Returns height and width of a window.
    pub(crate) fn window(self) -> [usize; 2] {
        match self {
            Pool::None => [1, 1],
            Pool::Max(window) | Pool::Average(window) => window,
        }
    }

    /// Returns height and width of the output for a plane of this size.
    pub(crate) fn out(self, size: [usize; 2]) -> [usize; 2] {
        let window = self.window();
        [size[0] / window[0], size[1] / window[1]]
    }
}
