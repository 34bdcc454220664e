//! The trials of a sweep: params, state, value and runs.

use serde::Serialize;

use crate::event::RunName;

/// A sweep and its trials.
#[derive(Debug, Serialize)]
pub struct SweepReport {
    pub run: RunName,
    pub name: Option<String>,
    pub state: &'static str,
    pub metric: Option<String>,
    /// The number of the best trial.
    pub best: Option<usize>,
    pub trials: Vec<TrialReport>,
}

/// A trial, with one run for each seed.
#[derive(Debug, Serialize)]
pub struct TrialReport {
    pub trial: usize,
    pub state: &'static str,
    /// The overrides of the trial.
    pub params: Vec<String>,
    /// The mean over the runs; `null` if one lacks it.
    pub value: Option<f64>,
    pub values: Vec<Option<f64>>,
    pub runs: Vec<RunName>,
}
