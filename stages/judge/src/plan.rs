//! A network to judge with, as numbers: convolutions of pictures, then linear layers.
//!
//! Normalisations are folded in. Knows nothing about how or where it is computed: on the processor by
//! [`crate::compiled`], on other devices by those who depend on this crate.

/// The layers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each channel of a clip is scaled with.
    pub input: Vec<Affine>,
    /// Each makes a picture.
    pub convolutions: Vec<Convolution>,
    /// What becomes of the last picture.
    pub head: Head,
    /// Each makes a row of numbers of the one before it.
    pub linears: Vec<Linear>,
}

/// What the numbers of a channel are multiplied with, and what is added then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// The multiplier.
    pub factor: f32,
    /// What is added.
    pub shift: f32,
}

impl Affine {
    /// What a normalisation by running statistics does to a channel: its weight, bias, mean and variance.
    pub fn of_norm([weight, bias, mean, variance]: [f32; 4], epsilon: f64) -> Affine {
        let factor = (f64::from(weight) * (1.0 / (f64::from(variance) + epsilon).sqrt())) as f32;
        Affine { factor, shift: bias - mean * factor }
    }

    /// One number.
    pub fn of(self, number: f32) -> f32 {
        number * self.factor + self.shift
    }
}

/// A sum of convolutions of pictures and of a bias, a leaky ReLU, and perhaps a pool.
#[derive(Clone, Debug)]
pub struct Convolution {
    /// All make pictures of one size.
    pub terms: Vec<Term>,
    /// `[channels]`
    pub bias: Vec<f32>,
    /// What is below zero is multiplied with it: 0 to 1.
    pub slope: f32,
    /// What stays.
    pub pixels: Pixels,
}

/// A picture's part in a convolution.
#[derive(Clone, Debug)]
pub struct Term {
    /// The picture.
    pub from: PictureId,
    /// `[channels out, channels in, height, width]`
    pub weight: Vec<f32>,
    /// The four lengths.
    pub shape: [usize; 4],
    /// How far apart the kernel's places in the picture are.
    pub stride: usize,
    /// The zeros around the picture.
    pub padding: usize,
}

/// A picture: the clip is the first, that of a convolution comes after those of the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId(pub usize);

/// Which numbers of a convolution stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Every one.
    All,
    /// Of each two rows and two columns the largest of a channel. They are finite numbers: one that is none (NaN) may be
    /// passed over. All else keeps it.
    LargestOfFour,
}

/// Where a kernel looks.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Height and width of the picture.
    pub picture: [usize; 2],
    /// Height and width of the kernel.
    pub kernel: [usize; 2],
    /// As those of a [`Term`].
    pub stride: usize,
    /// As that of a [`Term`].
    pub padding: usize,
}

impl Window {
    /// Height and width of what it makes; none if the kernel does not fit in.
    fn size(self) -> Option<[usize; 2]> {
        let side = |axis: usize| {
            let free = (self.picture[axis] + 2 * self.padding).checked_sub(self.kernel[axis])?;
            Some(free / self.stride + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

impl Pixels {
    /// Height and width of what stays of a sum; none if that is nothing, or if it is of pictures of several sizes.
    pub fn size(self, windows: impl IntoIterator<Item = Window>) -> Option<[usize; 2]> {
        let mut sizes = windows.into_iter().map(Window::size);
        let size = sizes.next()??;
        let alike = sizes.all(|other| other == Some(size));
        let left = match self {
            Pixels::All => size,
            Pixels::LargestOfFour => size.map(|side| side / 2),
        };
        Some(left).filter(|left| alike && !left.contains(&0))
    }
}

/// How a picture becomes a row of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// The mean of each channel.
    Mean,
    /// All of a picture of this height and width: channel by channel, row by row.
    Flatten([usize; 2]),
}

/// A matrix product, a bias and a leaky ReLU.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[inputs, outputs]`
    pub weight: Vec<f32>,
    /// `[outputs]`
    pub bias: Vec<f32>,
    /// As that of a [`Convolution`].
    pub slope: f32,
}

/// The slope of no activation at all.
pub const STRAIGHT: f32 = 1.0;

impl Plan {
    /// The picture that the convolutions so far end with.
    pub fn last(&self) -> PictureId {
        PictureId(self.convolutions.len())
    }

    /// Height and width of each picture of a clip of this size; none if one has no pixel.
    pub fn sizes(&self, clip: [usize; 2]) -> Option<Vec<[usize; 2]>> {
        let mut sizes = vec![clip];
        for convolution in &self.convolutions {
            let windows = convolution.terms.iter().map(|term| Window {
                picture: sizes[term.from.0],
                kernel: [term.shape[2], term.shape[3]],
                stride: term.stride,
                padding: term.padding,
            });
            let size = convolution.pixels.size(windows)?;
            sizes.push(size);
        }
        Some(sizes)
    }
}
