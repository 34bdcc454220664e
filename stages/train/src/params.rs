//! The `[params.train]` section: values, defaults, checks.

use anyhow::{Result, ensure};
use model::config::Architecture;
use model::device::DeviceChoice;
use model::split::{Groups, Rule, SplitConfig};
use serde::Deserialize;

use crate::augment::AugmentParams;
use crate::schedule::Schedule;

/// The `train` section of the params, with the defaults of the `baseline` network.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainParams {
    /// Network to train: `baseline` or `resnet`.
    pub model: Architecture,
    /// Passes over the training clips; 0 chooses by their number, see [`crate::length`].
    pub epochs: u64,
    /// Clips per optimizer step.
    pub batch_size: usize,
    /// Learning rate of AdamW.
    pub learning_rate: f64,
    /// Decoupled weight decay of AdamW, applied to all parameters.
    pub weight_decay: f64,
    /// Dropout probability of the hidden activations.
    pub dropout: f64,
    /// Adds the logits of a classifier of statistics over time, see [`crate::statistics`].
    pub statistics: bool,
    /// Split rule: `stratified`, `fault_filtered` or a table.
    pub split: Rule,
    /// Share of each class held out to choose the best epoch.
    pub val_size: f64,
    /// Number of cross-validation folds; 0 turns it off.
    pub folds: usize,
    /// Fold to test on, counted from 1.
    pub fold: usize,
    /// Clips that must stay together: a file name pattern or a table.
    pub groups: Groups,
    /// Learning rate schedule after the warm-up.
    pub schedule: Schedule,
    /// Epochs in which the learning rate rises to its full value.
    pub warmup_epochs: u64,
    /// Share of each target that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Decay of the moving average of the weights per step; 0 keeps the weights themselves.
    pub ema_decay: f64,
    /// Epochs without improvement after which training stops; 0 never stops early.
    pub patience: usize,
    /// Data augmentation.
    pub augment: AugmentParams,
    /// Compute device.
    pub device: DeviceChoice,
}

impl Default for TrainParams {
    fn default() -> Self {
        TrainParams {
            model: Architecture::Baseline,
            epochs: 10,
            batch_size: 4,
            learning_rate: 2e-4,
            weight_decay: 0.01,
            dropout: 0.5,
            statistics: false,
            split: Rule::Stratified,
            val_size: 0.4,
            folds: 0,
            fold: 1,
            groups: Groups::EachClip,
            schedule: Schedule::Constant,
            warmup_epochs: 0,
            label_smoothing: 0.0,
            ema_decay: 0.0,
            patience: 0,
            augment: AugmentParams::default(),
            device: DeviceChoice::Cpu,
        }
    }
}

impl TrainParams {
    /// Checks that the values are valid.
    ///
    /// # Errors
    /// Names the first invalid param and the range it must be in.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.batch_size >= 2,
            "param `train.batch_size` must be at least 2, for batch normalisation, not {}",
            self.batch_size
        );
        ensure!(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            "param `train.learning_rate` must be a number above 0, not {}",
            self.learning_rate
        );
        ensure!(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "param `train.weight_decay` must be a number of at least 0, not {}",
            self.weight_decay
        );
        for (key, share) in [
            ("dropout", self.dropout),
            ("label_smoothing", self.label_smoothing),
            ("ema_decay", self.ema_decay),
        ] {
            ensure!(
                (0.0..1.0).contains(&share),
                "param `train.{key}` must be at least 0 and below 1, not {share}"
            );
        }
        ensure!(
            self.epochs == 0 || self.warmup_epochs < self.epochs,
            "param `train.warmup_epochs` must be below `train.epochs`, {}, not {}: \
             otherwise no epoch has the full learning rate",
            self.epochs,
            self.warmup_epochs
        );
        self.augment.check()?;
        self.split().check()
    }

    /// Returns the params of the train/validation/test split.
    pub(crate) fn split(&self) -> SplitConfig {
        SplitConfig {
            rule: self.split.clone(),
            val_size: self.val_size,
            folds: self.folds,
            fold: self.fold,
            groups: self.groups.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_params_are_named() {
        TrainParams::default().check().unwrap();
        let good = TrainParams::default;
        for (key, params) in [
            ("batch_size", TrainParams { batch_size: 0, ..good() }),
            ("batch_size", TrainParams { batch_size: 1, ..good() }),
            ("learning_rate", TrainParams { learning_rate: 0.0, ..good() }),
            ("learning_rate", TrainParams { learning_rate: f64::NAN, ..good() }),
            ("learning_rate", TrainParams { learning_rate: f64::INFINITY, ..good() }),
            ("weight_decay", TrainParams { weight_decay: -0.1, ..good() }),
            ("dropout", TrainParams { dropout: 1.0, ..good() }),
            ("label_smoothing", TrainParams { label_smoothing: 1.0, ..good() }),
            ("ema_decay", TrainParams { ema_decay: f64::NAN, ..good() }),
            ("warmup_epochs", TrainParams { warmup_epochs: 10, ..good() }),
            (
                "augment.mixup",
                TrainParams {
                    augment: AugmentParams { mixup: 9.0, ..Default::default() },
                    ..good()
                },
            ),
            ("val_size", TrainParams { val_size: 1.0, ..good() }),
            ("val_size", TrainParams { val_size: -0.1, ..good() }),
        ] {
            let error = params.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("param `train.{key}`")), "{error}");
        }
    }
}
