//! Events of a sweep. The engine sends them; the terminal and JSON lines subscribe.

use serde::Serialize;

use super::{Event, Failure, Millis, RunName, RunStatus, Timestamp};

/// Something that happened in a sweep. Its JSON form is a line of `repro sweep --json`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum SweepEvent {
    SweepStarted {
        run: RunName,
        at: Timestamp,
        /// Number of trials that will exist, if it is known.
        trials: Option<usize>,
        /// Number of trials that earlier commands have finished.
        finished: usize,
        /// The metric that is optimized.
        #[serde(skip_serializing_if = "Option::is_none")]
        metric: Option<String>,
    },
    TrialStarted {
        #[serde(flatten)]
        trial: TrialName,
        at: Timestamp,
        /// The overrides of this trial.
        params: Vec<String>,
    },
    /// An event of a trial's run.
    #[serde(rename = "trial")]
    OfTrial {
        #[serde(flatten)]
        trial: TrialName,
        of: Box<Event>,
    },
    TrialEnded {
        #[serde(flatten)]
        trial: TrialName,
        at: Timestamp,
        run: Option<RunName>,
        took: Millis,
        #[serde(flatten)]
        end: TrialEnd,
    },
    Warning {
        text: String,
    },
    Stopping,
    SweepEnded {
        run: RunName,
        at: Timestamp,
        status: RunStatus,
        took: Millis,
        /// The reason that the sweep ended before all trials.
        #[serde(skip_serializing_if = "Option::is_none")]
        stopped: Option<String>,
        /// The best of the trials that came to their end.
        #[serde(skip_serializing_if = "Option::is_none")]
        best: Option<BestTrial>,
    },
}

/// The best trial of a sweep by its metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BestTrial {
    pub trial: usize,
    pub value: Option<f64>,
    /// Its overrides.
    pub params: Vec<String>,
    /// One for each seed.
    pub runs: Vec<RunName>,
}

/// The number of a trial in its sweep, and that of a repeat with another seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TrialName {
    pub trial: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<usize>,
}

/// The end of a trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum TrialEnd {
    Ok {
        /// The value of the metric.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
    },
    /// Ended early, because others were better.
    Halved {
        /// The last value of the metric, or without one of that of `--halving`.
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<f64>,
        /// Number of values that it had reported.
        after: usize,
    },
    Failed {
        /// The stage that failed, if one did.
        #[serde(skip_serializing_if = "Option::is_none")]
        stage: Option<String>,
        failure: Failure,
    },
    Interrupted,
}

impl std::fmt::Display for TrialName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.repeat {
            None => write!(f, "trial {}", self.trial),
            Some(repeat) => write!(f, "trial {}.{repeat}", self.trial),
        }
    }
}

/// Receives the events of a sweep in order.
pub trait SweepSubscriber {
    fn on_event(&mut self, event: &SweepEvent);
}
