//! Network configuration: architecture, input and output sizes, and the shapes of all tensors.

use anyhow::{Result, ensure};
use inference::statistics;
use serde::{Deserialize, Serialize};

/// Kernel size of both baseline convolutions.
pub const KERNEL: usize = 5;
/// Zero padding of the first baseline convolution; the second has none.
pub const PADDING: usize = 2;
/// Size and stride of both baseline max-pools.
pub const POOL: usize = 2;
/// Output channels of the two baseline convolutions.
pub const CHANNELS: [usize; 2] = [8, 16];
/// Width of the hidden linear layer of the baseline.
pub const HIDDEN: usize = 256;
/// Slope of the leaky ReLU below zero.
pub const LEAKY_SLOPE: f64 = 0.01;
/// Output channels of the stem and of each block of the residual network.
pub const RESNET_CHANNELS: [usize; 4] = [16, 32, 64, 128];
/// Kernel size of the residual network, except for the 1×1 shortcuts.
pub const RESNET_KERNEL: usize = 3;
/// Layer that normalises the statistics of a clip.
pub const STATISTICS_NORM: &str = "statistics.norm";
/// Layer that classifies the normalised statistics.
pub const STATISTICS_LINEAR: &str = "statistics.linear";
/// ε that batch norm adds to the variance, as in PyTorch.
pub const NORM_EPSILON: f64 = 1e-5;

/// Network architecture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// The original network: two convolutions and two linear layers.
    #[default]
    Baseline,
    /// A small residual network for inputs of any width.
    ResNet,
}

/// Configuration from which a network is built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Architecture; older files lack the field and mean the baseline.
    #[serde(default)]
    pub model: Architecture,
    /// Channels, height and width of one input; the residual network accepts any width.
    pub input: [usize; 3],
    /// Number of classes, with one logit each.
    pub classes: usize,
    /// Dropout probability of the hidden activations in training, in [0, 1).
    pub dropout: f64,
    /// Adds the logits of a linear classifier of statistics over time; older files lack the field
    /// and mean `false`.
    #[serde(default)]
    pub statistics: bool,
}

impl NetworkConfig {
    /// Returns channels, height and width after the baseline's convolutions and pools, before
    /// flattening.
    ///
    /// # Errors
    /// The input is too small for the convolutions and pools, or has no channels.
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
                 at least 1×12×12: raise `spectrogram.size`"
            ),
        }
    }

    /// Reports whether the network accepts clips of these channels, height and width.
    pub(crate) fn accepts(&self, clip: [usize; 3]) -> bool {
        match self.model {
            Architecture::Baseline => clip == self.input,
            Architecture::ResNet => clip[0] == self.input[0] && !clip.contains(&0),
        }
    }

    /// Returns the number of inputs of the last layer, to which dropout applies.
    pub fn hidden(&self) -> usize {
        match self.model {
            Architecture::Baseline => HIDDEN,
            Architecture::ResNet => RESNET_CHANNELS[RESNET_CHANNELS.len() - 1],
        }
    }

    /// Returns the name and shape of each tensor of the network.
    ///
    /// The baseline has PyTorch's names, shapes and order, except that a linear weight is
    /// `[inputs, outputs]`.
    ///
    /// # Errors
    /// The input is too small, there are fewer than two classes, or dropout is not in [0, 1).
    pub fn tensors(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let classes = self.classes;
        ensure!(classes >= 2, "a classifier needs at least 2 classes, found {classes}");
        ensure!(
            (0.0..1.0).contains(&self.dropout),
            "param `train.dropout` must be at least 0 and below 1, not {}",
            self.dropout
        );
        let mut list = match self.model {
            Architecture::Baseline => self.baseline_tensors(),
            Architecture::ResNet => self.resnet_tensors(),
        }?;
        if self.statistics {
            let count = statistics::count([self.input[0], self.input[1]]);
            let mut more = TensorList::default();
            more.norm(STATISTICS_NORM, count).linear(STATISTICS_LINEAR, count, classes);
            list.extend(more.0);
        }
        Ok(list)
    }

    fn baseline_tensors(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let flat = self.pooled()?.iter().product();
        let [one, two] = CHANNELS;
        let mut list = TensorList::default();
        list.convolution("conv1", [one, self.input[0]], KERNEL)
            .bias("conv1", one)
            .norm("norm1", one);
        list.convolution("conv2", [two, one], KERNEL).bias("conv2", two).norm("norm2", two);
        list.linear("linear1", flat, HIDDEN).norm("norm3", HIDDEN);
        list.linear("linear2", HIDDEN, self.classes);
        Ok(list.0)
    }

    fn resnet_tensors(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let [channels, height, width] = self.input;
        ensure!(
            channels * height * width > 0,
            "an input of {channels}×{height}×{width} is empty: raise `spectrogram.seconds`"
        );
        let [stem, .., last] = RESNET_CHANNELS;
        let mut list = TensorList::default();
        list.norm("input_norm", channels);
        list.convolution("stem.conv", [stem, channels], RESNET_KERNEL).norm("stem.norm", stem);
        for (pair, number) in RESNET_CHANNELS.windows(2).zip(1..) {
            let (before, after) = (pair[0], pair[1]);
            for (part, channels, side) in [
                ("first", before, RESNET_KERNEL),
                ("second", after, RESNET_KERNEL),
                ("shortcut", before, 1),
            ] {
                let name = format!("block{number}.{part}");
                list.convolution(&format!("{name}.conv"), [after, channels], side);
                list.norm(&format!("{name}.norm"), after);
            }
        }
        list.linear("linear", last, self.classes);
        Ok(list.0)
    }
}

