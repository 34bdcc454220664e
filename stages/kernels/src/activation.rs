//! Activation functions and their derivatives.

/// Function applied to each value after the normalisation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// The identity.
    Identity,
    /// `max(x, 0) + slope · min(x, 0)`; ReLU if the slope is 0.
    LeakyRelu(f32),
    /// `x · sigmoid(x)` (Elfwing, Uchibe and Doya 2018).
    Silu,
}

impl Activation {
    /// Returns the value at `x`.
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

    /// Returns the derivative at `x`. For a leaky ReLU at 0 it is the slope, as in PyTorch.
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

/// Evaluates `$body` once per kind of activation, so that its loops do not branch on the kind.
macro_rules! with_known {
    ($activation:expr, |$known:ident| $body:expr) => {
        match $activation {
            $crate::activation::Activation::Identity => {
                let $known = $crate::activation::Activation::Identity;
                $body
            }
            $crate::activation::Activation::LeakyRelu(slope) => {
                let $known = $crate::activation::Activation::LeakyRelu(slope);
                $body
            }
            $crate::activation::Activation::Silu => {
                let $known = $crate::activation::Activation::Silu;
                $body
            }
        }
    };
}

pub(crate) use with_known;
