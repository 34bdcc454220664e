//! What a user can set under `[params.evaluate]`.

use anyhow::{Result, ensure};
use model::device::DeviceChoice;
use serde::Deserialize;

/// The section `evaluate` of the params, with the pipeline's defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EvaluateParams {
    /// How often the clips are drawn anew for the confidence intervals.
    pub resamples: u64,
    /// Into how many equal parts the probabilities are cut for the calibration.
    pub bins: usize,
    /// The most clips of each class in the gallery.
    pub gallery: usize,
    /// Where to compute.
    pub device: DeviceChoice,
}

impl Default for EvaluateParams {
    fn default() -> Self {
        EvaluateParams { resamples: 1000, bins: 10, gallery: 4, device: DeviceChoice::Cpu }
    }
}

impl EvaluateParams {
    /// # Errors
    /// Names the first param that makes no sense, and what would.
    pub(crate) fn check(&self) -> Result<()> {
        let EvaluateParams { resamples, bins, gallery, device: _ } = *self;
        ensure!(
            (100..=1_000_000).contains(&resamples),
            "param `evaluate.resamples`: {resamples} is not from 100 to 1000000"
        );
        ensure!((2..=100).contains(&bins), "param `evaluate.bins`: {bins} is not from 2 to 100");
        ensure!(
            (1..=20).contains(&gallery),
            "param `evaluate.gallery`: {gallery} is not from 1 to 20"
        );
        Ok(())
    }
}
