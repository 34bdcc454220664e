//! The report of `repro runs reproduce`: outs and metrics of a run beside those of its repetition.

use serde::Serialize;

use crate::engine::reproduce::{InputChange, MetricComparison, OutComparison, Sameness, Tolerance};
use crate::runs::RunName;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReproduceReport {
    pub run: RunName,
    /// The run that repeated it.
    pub reproduced_as: Option<RunName>,
    pub is_reproduced: bool,
    /// Stages whose inputs were not the same, with the reasons.
    pub inputs: Vec<InputChange>,
    pub outs: Vec<OutComparison>,
    pub metrics: Vec<MetricComparison>,
}

impl ReproduceReport {
    /// Decides whether the run was reproduced: by bytes and metrics, or by metrics within a
    /// tolerance.
    pub fn judge(&mut self, tolerance: Option<Tolerance>) {
        let metrics = self.metrics.iter().all(|metric| metric.result == Sameness::Same);
        let outs = self.outs.iter().all(|out| out.result == Sameness::Same);
        self.is_reproduced = metrics && (outs || tolerance.is_some());
    }
}