/// Builder of a list of tensor names and shapes.
#[derive(Default)]
struct TensorList(Vec<(String, Vec<usize>)>);

impl TensorList {
    fn convolution(
        &mut self,
        layer: &str,
        [out, channels]: [usize; 2],
        side: usize,
    ) -> &mut TensorList {
        self.add(layer, "weight", &[out, channels, side, side])
    }

    fn bias(&mut self, layer: &str, length: usize) -> &mut TensorList {
        self.add(layer, "bias", &[length])
    }

    fn norm(&mut self, layer: &str, channels: usize) -> &mut TensorList {
        self.add(layer, "weight", &[channels]).add(layer, "bias", &[channels]);
        self.add(layer, "running_mean", &[channels]).add(layer, "running_var", &[channels])
    }

    fn linear(&mut self, layer: &str, inputs: usize, outputs: usize) -> &mut TensorList {
        self.add(layer, "weight", &[inputs, outputs]).bias(layer, outputs)
    }

    fn add(&mut self, layer: &str, part: &str, shape: &[usize]) -> &mut TensorList {
        self.0.push((format!("{layer}.{part}"), shape.to_vec()));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(height: usize, width: usize) -> NetworkConfig {
        NetworkConfig {
            model: Architecture::Baseline,
            input: [1, height, width],
            classes: 10,
            dropout: 0.5,
            statistics: false,
        }
    }

    #[test]
    fn pooled_sizes() {
        for (height, width, flat) in
            [(100, 100, 16 * 23 * 23), (12, 12, 16), (13, 40, 16 * 8), (513, 431, 16 * 126 * 105)]
        {
            let pooled = config(height, width).pooled().unwrap();
            assert_eq!(pooled.iter().product::<usize>(), flat, "{height}×{width}");
        }
        for (height, width) in [(11, 100), (100, 11), (0, 0), (4, 4), (1, 1)] {
            let error = config(height, width).pooled().unwrap_err().to_string();
            assert!(error.contains("too small"), "{height}×{width}: {error}");
        }
    }

    #[test]
    fn parameter_counts() {
        let trained = |model| -> usize {
            let tensors = NetworkConfig { model, ..config(100, 100) }.tensors().unwrap();
            let trained = tensors.iter().filter(|(name, _)| !name.contains("running"));
            trained.map(|(_, shape)| shape.iter().product::<usize>()).sum()
        };
        // conv 208 + 3216, norms 16 + 32 + 512, linear 2 167 040 + 2570.
        assert_eq!(trained(Architecture::Baseline), 2_173_594);
        // Norm 2, stem 144 + 32, blocks 14 528 + 57 728 + 230 144 (three convolutions and three
        // batch norms each), linear 1290. PyTorch has the same count.
        assert_eq!(trained(Architecture::ResNet), 303_868);
    }

    #[test]
    fn tensors_of_statistics_come_last() {
        let without = NetworkConfig { model: Architecture::ResNet, ..config(64, 128) };
        let with = NetworkConfig { statistics: true, ..without.clone() }.tensors().unwrap();
        let (first, last) = with.split_at(with.len() - 6);
        assert_eq!(first, without.tensors().unwrap());
        // 64 means, 63 steps, and 6 scales of 64 changes.
        let shapes: Vec<&[usize]> = last.iter().map(|(_, shape)| &shape[..]).collect();
        assert_eq!(shapes, [&[511][..], &[511], &[511], &[511], &[511, 10], &[10]]);
    }

    #[test]
    fn missing_architecture_means_baseline() {
        let read: NetworkConfig =
            serde_json::from_str(r#"{"input":[1,100,100],"classes":10,"dropout":0.5}"#).unwrap();
        assert_eq!(read, config(100, 100));
        let residual = NetworkConfig { model: Architecture::ResNet, ..read };
        let text = serde_json::to_string(&residual).unwrap();
        assert!(text.starts_with(r#"{"model":"resnet","#), "{text}");
    }

    #[test]
    fn invalid_configurations_are_errors() {
        assert!(NetworkConfig { classes: 1, ..config(100, 100) }.tensors().is_err());
        for dropout in [-0.1, 1.0, f64::NAN] {
            assert!(NetworkConfig { dropout, ..config(100, 100) }.tensors().is_err());
        }
        let empty = NetworkConfig { model: Architecture::ResNet, ..config(64, 0) };
        assert!(empty.tensors().unwrap_err().to_string().contains("64×0 is empty"));
    }
}
