//! Options of a run.

use std::collections::BTreeMap;

use crate::engine::OnForeign;
use crate::engine::saved_git::SavedGit;
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
    pub role: Role,
    /// Git state of the files, if they are not those of the main project as they are now.
    pub git: Option<SavedGit>,
}

/// Tag of a run that repeats another one; its value is the identity of that run.
pub(super) const REPRODUCES: &str = "reproduces";

/// Relation of a run to another one.
#[derive(Debug, Clone)]
pub enum Role {
    Ordinary,
    Trial(TrialOf),
    /// Repeats the run with this identity.
    Repetition(RunUid),
}

/// Place of a trial in its sweep.
#[derive(Debug, Clone)]
pub struct TrialOf {
    pub parent: RunUid,
    pub tags: BTreeMap<String, String>,
}
