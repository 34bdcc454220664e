//! Options of a sweep besides its space.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::elsewhere::Sources;
use crate::engine::run::{Supply, Tracking};
use crate::error::Result;
use crate::pipeline::{Pipeline, StageSet};

/// Options of a sweep, as resolved from the command line.
pub struct Options<'a> {
    /// Selects the stages that a trial brings up to date.
    pub wanted: &'a (dyn Fn(&Pipeline) -> Result<StageSet> + Sync),
    /// Number of trials that run at once.
    pub jobs: usize,
    /// Number of processors that the stages of all trials may use at once.
    pub cpus: usize,
    pub on_failure: OnFailure,
    pub on_failed_before: OnFailedBefore,
    pub max_time: Option<Duration>,
    pub command: Vec<String>,
    /// Shows a message of the recorders.
    pub notify: fn(&str),
    /// See [`Tracking`].
    pub tracking: Arc<dyn Tracking>,
    /// See [`Supply`].
    pub supply: Arc<dyn Supply>,
    /// See [`Sources`].
    pub sources: Arc<dyn Sources>,
}

/// The reaction to a failed trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    Continue,
    Stop,
}

/// The treatment of trials that failed under an earlier command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailedBefore {
    Leave,
    Retry,
}

impl fmt::Debug for Options<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("jobs", &self.jobs).finish_non_exhaustive()
    }
}
