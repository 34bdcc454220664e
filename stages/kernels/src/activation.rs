//! Activation functions and their slopes.
//!
//! Knows nothing about tensors.

/// What is applied to each value after the normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    Identity,
    /// `max(x, 0) + slope · min(x, 0)`: ReLU with a slope of 0.
    LeakyRelu(f32),
    /// `x · sigmoid(x)` (Elfwing, Uchibe and Doya 2018).
    Silu,
}

impl Activation {
    /// The value at `x`.
    #[inline(always)]
    pub(crate) fn at(self, x: f32) -> f32 {
        match self {
            Activation::Identity => x,
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    x
                } else {
                    x * slope
                }
            }
            Activation::Silu => x * sigmoid(x),
        }
    }

    /// The derivative at `x`; that of a leaky ReLU at 0 is its slope, as in PyTorch.
    #[inline(always)]
    pub(crate) fn slope(self, x: f32) -> f32 {
        match self {
            Activation::Identity => 1.0,
            Activation::LeakyRelu(slope) => {
                if x > 0.0 {
                    1.0
                } else {
                    slope
                }
            }
            Activation::Silu => {
                let sigmoid = sigmoid(x);
                sigmoid * (1.0 + x * (1.0 - sigmoid))
            }
        }
    }
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Computes `$body` with an activation of which the compiler knows which it is: loops in it have no branch for it.
macro_rules! with_known {
    ($activation:expr, |$known:ident| $body:expr) => {
        match $activation {
            $crate::Activation::Identity => {
                let $known = $crate::Activation::Identity;
                $body
            }
            $crate::Activation::LeakyRelu(slope) => {
                let $known = $crate::Activation::LeakyRelu(slope);
                $body
            }
            $crate::Activation::Silu => {
                let $known = $crate::Activation::Silu;
                $body
            }
        }
    };
}

pub(crate) use with_known;
