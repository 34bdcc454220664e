//! What the user declared: stages, params, metrics' goals, and the graph they form.
//! Reads text and gives values; knows nothing of the disk, the cache or what is up to date.

mod graph;
mod items;
mod links;
mod params;
pub mod params_edit;
pub mod pattern;
pub mod problem;
mod read;
pub mod schema;
pub mod stage_edit;
mod template;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

pub use graph::Graph;
pub use items::{Each, ItemOut, ItemText, Mode};
pub use links::{Link, Links, PRIVATE};
pub use params::{ParamKey, ParamValue, Params, Unresolved, nested};
pub use pattern::Pattern;
pub use problem::Problem;
pub use read::config::GROUPS;
pub use read::{FileSource, Operation, Override, parse};

use crate::repo_path::RepoPath;

/// The file that declares a pipeline; the directory it lies in is the project root.
pub const FILE: &str = "pipeline.toml";

/// A valid pipeline: names resolve, outs do not overlap, the graph has no cycle.
#[derive(Debug)]
pub struct Pipeline {
    pub name: Option<String>,
    pub params: Params,
    /// Where params stand that are written in a file other than pipeline.toml.
    pub written: BTreeMap<ParamKey, Written>,
    /// The chosen option of each group of params.
    pub groups: BTreeMap<String, String>,
    pub goals: Goals,
    pub tokens: Tokens,
    pub links: Links,
    /// In the order of declaration; a [`StageIx`] is a position here.
    pub stages: Vec<Stage>,
    pub graph: Graph,
}

/// Where a param stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub file: RepoPath,
    /// Its key in that file.
    pub key: ParamKey,
}

/// The position of a stage in [`Pipeline::stages`].
pub type StageIx = usize;

/// `[tokens]`: things that stages use up while they run, by name, and how many there are of each.
pub type Tokens = BTreeMap<String, u64>;

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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stage {
    pub name: StageName,
    /// The name that was declared, if a matrix made several stages of it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub family: Option<StageName>,
    /// The line of `pipeline.toml` that declares it, counted from 1.
    pub line: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    pub desc: Option<String>,
    /// Given to the shell; templates are rendered. A stage without one only tracks its outs, which people make.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cmd: Option<String>,
    /// What runs `cmd`, the words before it; `sh -c` if empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shell: Vec<String>,
    /// Where the process runs; the project root unless set.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wdir: Option<RepoPath>,
    /// Variables given to the process.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: BTreeMap<String, String>,
    /// Variables of the surroundings whose values count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env_deps: BTreeSet<String>,
    /// Commands whose output counts, `rustc --version`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tools: BTreeSet<String>,
    /// Sorted by path, each once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deps: Vec<Dep>,
    /// What the declared keys and prefixes stand for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub params: BTreeMap<ParamKey, ParamValue>,
    /// Sorted by path, each once. Of outs by item it is the folder that holds them all.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outs: Vec<Out>,
    /// The work is done item by item; the glob is then a dep as well.
    #[serde(default, skip_serializing_if = "is_default")]
    pub each: Option<Each>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Retries,
    /// The longest that the process may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Stage {
    /// A stage that declares nothing yet.
    pub fn new(name: StageName, line: usize) -> Stage {
        Stage {
            name,
            family: None,
            line,
            desc: None,
            cmd: None,
            shell: Vec::new(),
            wdir: None,
            env: BTreeMap::new(),
            env_deps: BTreeSet::new(),
            tools: BTreeSet::new(),
            deps: Vec::new(),
            params: BTreeMap::new(),
            outs: Vec::new(),
            each: None,
            policy: Policy::WhenStale,
            resources: Resources::default(),
            retries: Retries::default(),
            timeout: None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dep {
    /// The path as declared; with wildcards if it is a glob.
    pub path: RepoPath,
    pub glob: Option<Pattern>,
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Out {
    pub path: RepoPath,
    pub role: Role,
    pub cached: Cached,
    pub persist: Persist,
    pub presence: Presence,
    /// While it is read: the outs by item that it stands for.
    #[serde(skip)]
    per_item: Vec<ItemOut>,
    pub line: usize,
}

/// Where an out's content is kept besides the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cached {
    Yes,
    /// It cannot be restored, only made again.
    No,
}

/// Whether a stage, or an item, has to write an out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    Required,
    /// Nothing there is a result like any other.
    Optional,
}

/// Whether an out stays where it is while the stage runs, so that the stage can go on from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persist {
    No,
    Yes,
}

/// When a stage runs.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    #[default]
    WhenStale,
    /// Never: what the lock says of it holds.
    Frozen,
    /// Each time.
    Always,
}

/// What a stage needs of the machine while it runs. No part of the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Processors it keeps busy, at least 1.
    pub cpus: u64,
    /// Bytes; 0 is "no word about it".
    pub mem: u64,
    pub gpus: u64,
    /// How long it may take, for executors that plan with it.
    pub time: Option<Duration>,
    pub tokens: BTreeMap<String, u64>,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources { cpus: 1, mem: 0, gpus: 0, time: None, tokens: BTreeMap::new() }
    }
}

/// How often a command that failed is started again, and how long after the first failure; twice as long after each further one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    pub count: u64,
    pub delay: Duration,
}

impl Default for Retries {
    fn default() -> Retries {
        Retries { count: 0, delay: Duration::from_secs(1) }
    }
}

/// What an out is to people; to the cache all outs are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
        let valid = (1..=100).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with(['-', '.']);
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

impl Serialize for StageName {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StageName {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<StageName, D::Error> {
        let text = String::deserialize(d)?;
        StageName::parse(&text).ok_or_else(|| D::Error::custom("no name of a stage"))
    }
}

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    Max,
    Min,
}

/// The `[metrics]` table: a name stands for every metric whose dotted key ends in it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goals(BTreeMap<String, Goal>);

impl Goals {
    pub fn insert(&mut self, name: String, goal: Goal) {
        self.0.insert(name, goal);
    }

    /// The goal of metric `key`, by its longest declared ending.
    pub fn of(&self, key: &str) -> Option<Goal> {
        let endings =
            std::iter::once(key).chain(key.match_indices('.').map(|(at, _)| &key[at + 1..]));
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
