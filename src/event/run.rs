//! Names and facts of a run that are known when it starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::digest::Digest;
use crate::pipeline::{ParamKey, ParamValue};

/// Name of a run: `run-12` is the twelfth run of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(pub u64);

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("run-{}", self.0))
    }
}

impl RunName {
    /// Parses `run-12` or `12`.
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

/// Identity of a run: 32 lower-case hexadecimal digits, chosen at random. It stays the same when
/// the run is copied to another machine, where its [name](RunName) may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunUid(u128);

impl RunUid {
    pub fn from_bytes(bytes: [u8; 16]) -> RunUid {
        RunUid(u128::from_be_bytes(bytes))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<RunUid> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (is_hex && text.len() == 32).then(|| u128::from_str_radix(text, 16).ok().map(RunUid))?
    }
}

impl fmt::Display for RunUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RunUid {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

/// Origin of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// An invocation of `repro run`.
    Pipeline,
    /// The parent of the trials of a sweep.
    Sweep,
    /// A trial of a sweep.
    Trial,
    /// Logged by another program.
    External,
    /// An invocation of `repro accept`.
    Accept,
}

impl RunKind {
    /// Returns the kind as it is stored and displayed.
    pub fn word(self) -> &'static str {
        match self {
            RunKind::Pipeline => "pipeline",
            RunKind::Sweep => "sweep",
            RunKind::Trial => "trial",
            RunKind::External => "external",
            RunKind::Accept => "accept",
        }
    }

    /// Parses the word of a kind.
    pub fn parse(word: &str) -> Option<RunKind> {
        use RunKind::{Accept, External, Pipeline, Sweep, Trial};
        [Pipeline, Sweep, Trial, External, Accept].into_iter().find(|kind| kind.word() == word)
    }
}

/// Facts known when a run starts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    pub uid: RunUid,
    pub kind: RunKind,
    /// The run that this one is a part of.
    pub parent: Option<RunUid>,
    /// Name given by the user. Several runs can have the same.
    pub name: Option<String>,
    pub experiment: String,
    pub pipeline: Option<String>,
    /// The command line as typed.
    pub command: Vec<String>,
    /// All params that stages of the pipeline read.
    pub params: BTreeMap<ParamKey, ParamValue>,
    /// Overrides given on the command line: `key=value`.
    pub overrides: Vec<String>,
    /// The params whose values the overrides have set.
    pub overridden: BTreeSet<ParamKey>,
    pub host: String,
    pub user: Option<String>,
    pub git: Option<GitState>,
    /// Number of stages that were up to date before the run started; they have no events.
    pub fresh: usize,
    /// Tags that the run gets at its start.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl RunInfo {
    /// Name of the experiment of runs whose pipeline has no name.
    pub const DEFAULT_EXPERIMENT: &str = "default";

    /// Returns the experiment of the runs of a pipeline.
    pub fn experiment_of(pipeline: Option<&str>) -> String {
        pipeline.unwrap_or(RunInfo::DEFAULT_EXPERIMENT).to_owned()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitState {
    /// `None` before the first commit.
    pub commit: Option<String>,
    pub branch: Option<String>,
    pub tree: GitTree,
    /// The difference between the commit and a dirty tree; `None` if it was not recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<GitDiff>,
}

/// A patch in the folder of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GitDiff {
    pub digest: Digest,
    /// The first hundred paths that differ, but are too large for the patch.
    pub lacks: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GitTree {
    Clean,
    Dirty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_names() {
        assert_eq!(RunName::parse("run-12"), Some(RunName(12)));
        assert_eq!(RunName::parse("12"), Some(RunName(12)));
        for bad in ["", "run-", "run-x", "+1", "run--1", "99999999999999999999999"] {
            assert_eq!(RunName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn run_uids() {
        for text in ["0".repeat(32), "f".repeat(32), "00f1e2d3c4b5a697".repeat(2)] {
            assert_eq!(RunUid::parse(&text).unwrap().to_string(), text);
        }
        for bad in ["", &"0".repeat(31), &"0".repeat(33), &"F".repeat(32), &"+0".repeat(16)] {
            assert_eq!(RunUid::parse(bad), None, "{bad}");
        }
    }
}
