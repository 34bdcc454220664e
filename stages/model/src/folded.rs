//! The layers that networks judge with: a normalisation by running statistics is a factor and a shift for each
//! channel, which the layer before it takes up.
//!
//! Knows nothing about how a network puts them together, or where it is computed.

use anyhow::{Context as _, Result};
use kernels::plan::{Affine, Linear, PictureId, Term};

use crate::config::NORM_EPSILON;
use crate::weights::Weights;

/// Where folded layers come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folded<'a>(pub &'a Weights);

impl Folded<'_> {
    /// The convolution `layer` of a picture, with the batch norm `norm`, and its bias.
    pub(crate) fn convolution(
        self,
        [layer, norm]: [&str; 2],
        from: PictureId,
        [stride, padding]: [usize; 2],
    ) -> Result<(Term, Vec<f32>)> {
        let channels = Channels::of(self.0, norm)?;
        let weight = self.0.get(&format!("{layer}.weight"))?;
        let shape = weight.shape[..].try_into().ok().context("BUG: a convolution has four lengths")?;
        let each = weight.values.len() / channels.factor.len();
        let rows = weight.values.chunks_exact(each).zip(&channels.factor);
        let weight = rows.flat_map(|(row, factor)| row.iter().map(move |value| value * factor)).collect();
        Ok((Term { from, weight, shape, stride, padding }, channels.bias(self.0, layer)))
    }

    /// The batch norm `norm` of the clip itself.
    pub(crate) fn norm(self, norm: &str) -> Result<Vec<Affine>> {
        let Channels { factor, shift } = Channels::of(self.0, norm)?;
        Ok(factor.into_iter().zip(shift).map(|(factor, shift)| Affine { factor, shift }).collect())
    }

    /// The linear layer `layer` with the batch norm `norm`, if there is one.
    pub(crate) fn linear(self, layer: &str, norm: Option<&str>, slope: f32) -> Result<Linear> {
        let weight = self.0.get(&format!("{layer}.weight"))?;
        let outputs = weight.shape[1];
        let channels =
            norm.map_or_else(|| Ok(Channels::unchanged(outputs)), |norm| Channels::of(self.0, norm))?;
        let rows = weight.values.chunks_exact(outputs);
        let scaled =
            rows.flat_map(|row| row.iter().zip(&channels.factor).map(|(value, factor)| value * factor));
        Ok(Linear { weight: scaled.collect(), bias: channels.bias(self.0, layer), slope })
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
