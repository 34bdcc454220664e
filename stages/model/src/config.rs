//! The shape of the network as a value: what it takes, what it gives and what lies between.
//!
//! Knows nothing about tensors: it only counts.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The side of both convolutions' kernels.
pub const KERNEL: usize = 5;
/// The zeros around the input of the first convolution; the second has none.
pub const PADDING: usize = 2;
/// The side and the stride of both max-pools.
pub const POOL: usize = 2;
/// The channels after the first and after the second convolution.
pub const CHANNELS: [usize; 2] = [8, 16];
/// The width of the hidden linear layer.
pub const HIDDEN: usize = 256;
/// The slope of the leaky ReLU below zero.
pub const LEAKY_SLOPE: f64 = 0.01;
/// What batch normalisation adds to a variance before its root, as in PyTorch.
pub const NORM_EPSILON: f64 = 1e-5;

/// What a network of this crate is built from. The layers are in [`crate::network`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Channels, height and width of one input.
    pub input: [usize; 3],
    /// How many classes there are; one logit each.
    pub classes: usize,
    /// The share of the hidden activations that training drops, 0 to 1 without 1.
    pub dropout: f64,
}

impl NetworkConfig {
    /// The lengths after the convolutions and pools: channels, height and width of what is flattened.
    ///
    /// # Errors
    /// An input that is too small for the two convolutions and pools, or no channel at all.
    pub fn pooled(&self) -> Result<[usize; 3]> {
        let [channels, height, width] = self.input;
        let side = |length: usize| {
            let first = (length + 2 * PADDING).checked_sub(KERNEL - 1)? / POOL;
            Some(first.checked_sub(KERNEL - 1)? / POOL).filter(|side| *side > 0)
        };
        match (side(height), side(width)) {
            (Some(height), Some(width)) if channels > 0 => Ok([CHANNELS[1], height, width]),
            _ => anyhow::bail!(
                "an input of {channels}×{height}×{width} is too small for the network, which needs \
                 1×12×12 at least: raise `spectrogram.size`"
            ),
        }
    }

    /// How many values one clip has after flattening: the inputs of the first linear layer.
    ///
    /// # Errors
    /// As [`NetworkConfig::pooled`].
    pub fn flat_features(&self) -> Result<usize> {
        Ok(self.pooled()?.iter().product())
    }

    /// The shape of every tensor that a network of this configuration is made of, by name.
    /// Names, shapes and order are PyTorch's, save that a linear weight is `[inputs, outputs]`.
    ///
    /// # Errors
    /// An input that is too small; fewer than two classes; a dropout that is not from 0 to 1, without 1.
    pub fn tensors(&self) -> Result<Vec<(&'static str, Vec<usize>)>> {
        let flat = self.flat_features()?;
        let (classes, [one, two]) = (self.classes, CHANNELS);
        ensure!(classes >= 2, "a classifier needs at least two classes, but there is {classes}");
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "param `train.dropout`: {} is not from 0 to 1, without 1",
            self.dropout
        );
        Ok(vec![
            ("conv1.weight", vec![one, self.input[0], KERNEL, KERNEL]),
            ("conv1.bias", vec![one]),
            ("norm1.weight", vec![one]),
            ("norm1.bias", vec![one]),
            ("norm1.running_mean", vec![one]),
            ("norm1.running_var", vec![one]),
            ("conv2.weight", vec![two, one, KERNEL, KERNEL]),
            ("conv2.bias", vec![two]),
            ("norm2.weight", vec![two]),
            ("norm2.bias", vec![two]),
            ("norm2.running_mean", vec![two]),
            ("norm2.running_var", vec![two]),
            ("linear1.weight", vec![flat, HIDDEN]),
            ("linear1.bias", vec![HIDDEN]),
            ("norm3.weight", vec![HIDDEN]),
            ("norm3.bias", vec![HIDDEN]),
            ("norm3.running_mean", vec![HIDDEN]),
            ("norm3.running_var", vec![HIDDEN]),
            ("linear2.weight", vec![HIDDEN, classes]),
            ("linear2.bias", vec![classes]),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(height: usize, width: usize) -> NetworkConfig {
        NetworkConfig { input: [1, height, width], classes: 10, dropout: 0.5 }
    }

    #[test]
    fn sizes_after_the_convolutions() {
        for (height, width, flat) in
            [(100, 100, 16 * 23 * 23), (12, 12, 16), (13, 40, 16 * 8), (513, 431, 16 * 126 * 105)]
        {
            assert_eq!(config(height, width).flat_features().unwrap(), flat, "{height}×{width}");
        }
        for (height, width) in [(11, 100), (100, 11), (0, 0), (4, 4), (1, 1)] {
            let error = config(height, width).flat_features().unwrap_err().to_string();
            assert!(error.contains("too small"), "{height}×{width}: {error}");
        }
    }

    #[test]
    fn the_network_has_the_parameters_of_the_original() {
        let trained: usize = config(100, 100)
            .tensors()
            .unwrap()
            .iter()
            .filter(|(name, _)| !name.contains("running"))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        // conv 208 + 3216, norms 16 + 32 + 512, linear 2 167 040 + 2570.
        assert_eq!(trained, 2_173_594);
    }

    #[test]
    fn impossible_configurations_are_refused() {
        assert!(NetworkConfig { classes: 1, ..config(100, 100) }.tensors().is_err());
        for dropout in [-0.1, 1.0, f64::NAN] {
            assert!(NetworkConfig { dropout, ..config(100, 100) }.tensors().is_err());
        }
    }
}
