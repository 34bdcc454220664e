//! The weights a network begins with, as PyTorch draws them.
//!
//! Knows nothing about devices: the numbers depend on the seed and the configuration alone.

use anyhow::Result;

use crate::config::{CHANNELS, HIDDEN, KERNEL, NetworkConfig};
use crate::random::{Purpose, Random};
use crate::weights::Weights;

/// The first weights of a network.
///
/// Convolutions and linear layers: weights and biases uniform in ±1/√fan_in, which is what
/// `kaiming_uniform_` with a = √5 comes to (He et al. 2015, and `torch/nn/modules/linear.py`).
/// Batch normalisation: weight 1, bias 0, mean 0, variance 1.
///
/// # Errors
/// As [`NetworkConfig::tensors`].
pub fn initial_weights(config: &NetworkConfig, seed: u64) -> Result<Weights> {
    let flat = config.flat_features()?;
    let mut random = Random::new(seed, Purpose::Weights);
    let mut weights = Weights::default();
    for (name, shape) in config.tensors()? {
        let count = shape.iter().product();
        let fan_in = match name.split('.').next() {
            Some("conv1") => Some(config.input[0] * KERNEL * KERNEL),
            Some("conv2") => Some(CHANNELS[0] * KERNEL * KERNEL),
            Some("linear1") => Some(flat),
            Some("linear2") => Some(HIDDEN),
            _ => None,
        };
        let values = match fan_in {
            Some(fan_in) => uniform(&mut random, 1.0 / (fan_in as f32).sqrt(), count),
            None if name.ends_with(".weight") || name.ends_with(".running_var") => vec![1.0; count],
            None => vec![0.0; count],
        };
        weights.insert(name, shape, values);
    }
    Ok(weights)
}

fn uniform(random: &mut Random, bound: f32, count: usize) -> Vec<f32> {
    (0..count).map(|_| (2.0 * random.unit() - 1.0) * bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fill_the_bounds_of_pytorch() {
        let config = NetworkConfig { input: [1, 20, 20], classes: 3, dropout: 0.5 };
        let weights = initial_weights(&config, 7).unwrap();
        weights.check(&config).unwrap();
        let fan_ins = [("conv1", 25.0), ("conv2", 200.0), ("linear1", 144.0), ("linear2", 256.0f32)];
        for (layer, fan_in) in fan_ins {
            let bound = 1.0 / fan_in.sqrt();
            for part in ["weight", "bias"] {
                let values = &weights.get(&format!("{layer}.{part}")).unwrap().values;
                assert!(values.iter().all(|value| value.abs() <= bound), "{layer}.{part}");
            }
            let values = &weights.get(&format!("{layer}.weight")).unwrap().values;
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            assert!(largest > 0.9 * bound, "{layer}: {largest} of {bound}");
        }
        assert!(weights.get("norm2.running_var").unwrap().values.iter().all(|value| *value == 1.0));
        assert!(weights.get("norm2.bias").unwrap().values.iter().all(|value| *value == 0.0));
    }

    #[test]
    fn the_seed_decides() {
        let config = NetworkConfig { input: [1, 12, 12], classes: 2, dropout: 0.0 };
        let of = |seed| initial_weights(&config, seed).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
