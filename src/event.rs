//! Events of a run. The engine sends them; terminal, JSON lines and run store subscribe.
//! The engine does the same work without any subscriber.

mod run;
mod sweep;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::digest::Content;
use crate::number::{Number, finite_or_null};
use crate::pipeline::StageName;
use crate::plan::Change;
use crate::plan::change::Fate;
use crate::repo_path::RepoPath;

pub use run::{GitDiff, GitState, GitTree, RunInfo, RunKind, RunName, RunUid};
pub use sweep::{BestTrial, SweepEvent, SweepSubscriber, TrialEnd, TrialName};

/// Something that happened in a run. Its JSON form is a line of `repro run --json`.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "the large one occurs once in a run")]
pub enum Event {
    /// The first stage with work to do was found. An invocation without work does not send this
    /// event.
    RunStarted {
        run: RunName,
        at: Timestamp,
        #[serde(rename = "about")]
        info: Box<RunInfo>,
    },
    /// A stage starts to run or to be restored.
    StageStarted {
        stage: StageName,
        at: Timestamp,
        work: Work,
        reasons: Vec<Change>,
        #[serde(skip)]
        inputs: StageInputs,
    },
    /// A line that the stage's process wrote to stdout or stderr.
    Line {
        stage: StageName,
        text: String,
    },
    /// The present text of a line that the stage's process redraws, for live displays only.
    Redrawn {
        stage: StageName,
        text: String,
    },
    Progress {
        stage: StageName,
        done: u64,
        total: u64,
    },
    /// Bytes of a download so far, and their total if the source has named it.
    Transferred {
        stage: StageName,
        done: u64,
        total: Option<u64>,
    },
    /// A point of a series, reported while the stage runs.
    Metric {
        stage: StageName,
        at: Timestamp,
        key: String,
        step: u64,
        #[serde(serialize_with = "finite_or_null")]
        value: Number,
    },
    /// A file that the stage's process reported.
    Artifact {
        stage: StageName,
        path: RepoPath,
    },
    /// Files of a dep changed while the stage runs, so its result will not be recorded.
    DepChanged {
        stage: StageName,
        at: Timestamp,
        #[serde(flatten)]
        changed: ChangedDep,
    },
    /// A warning, which does not stop the run.
    Warning {
        stage: Option<StageName>,
        text: String,
    },
    /// The user interrupted the run. Sent immediately, even before a run has started.
    Stopping,
    StageEnded {
        stage: StageName,
        at: Timestamp,
        #[serde(flatten)]
        outcome: Outcome,
        took: Millis,
        outs: BTreeMap<RepoPath, Content>,
        /// `None` if no process ran.
        #[serde(skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
        /// Contents of the files that its process reported and that are not outs.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        artifacts: BTreeMap<RepoPath, Content>,
    },
    /// The numbers in a stage's metrics files at the end of the run, by dotted key without the
    /// stage name. Sent for stages that ran, were restored or are up to date.
    FinalMetrics {
        stage: StageName,
        #[serde(serialize_with = "all_finite_or_null")]
        values: BTreeMap<String, Number>,
    },
    RunEnded {
        run: Option<RunName>,
        at: Timestamp,
        status: RunStatus,
        took: Millis,
    },
}

fn all_finite_or_null<S: serde::Serializer>(
    values: &BTreeMap<String, Number>,
    s: S,
) -> Result<S::Ok, S::Error> {
    let finite = |number: &Number| number.is_finite().then_some(*number);
    s.collect_map(values.iter().map(|(key, number)| (key, finite(number))))
}

/// Milliseconds since 1970-01-01 UTC.
pub type Timestamp = i64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    Run,
    Restore,
}

/// Versions of tools and environment variables that a stage works with. Recorded, but not
/// displayed: values of variables can be secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StageInputs {
    /// Output of each command in `tools`.
    pub tools: BTreeMap<String, String>,
    /// Variables that the stage sets or depends on; `None` if unset.
    pub env: BTreeMap<String, Option<String>>,
}

/// Resources that the processes of a stage have used, including those of failed attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Exit code of the last process; 128 plus the signal if one killed it.
    pub exit_code: i32,
    /// CPU time, user and system, of the processes and of those that they waited for.
    pub cpu: Millis,
    /// Peak memory of the largest of them in bytes; `None` if it is too small to be known.
    pub memory: Option<u64>,
}

