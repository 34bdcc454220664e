//! Options of a run.

use std::collections::BTreeMap;

use crate::engine::OnForeign;
use crate::event::RunUid;
use crate::pipeline::StageSet;
use crate::schedule::OnFailure;

/// Options of a run, as resolved from the command line.
#[derive(Debug)]
pub struct Options {
    /// The stages to bring up to date.
    pub wanted: StageSet,
    /// The stages to run even if they are up to date.
    pub forced: StageSet,
    /// Number of processors that stages may use at once.
    pub cpus: usize,
    pub on_failure: OnFailure,
    pub on_foreign: OnForeign,
    /// The command line, for the record, and the `key=value` overrides in it.
    pub command: Vec<String>,
    pub overrides: Vec<String>,
    /// The sweep that the run is a trial of.
    pub trial: Option<TrialOf>,
}

/// Place of a trial in its sweep.
#[derive(Debug, Clone)]
pub struct TrialOf {
    pub parent: RunUid,
    pub tags: BTreeMap<String, String>,
}
