//! What the user declared: stages, params, metrics' goals, and the graph they form.
//! Reads text and gives values; knows nothing of the disk, the cache or what is up to date.

mod graph;
mod params;
pub mod params_edit;
pub mod problem;
mod read;
mod template;
mod validate;

use std::collections::BTreeMap;
use std::fmt;

pub use graph::Graph;
pub use params::{ParamKey, ParamValue, Params, Unresolved, nested};
pub use problem::Problem;
pub use read::{Override, parse};

use crate::repo_path::RepoPath;

/// The file that declares a pipeline; the directory it lies in is the project root.
pub const FILE: &str = "pipeline.toml";

/// A valid pipeline: names resolve, outs do not overlap, the graph has no cycle.
#[derive(Debug)]
pub struct Pipeline {
    pub name: Option<String>,
    pub params: Params,
    pub goals: Goals,
    /// In the order of declaration; a [`StageIx`] is a position here.
    pub stages: Vec<Stage>,
    pub graph: Graph,
}

/// The position of a stage in [`Pipeline::stages`].
pub type StageIx = usize;

impl Pipeline {
    pub fn find(&self, name: &str) -> Option<StageIx> {
        self.stages.iter().position(|stage| stage.name.as_str() == name)
    }

    /// The params that any stage reads, each once.
    pub fn used_params(&self) -> BTreeMap<ParamKey, ParamValue> {
        self.stages.iter().flat_map(|stage| stage.params.clone()).collect()
    }
}

/// A declared unit of work, with everything in it resolved.
#[derive(Debug, Clone)]
pub struct Stage {
    pub name: StageName,
    /// The line of `pipeline.toml` that declares it, counted from 1.
    pub line: usize,
    pub desc: Option<String>,
    /// Given to `sh -c`; templates are rendered.
    pub cmd: String,
    /// Where the process runs; the project root unless set.
    pub wdir: Option<RepoPath>,
    /// Variables given to the process.
    pub env: BTreeMap<String, String>,
    /// Sorted, each once.
    pub deps: Vec<Dep>,
    /// What the declared keys and prefixes stand for.
    pub params: BTreeMap<ParamKey, ParamValue>,
    /// Sorted by path, each once.
    pub outs: Vec<Out>,
    /// How many processors it keeps busy, at least 1.
    pub cpus: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dep {
    pub path: RepoPath,
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Out {
    pub path: RepoPath,
    pub role: Role,
    pub line: usize,
}

/// What an out is to people; to the cache all outs are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Data,
    /// A JSON file whose numbers are the stage's final metrics.
    Metrics,
    /// A file that is drawn.
    Plot,
}

/// A stage's name: letters, digits, `_`, `-`, `.`, `@`; it is also a folder's name in `runs/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName(Box<str>);

impl StageName {
    /// `None` if `text` is empty, longer than 100 bytes, starts with `-` or `.`, or has another character in it.
    pub fn parse(text: &str) -> Option<StageName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        let valid =
            (1..=100).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with(['-', '.']);
        valid.then(|| StageName(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for StageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for StageName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    Max,
    Min,
}

/// The `[metrics]` table: a name stands for every metric whose dotted key ends in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Goals(BTreeMap<String, Goal>);

impl Goals {
    pub fn insert(&mut self, name: String, goal: Goal) {
        self.0.insert(name, goal);
    }

    /// The goal of metric `key`, by its longest declared ending.
    pub fn of(&self, key: &str) -> Option<Goal> {
        let endings = std::iter::once(key).chain(key.match_indices('.').map(|(at, _)| &key[at + 1..]));
        endings.into_iter().find_map(|ending| self.0.get(ending).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_found_by_the_longest_ending() {
        let mut goals = Goals::default();
        goals.insert("loss".into(), Goal::Min);
        goals.insert("odd.loss".into(), Goal::Max);
        assert_eq!(goals.of("train.loss"), Some(Goal::Min));
        assert_eq!(goals.of("train.odd.loss"), Some(Goal::Max));
        assert_eq!(goals.of("train.val_loss"), None);
        assert_eq!(goals.of("loss"), Some(Goal::Min));
    }

    #[test]
    fn stage_names() {
        for good in ["train", "train@small-0", "a.b_c", "7"] {
            assert!(StageName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "-x", ".hidden", "a/b", "a b", "ü", "..", &"x".repeat(101)] {
            assert!(StageName::parse(bad).is_none(), "{bad}");
        }
    }
}
