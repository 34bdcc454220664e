//! What a user can set under `[params.train]`.

use anyhow::{Result, ensure};
use model::config::Architecture;
use model::device::DeviceChoice;
use model::split::{Groups, Rule, SplitConfig};
use serde::Deserialize;

use crate::augment::AugmentParams;
use crate::schedule::Schedule;

/// The section `train` of the params, with the pipeline's defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TrainParams {
    /// Which network learns: `baseline` or `resnet`.
    pub model: Architecture,
    /// Passes over the training clips.
    pub epochs: u64,
    /// Clips a step of the optimizer learns from.
    pub batch_size: usize,
    /// The step size of AdamW.
    pub learning_rate: f64,
    /// The decoupled weight decay of AdamW, on all parameters.
    pub weight_decay: f64,
    /// The share of the hidden activations that are dropped.
    pub dropout: f64,
    /// Who decides which clips train: `stratified`, `fault_filtered` or a table.
    pub split: Rule,
    /// The share of each class that is held out to choose the best epoch.
    pub val_size: f64,
    /// Folds of a cross-validation; 0 for none.
    pub folds: usize,
    /// The fold that is tested, from 1.
    pub fold: usize,
    /// Which clips stay together: a pattern of file names, or a table.
    pub groups: Groups,
    /// The course of the learning rate.
    pub schedule: Schedule,
    /// Epochs in which the learning rate grows to its full size before.
    pub warmup_epochs: u64,
    /// The share of each target that goes to all classes alike.
    pub label_smoothing: f64,
    /// How much of the moving average of the weights a step keeps; 0: the weights themselves are kept.
    pub ema_decay: f64,
    /// Epochs without a better one after which training stops; 0: it does not.
    pub patience: usize,
    /// How clips are changed in every epoch.
    pub augment: AugmentParams,
    /// Where to compute.
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
    /// Whether one can train with these values.
    ///
    /// # Errors
    /// Names the first param that makes no sense, and what would.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.epochs >= 1, "param `train.epochs`: 0 epochs train nothing; 1 is the least");
        ensure!(
            self.batch_size >= 2,
            "param `train.batch_size`: {} is too small; batch normalisation needs 2 clips at least",
            self.batch_size
        );
        ensure!(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            "param `train.learning_rate`: {} is not a number above 0",
            self.learning_rate
        );
        ensure!(
            self.weight_decay.is_finite() && self.weight_decay >= 0.0,
            "param `train.weight_decay`: {} is not a number from 0 on",
            self.weight_decay
        );
        for (key, share) in [
            ("dropout", self.dropout),
            ("label_smoothing", self.label_smoothing),
            ("ema_decay", self.ema_decay),
        ] {
            ensure!(
                (0.0..1.0).contains(&share),
                "param `train.{key}`: {share} is not from 0 to 1, without 1"
            );
        }
        ensure!(
            self.warmup_epochs < self.epochs,
            "param `train.warmup_epochs`: {} leave none of `train.epochs`, {}, at the full learning rate: set \
             `train.warmup_epochs` below `train.epochs`",
            self.warmup_epochs,
            self.epochs
        );
        self.augment.check()?;
        self.split().check()
    }

    /// The params that say which clips train.
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
    fn values_that_make_no_sense_are_refused_by_name() {
        TrainParams::default().check().unwrap();
        let good = TrainParams::default;
        for (key, params) in [
            ("epochs", TrainParams { epochs: 0, ..good() }),
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
