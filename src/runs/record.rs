//! Records of runs as values. Does not know about the database.

use std::collections::BTreeMap;

use crate::event::{Failure, Millis, RunInfo, RunName, StageInputs, Timestamp, Usage};
use crate::number::Number;
use crate::pipeline::StageName;

/// A recorded run without its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub name: RunName,
    pub state: RunState,
    pub started: Timestamp,
    /// `started` in the time zone of this machine: `2026-05-09 14:03:22`.
    pub started_local: String,
    /// `None` while the run is running, and if its process died.
    pub took: Option<Millis>,
    pub info: RunInfo,
    pub lifecycle: Lifecycle,
    pub note: Option<String>,
    pub tags: BTreeMap<String, String>,
    /// Stages in the order in which the run reached them.
    pub stages: Vec<StageRecord>,
    /// By stage, then key.
    pub metrics: Metrics,
    pub artifacts: Vec<Artifact>,
}

/// Tells deleted runs, which lists leave out, from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    Active,
    Deleted,
}

impl Lifecycle {
    /// Returns the lifecycle as it is stored and displayed.
    pub fn word(self) -> &'static str {
        match self {
            Lifecycle::Active => "active",
            Lifecycle::Deleted => "deleted",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Lifecycle> {
        [Lifecycle::Active, Lifecycle::Deleted].into_iter().find(|one| one.word() == word)
    }
}

/// State of a recorded run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// To be started later, as a client of MLflow said.
    Scheduled,
    Running,
    Ok,
    Failed,
    /// Interrupted by the user, or its process died.
    Interrupted,
}

impl RunState {
    /// Returns the state as it is stored and displayed.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Scheduled => "scheduled",
            RunState::Running => "running",
            RunState::Ok => "ok",
            RunState::Failed => "failed",
            RunState::Interrupted => "interrupted",
        }
    }

    pub(super) fn parse(word: &str) -> Option<RunState> {
        use RunState::{Failed, Interrupted, Ok, Running, Scheduled};
        let all = [Scheduled, Running, Ok, Failed, Interrupted];
        all.into_iter().find(|state| state.word() == word)
    }

    /// Reports whether the run has ended, so that its record is complete.
    pub fn is_final(self) -> bool {
        !matches!(self, RunState::Scheduled | RunState::Running)
    }
}

/// Record of a stage in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    pub stage: StageName,
    pub state: StageState,
    pub started: Option<Timestamp>,
    pub took: Option<Millis>,
    /// The first hundred reasons, one line each.
    pub reasons: Vec<String>,
    /// Number of all reasons.
    pub reason_count: usize,
    /// `None` if no process ran.
    pub usage: Option<Usage>,
    /// Values of secret variables are recorded as digests.
    pub inputs: StageInputs,
}

/// State of a stage in a recorded run.
#[derive(Debug, Clone, PartialEq)]
pub enum StageState {
    Running,
    Fresh,
    Restored {
        /// Name of the remote that the outs are from.
        from: Option<String>,
    },
    Ran,
    Failed(Failure),
    /// Ran, but a dep changed meanwhile.
    Unrecorded(Failure),
    Skipped {
        because: Option<StageName>,
    },
    Interrupted,
    /// Accepted by the user as up to date, for this reason.
    Accepted {
        reason: String,
    },
}

impl StageState {
    /// Returns the word of JSON and the database; displays show `fresh` as "up to date".
    pub fn word(&self) -> &'static str {
        match self {
            StageState::Running => "running",
            StageState::Fresh => "fresh",
            StageState::Restored { .. } => "restored",
            StageState::Ran => "ran",
            StageState::Failed(_) => "failed",
            StageState::Unrecorded(_) => "unrecorded",
            StageState::Skipped { .. } => "skipped",
            StageState::Interrupted => "interrupted",
            StageState::Accepted { .. } => "accepted",
        }
    }
}

/// Durations of the stages when they last ran and when they were last restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastTimes {
    pub ran: BTreeMap<StageName, Millis>,
    pub restored: BTreeMap<StageName, Millis>,
}

/// An out of a stage, or a file that its process reported as an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub stage: StageName,
    pub path: String,
    /// Kind (`file`, `exec`, `tree` or `link`) and hexadecimal digest; `None` if unknown.
    pub content: Option<(String, String)>,
    pub origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Out,
    /// Reported by the process of the stage, and not an out.
    Reported,
}

/// Final metrics by stage and key.
pub type Metrics = BTreeMap<(StageName, String), Number>;

/// A series without its points, which are [streamed](super::Store::points): there may be millions.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// [`StageName::outside`] if another program logged it for the run as a whole.
    pub stage: StageName,
    pub key: String,
    /// Number of points.
    pub count: u64,
    /// The point with the greatest step; of several, the one with the latest time; of several, the
    /// greatest, where NaN counts as 0.
    pub last: StepValue,
    /// The lowest value, with the first step that has it; `None` if all values are NaN.
    pub min: Option<StepValue>,
    /// The highest value, with the first step that has it; `None` if all values are NaN.
    pub max: Option<StepValue>,
}

/// A value of a series and its step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepValue {
    pub step: i64,
    pub value: Number,
}

/// A point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Negative only if another program logged it.
    pub step: i64,
    pub value: Number,
    pub at: Timestamp,
}
