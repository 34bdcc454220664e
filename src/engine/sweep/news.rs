//! Messages from the threads of the trials to the driver.

use crate::error::Result;
use crate::event::{Event, Failure, RunName, RunStatus, TrialName};
use crate::filter::MetricName;

/// A message to the driver.
#[derive(Debug)]
pub(super) enum News {
    Event(TrialName, Box<Event>),
    Warning(String),
    Ended(TrialName, Result<Ended>),
    Signal,
}

/// The end of a trial's run.
#[derive(Debug)]
pub(super) struct Ended {
    pub run: Option<RunName>,
    pub status: RunStatus,
    /// The final metrics.
    pub metrics: Vec<(MetricName, f64)>,
    /// The first failed stage.
    pub failed: Option<(String, Failure)>,
}
