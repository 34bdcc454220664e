//! An inference network as plain data: convolutions, a head, linear layers.
//!
//! Batch norms are folded into the layers. Does not know how or where it is computed: on the CPU by
//! [`crate::compiled`], on other devices by dependents of this crate.

/// The layers of a network, in order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Affine map applied to each channel of the input.
    pub input: Vec<Affine>,
    /// Convolutions. Each produces one feature map.
    pub convolutions: Vec<Convolution>,
    /// Reduction of the last feature map to a vector.
    pub head: Head,
    /// Linear layers, applied to the vector one after the other.
    pub linears: Vec<Linear>,
}

/// The map `x · factor + shift`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Multiplier.
    pub factor: f32,
    /// Addend.
    pub shift: f32,
}

impl Affine {
    /// Returns the map of a batch norm, `(x − mean) / √(variance + ε) · weight + bias`, for one
    /// channel.
    pub fn from_batch_norm([weight, bias, mean, variance]: [f32; 4], epsilon: f64) -> Affine {
        let factor = (f64::from(weight) * (1.0 / (f64::from(variance) + epsilon).sqrt())) as f32;
        Affine { factor, shift: bias - mean * factor }
    }

    /// Applies the map to a value.
    pub fn apply(self, value: f32) -> f32 {
        value * self.factor + self.shift
    }
}

/// Sum of convolutions, plus bias, leaky ReLU and optional pooling.
///
/// More than one term expresses a residual connection.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// Summands, all with the same output size.
    pub terms: Vec<Term>,
    /// `[out channels]`
    pub bias: Vec<f32>,
    /// Slope of the leaky ReLU below zero, from 0 (ReLU) to 1 ([`NO_ACTIVATION`]).
    pub slope: f32,
    /// Pooling after the activation.
    pub pooling: Pooling,
}

/// Convolution of one feature map.
#[derive(Clone, Debug)]
pub struct Term {
    /// Input feature map.
    pub from: FeatureMapId,
    /// Kernel in C order, `[out channels, in channels, height, width]`.
    pub weight: Vec<f32>,
    /// Shape of `weight`.
    pub shape: [usize; 4],
    /// Stride in both directions.
    pub stride: usize,
    /// Zero padding on each side.
    pub padding: usize,
}

/// Index of a feature map: 0 is the input, i + 1 the output of convolution i.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureMapId(pub usize);

/// Pooling after a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// No pooling.
    None,
    /// Max-pool 2×2 with stride 2.
    ///
    /// May drop NaN. All other operations propagate it.
    Max2x2,
}

/// Geometry of a convolution.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width of the input.
    pub input: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// Stride; see [`Term`].
    pub stride: usize,
    /// Padding; see [`Term`].
    pub padding: usize,
}

impl Window {
    /// Returns height and width of the output; `None` if the kernel does not fit.
    fn size(self) -> Option<[usize; 2]> {
        let side = |axis: usize| {
            let free = (self.input[axis] + 2 * self.padding).checked_sub(self.kernel[axis])?;
            Some(free / self.stride + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

impl Pooling {
    /// Returns height and width after pooling a sum of convolutions; `None` if that is empty or if
    /// the sizes of the summands differ.
    pub fn size(self, windows: impl IntoIterator<Item = Window>) -> Option<[usize; 2]> {
        let mut sizes = windows.into_iter().map(Window::size);
        let size = sizes.next()??;
        let equal = sizes.all(|other| other == Some(size));
        let pooled = match self {
            Pooling::None => size,
            Pooling::Max2x2 => size.map(|side| side / 2),
        };
        Some(pooled).filter(|pooled| equal && !pooled.contains(&0))
    }
}

/// Reduction of a feature map to a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Mean of each channel (global average pooling).
    Mean,
    /// All values of a feature map of this height and width, in C order `[channels, height,
    /// width]`.
    Flatten([usize; 2]),
}

/// Matrix product, plus bias and leaky ReLU.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`
    pub weight: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
    /// Slope of the leaky ReLU below zero; see [`Convolution`].
    pub slope: f32,
}

/// Slope with which a leaky ReLU is the identity.
pub const NO_ACTIVATION: f32 = 1.0;

impl Plan {
    /// Returns the output of the last convolution, or the input if there are none.
    pub fn last(&self) -> FeatureMapId {
        FeatureMapId(self.convolutions.len())
    }

    /// Returns height and width of each feature map for an input of this size; `None` if one is
    /// empty.
    pub fn sizes(&self, clip: [usize; 2]) -> Option<Vec<[usize; 2]>> {
        let mut sizes = vec![clip];
        for convolution in &self.convolutions {
            let windows = convolution.terms.iter().map(|term| Window {
                input: sizes[term.from.0],
                kernel: [term.shape[2], term.shape[3]],
                stride: term.stride,
                padding: term.padding,
            });
            let size = convolution.pooling.size(windows)?;
            sizes.push(size);
        }
        Some(sizes)
    }
}
