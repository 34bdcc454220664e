//! What follows a layer: an activation, then a pool.
//!
//! Knows nothing about layers.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation, module as ops};

use crate::activation::Activation;

/// What is applied to the output of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue {
    /// First, to each value.
    pub activation: Activation,
    /// Epilogue, to windows of them.
    pub pool: Pool,
}

/// What is made of windows of the activations. Windows do not overlap, and those that the edge cuts are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Every value for itself.
    None,
    /// The largest of a window of this height and width; of equal ones the first.
    Max([usize; 2]),
    /// The mean of a window of this height and width.
    Average([usize; 2]),
}

impl Epilogue {
    /// Nothing.
    pub const NONE: Epilogue = Epilogue { activation: Activation::Identity, pool: Pool::None };

    /// Activation and pool by burn's own operations.
    pub(crate) fn with_burn_ops(self, x: Tensor<4>) -> Tensor<4> {
        let x = match self.activation {
            Activation::Identity => x,
            // Its gradient needs no mask, unlike that of burn's `leaky_relu`.
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
    /// Height and width of a window.
    pub(crate) fn window(self) -> [usize; 2] {
        match self {
            Pool::None => [1, 1],
            Pool::Max(window) | Pool::Average(window) => window,
        }
    }

    /// Height and width of what is made of a plane of this size.
    pub(crate) fn out(self, size: [usize; 2]) -> [usize; 2] {
        let window = self.window();
        [size[0] / window[0], size[1] / window[1]]
    }
}
