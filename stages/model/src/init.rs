//! Initial weights, with PyTorch's distributions.
//!
//! The numbers depend on the seed and the configuration only, not on the device.

use anyhow::Result;

use crate::config::NetworkConfig;
use crate::random::{Purpose, Random};
use crate::weights::Weights;

/// Returns the initial weights of a network.
///
/// Convolutions and linear layers: weights and biases uniform in ±1/√fan_in, which equals
/// `kaiming_uniform_` with a = √5 (He et al. 2015, and `torch/nn/modules/linear.py`).
/// Batch norms: weight 1, bias 0, mean 0, variance 1.
///
/// # Errors
/// The errors of [`NetworkConfig::tensors`].
pub fn initial_weights(config: &NetworkConfig, seed: u64) -> Result<Weights> {
    let tensors = config.tensors()?;
    let mut random = Random::new(seed, Purpose::Weights);
    let mut weights = Weights::default();
    for (name, shape) in &tensors {
        let count = shape.iter().product();
        let values = match fan_in(&tensors, name) {
            Some(fan_in) => uniform(&mut random, 1.0 / (fan_in as f32).sqrt(), count),
            None if name.ends_with(".weight") || name.ends_with(".running_var") => vec![1.0; count],
            None => vec![0.0; count],
        };
        weights.insert(name, shape.clone(), values);
    }
    Ok(weights)
}

/// Returns the number of inputs per output of this tensor's layer; `None` for a batch norm.
fn fan_in(tensors: &[(String, Vec<usize>)], name: &str) -> Option<usize> {
    let (layer, _) = name.rsplit_once('.')?;
    let weight = tensors.iter().find(|(name, _)| name.strip_prefix(layer) == Some(".weight"))?;
    match weight.1[..] {
        [_, channels, height, width] => Some(channels * height * width),
        [inputs, _] => Some(inputs),
        _ => None,
    }
}

fn uniform(random: &mut Random, bound: f32, count: usize) -> Vec<f32> {
    (0..count).map(|_| (2.0 * random.unit() - 1.0) * bound).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;

    fn config(model: Architecture, side: usize) -> NetworkConfig {
        NetworkConfig { model, input: [1, side, side], classes: 3, dropout: 0.5, statistics: false }
    }

    #[test]
    fn initial_weights_fill_pytorch_bounds() {
        let config = config(Architecture::Baseline, 20);
        let weights = initial_weights(&config, 7).unwrap();
        weights.check(&config).unwrap();
        let fan_ins =
            [("conv1", 25.0), ("conv2", 200.0), ("linear1", 144.0), ("linear2", 256.0f32)];
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
    fn initial_weights_depend_on_seed() {
        let config = config(Architecture::ResNet, 12);
        let of = |seed| initial_weights(&config, seed).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
