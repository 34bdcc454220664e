//! Facts about what just happened. The engine tells them; terminal, JSON lines and the run store listen.
//! Nothing correct depends on a listener: without any, the same work is done.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::digest::Content;
use crate::pipeline::{ParamKey, ParamValue, StageName};
use crate::plan::Change;
use crate::repo_path::RepoPath;

/// Milliseconds since 1970-01-01 UTC.
pub type Timestamp = i64;

/// `run-12`: the twelfth run of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(pub u64);

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("run-{}", self.0))
    }
}

impl RunName {
    /// Reads `run-12` or `12`.
    pub fn parse(text: &str) -> Option<RunName> {
        let digits = text.strip_prefix("run-").unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok().map(RunName)).flatten()
    }
}

impl Serialize for RunName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first stage with work to do was found. An invocation without work has no such event.
    RunStarted {
        run: RunName,
        at: Timestamp,
        about: RunInfo,
    },
    /// A stage's process, or its restoring, begins.
    StageStarted {
        stage: StageName,
        at: Timestamp,
        work: Work,
        reasons: Vec<Change>,
    },
    /// A line that the stage's process wrote, to stdout or stderr.
    Line {
        stage: StageName,
        text: String,
    },
    Progress {
        stage: StageName,
        done: u64,
        total: u64,
    },
    /// One point of a series, reported while the stage runs.
    Metric {
        stage: StageName,
        at: Timestamp,
        key: String,
        step: u64,
        value: f64,
    },
    /// A file that the stage's process pointed out.
    Artifact {
        stage: StageName,
        path: RepoPath,
    },
    /// Something the user should know, that stops nothing.
    Warning {
        stage: Option<StageName>,
        text: String,
    },
    /// The user asked for the end. Told at once, also before there is a run.
    Stopping,
    StageEnded {
        stage: StageName,
        at: Timestamp,
        #[serde(flatten)]
        outcome: Outcome,
        took: Millis,
        outs: BTreeMap<RepoPath, Content>,
    },
    /// The numbers of a stage's metrics files, by dotted key without the stage's name, as they lie in the
    /// workspace when the run ends; of stages that ran, were restored or were fresh.
    FinalMetrics {
        stage: StageName,
        values: BTreeMap<String, f64>,
    },
    RunEnded {
        run: Option<RunName>,
        at: Timestamp,
        status: RunStatus,
        took: Millis,
    },
}

/// What is known of a run when it begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    pub pipeline: Option<String>,
    /// The command line as typed.
    pub command: Vec<String>,
    /// Every param that a stage of the pipeline reads.
    pub params: BTreeMap<ParamKey, ParamValue>,
    /// `key=value` given on the command line.
    pub overrides: Vec<String>,
    pub host: String,
    pub git: Option<GitState>,
    /// How many stages were up to date before it began; they are not told of one by one.
    pub fresh: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitState {
    pub commit: String,
    pub branch: Option<String>,
    pub tree: GitTree,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitTree {
    Clean,
    Dirty,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    Run,
    Restore,
}

/// How a stage ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to do.
    Fresh,
    Restored,
    Ran,
    Failed(#[serde(serialize_with = "beside")] Failure),
    /// A stage that it needs failed or was not run.
    Skipped {
        because: StageName,
    },
    /// It was stopped, or never started because everything was stopped.
    Interrupted,
    /// It was not run: someone said that what changed does not affect its outs, and why.
    Accepted {
        reason: String,
        changes: Vec<Change>,
    },
}

/// A failure is a value of its own beside the word `failed`, as in the run store.
fn beside<S: serde::Serializer>(failure: &Failure, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map([("failure", failure)])
}

impl Outcome {
    /// One word for lists and the run store.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Fresh => "fresh",
            Outcome::Restored => "restored",
            Outcome::Ran => "ran",
            Outcome::Failed(_) => "failed",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Interrupted => "interrupted",
            Outcome::Accepted { .. } => "accepted",
        }
    }
}

/// Why a stage failed: ``stage `train` failed: `` + what, the causes and the hint make up the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `exited with code 1`, `was killed by signal 9`, `did not write `models/x``.
    pub what: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

/// What happened, and why.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    Ok,
    Failed,
    Interrupted,
}

impl RunStatus {
    pub fn word(self) -> &'static str {
        match self {
            RunStatus::Ok => "ok",
            RunStatus::Failed => "failed",
            RunStatus::Interrupted => "interrupted",
        }
    }
}

/// A duration that is written as milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Millis {
        Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// `0.3s`, `12s`, `3m12s`, `2h05m`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let text = match seconds {
            _ if self.0 < 1000 => format!("{}ms", self.0),
            0..10 => format!("{}.{}s", seconds, self.0 % 1000 / 100),
            10..60 => format!("{seconds}s"),
            60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        };
        f.pad(&text)
    }
}

/// Something that listens. It cannot fail the run: what goes wrong inside it is its own to report.
pub trait Subscriber {
    fn on_event(&mut self, event: &Event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_run_names() {
        let cases = [
            (0, "0ms"),
            (999, "999ms"),
            (1000, "1.0s"),
            (9999, "9.9s"),
            (10_000, "10s"),
            (192_000, "3m12s"),
            (7_500_000, "2h05m"),
        ];
        for (millis, text) in cases {
            assert_eq!(Millis(millis).to_string(), text);
        }
        assert_eq!(RunName::parse("run-12"), Some(RunName(12)));
        assert_eq!(RunName::parse("12"), Some(RunName(12)));
        for bad in ["", "run-", "run-x", "+1", "run--1", "99999999999999999999999"] {
            assert_eq!(RunName::parse(bad), None, "{bad}");
        }
    }
}
