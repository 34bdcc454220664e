//! Params of `evaluate`: the section `[params.evaluate]`.

use anyhow::{Result, ensure};
use model::device::DeviceChoice;
use serde::Deserialize;

/// Section `evaluate` of the params, with the pipeline's defaults.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct EvaluateParams {
    /// Number of bootstrap resamples for the confidence intervals.
    pub resamples: u64,
    /// Number of confidence bins for the calibration.
    pub bins: usize,
    /// Maximum number of clips per class in the gallery.
    pub gallery: usize,
    /// Device to compute on.
    pub device: DeviceChoice,
}

impl Default for EvaluateParams {
    fn default() -> Self {
        EvaluateParams { resamples: 1000, bins: 10, gallery: 4, device: DeviceChoice::Cpu }
    }
}

impl EvaluateParams {
    /// Checks the ranges of all params.
    ///
    /// # Errors
    /// Names the first param that is out of range, and its range.
    pub(crate) fn check(&self) -> Result<()> {
        let EvaluateParams { resamples, bins, gallery, device: _ } = *self;
        ensure!(
            (100..=1_000_000).contains(&resamples),
            "param `evaluate.resamples` must be from 100 to 1000000, not {resamples}"
        );
        ensure!(
            (2..=100).contains(&bins),
            "param `evaluate.bins` must be from 2 to 100, not {bins}"
        );
        ensure!(
            (1..=20).contains(&gallery),
            "param `evaluate.gallery` must be from 1 to 20, not {gallery}"
        );
        Ok(())
    }
}
