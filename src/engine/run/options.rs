//! Options of a run.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::supply::Supply;
use crate::engine::OnForeign;
use crate::engine::elsewhere::{Sources, Wish};
use crate::engine::saved_git::SavedGit;
use crate::error::{Error, Result};
use crate::event::RunUid;
use crate::pipeline::{StageName, StageSet};
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
    pub tracking: Arc<dyn Tracking>,
    pub supply: Arc<dyn Supply>,
    /// Fetches what stages with an origin need.
    pub sources: Arc<dyn Sources>,
    pub origins: Wish,
}

/// Connects commands with a server that accepts what they log, for stages that declare `mlflow`.
/// The engine does not know the server, nor what is logged there.
pub trait Tracking: fmt::Debug + Send + Sync {
    /// Returns the environment variables by which the command of a stage finds its run. They are
    /// not part of the fingerprint. Called by several threads, each time a command starts.
    ///
    /// # Errors
    /// The server cannot be started; the stage then fails.
    fn environment(&self, run: RunUid, stage: &StageName) -> Result<Vec<(String, String)>>;
}

/// Refuses commands that want a server.
#[derive(Debug)]
pub struct NoTracking;

impl Tracking for NoTracking {
    fn environment(&self, _: RunUid, _: &StageName) -> Result<Vec<(String, String)>> {
        Err(Error::usage("its `mlflow` needs a server, which this `repro` was built without")
            .hint("build `repro` with the feature `ui`, or remove `mlflow`"))
    }
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
