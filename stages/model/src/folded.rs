//! Inference layers with batch norms folded in.
//!
//! With running statistics, a batch norm is a factor and a shift per channel, which the preceding
//! layer absorbs: `norm(w·x + b) = (factor·w)·x + (factor·b + shift)`. Does not know how a network
//! combines the layers, or where they run.

use anyhow::{Context as _, Result};
use inference::plan::{Affine, FeatureMapId, Linear, Term};

use crate::config::NORM_EPSILON;
use crate::weights::Weights;

/// Reads folded layers from weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folded<'a>(pub &'a Weights);

impl Folded<'_> {
    /// Returns the convolution `layer` of a feature map and its bias, with the batch norm `norm`
    /// folded in.
    pub(crate) fn convolution(
        self,
        [layer, norm]: [&str; 2],
        from: FeatureMapId,
        [stride, padding]: [usize; 2],
    ) -> Result<(Term, Vec<f32>)> {
        let channels = Channels::of(self.0, norm)?;
        let weight = self.0.get(&format!("{layer}.weight"))?;
        let shape = weight.shape[..]
            .try_into()
            .ok()
            .context("BUG: a convolution weight has 4 dimensions")?;
        let channel_len = weight.values.len() / channels.0.len();
        let rows = weight.values.chunks_exact(channel_len).zip(&channels.0);
        let weight = rows
            .flat_map(|(row, channel)| row.iter().map(|value| value * channel.factor))
            .collect();
        Ok((Term { from, weight, shape, stride, padding }, channels.bias(self.0, layer)))
    }

    /// Returns the batch norm `norm` of the input as one affine map per channel.
    pub(crate) fn norm(self, norm: &str) -> Result<Vec<Affine>> {
        Ok(Channels::of(self.0, norm)?.0)
    }

    /// Returns the linear layer `layer`, with the batch norm `norm` folded in if there is one.
    pub(crate) fn linear(self, layer: &str, norm: Option<&str>, slope: f32) -> Result<Linear> {
        let weight = self.0.get(&format!("{layer}.weight"))?;
        let outputs = weight.shape[1];
        let channels = norm
            .map_or_else(|| Ok(Channels::unchanged(outputs)), |norm| Channels::of(self.0, norm))?;
        let rows = weight.values.chunks_exact(outputs);
        let scaled = rows.flat_map(|row| {
            row.iter().zip(&channels.0).map(|(value, channel)| value * channel.factor)
        });
        Ok(Linear { weight: scaled.collect(), bias: channels.bias(self.0, layer), slope })
    }
}

/// Affine map of a batch norm, by channel.
struct Channels(Vec<Affine>);

impl Channels {
    fn of(weights: &Weights, norm: &str) -> Result<Channels> {
        let part =
            |part: &str| Ok::<_, anyhow::Error>(&weights.get(&format!("{norm}.{part}"))?.values);
        let (weight, bias) = (part("weight")?, part("bias")?);
        let (mean, variance) = (part("running_mean")?, part("running_var")?);
        let channels = weight.iter().zip(bias).zip(mean.iter().zip(variance));
        let affine = |((weight, bias), (mean, variance)): ((&f32, &f32), (&f32, &f32))| {
            Affine::from_batch_norm([*weight, *bias, *mean, *variance], NORM_EPSILON)
        };
        Ok(Channels(channels.map(affine).collect()))
    }

    fn unchanged(count: usize) -> Channels {
        Channels(vec![Affine { factor: 1.0, shift: 0.0 }; count])
    }

    /// Returns the bias of `layer` (0 if it has none) after the batch norm.
    fn bias(&self, weights: &Weights, layer: &str) -> Vec<f32> {
        match weights.get(&format!("{layer}.bias")) {
            Err(_) => self.0.iter().map(|channel| channel.shift).collect(),
            Ok(bias) => bias
                .values
                .iter()
                .zip(&self.0)
                .map(|(bias, channel)| channel.apply(*bias))
                .collect(),
        }
    }
}