/// Outcome of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Outcome {
    /// Nothing to do.
    Fresh,
    Restored {
        /// Name of the remote that the outs are from; `None` if the cache had them.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    Ran,
    Failed(#[serde(serialize_with = "serialize_as_field")] Failure),
    /// Ran with exit code 0, but its outs match no single version of its deps: they stay in
    /// the workspace, and the stage is as out of date as before.
    Unrecorded(#[serde(serialize_with = "serialize_as_field")] Failure),
    /// Not run because stage `because` failed.
    Skipped {
        because: StageName,
        /// The stage needs `because`; otherwise `--keep-going` would have run it.
        #[serde(skip)]
        is_needed: bool,
    },
    /// Stopped, or never started because the run was interrupted.
    Interrupted,
    /// Not run: the user declared, with a reason, that the changes do not affect its outs.
    Accepted {
        reason: String,
        changes: Vec<Change>,
    },
}

/// Serializes a failure as the field `failure` next to `outcome`, as in the run store.
fn serialize_as_field<S: serde::Serializer>(failure: &Failure, s: S) -> Result<S::Ok, S::Error> {
    s.collect_map([("failure", failure)])
}

impl Outcome {
    /// Returns one word for JSON and the run store.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Fresh => "fresh",
            Outcome::Restored { .. } => "restored",
            Outcome::Ran => "ran",
            Outcome::Failed(_) => "failed",
            Outcome::Unrecorded(_) => "unrecorded",
            Outcome::Skipped { .. } => "skipped",
            Outcome::Interrupted => "interrupted",
            Outcome::Accepted { .. } => "accepted",
        }
    }

    /// Returns the cause of a failure or of a result that was not recorded.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Outcome::Failed(failure) | Outcome::Unrecorded(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Files of a dep that changed while its stage ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedDep {
    pub dep: RepoPath,
    /// The first hundred; the dep itself if it is a file.
    pub files: Vec<ChangedFile>,
    /// Number of all files.
    pub count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedFile {
    pub path: RepoPath,
    pub fate: Fate,
}

impl ChangedDep {
    /// Maximum number of files that are listed.
    const MAX_FILES: usize = 100;

    pub fn new(dep: RepoPath, mut files: Vec<ChangedFile>) -> ChangedDep {
        let count = files.len();
        files.truncate(ChangedDep::MAX_FILES);
        ChangedDep { dep, files, count }
    }

    /// Returns the predicate of a sentence about the files: `changed`, `was added`.
    pub fn predicate(&self) -> &'static str {
        let all = |fate| self.files.iter().all(|file| file.fate == fate);
        match (all(Fate::Added), all(Fate::Removed), self.count) {
            (true, _, 1) => "was added",
            (true, ..) => "were added",
            (_, true, 1) => "was removed",
            (_, true, _) => "were removed",
            _ => "changed",
        }
    }

    /// Returns the warning to show while the stage runs.
    pub fn warning(&self) -> String {
        // Files that were added, and only they, can go without a trace.
        let unless = if self.files.iter().all(|file| file.fate == Fate::Added) {
            " unless that is undone"
        } else {
            ""
        };
        format!(
            "{self} {} while it runs; its result will not be recorded{unless}",
            self.predicate()
        )
    }
}

/// Writes the subject of a sentence: ``its dep `model` ``, `` `src/a.py` in its dep `src` ``.
impl fmt::Display for ChangedDep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 3;
        if self.files.len() == 1 && self.files[0].path == self.dep {
            return write!(f, "its dep `{}`", self.dep);
        }
        let named = self.files.iter().take(NAMED).map(|file| format!("`{}`", file.path));
        f.write_str(&named.collect::<Vec<_>>().join(", "))?;
        if let Some(more) = self.count.checked_sub(NAMED).filter(|more| *more > 0) {
            write!(f, " and {}", crate::plural::count(more, "more file"))?;
        }
        write!(f, " in its dep `{}`", self.dep)
    }
}

/// The cause of a failure, or of a result that is not recorded. The message of a failure is
/// ``stage `train` failed: `` followed by `what`, the causes and the hint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `exited with code 1`, `was killed by signal 9`, `did not write `models/x``.
    pub what: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

/// Writes the fact and its causes on one line.
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

/// A duration that serializes as milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Millis {
        Millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Writes `300ms`, `1.2s`, `12s`, `3m12s` or `2h05m`.
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

/// A receiver of events. It cannot fail the run; it reports its own errors.
pub trait Subscriber {
    fn on_event(&mut self, event: &Event);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
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
    }
}
