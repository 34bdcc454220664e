//! The declared pipeline as values: stages, their deps and outs, names and metric goals.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};

use super::drawing::Drawing;
use super::glob::Glob;
use super::graph::Graph;
use super::items::{Each, ItemOut};
use super::links::Links;
use super::origin::Origin;
use super::out_options::{Cached, Persist, Presence, Role};
use super::params::{ParamKey, ParamValue, Params};
use super::remote_spec::RemoteSpec;
use super::stage_ix::StageIx;
use crate::repo_path::RepoPath;

/// The file that declares a pipeline; its directory is the project root.
pub const FILE: &str = "pipeline.toml";

/// Default of [`Pipeline::trash`].
pub const KEEP_DISPLACED: Duration = Duration::from_secs(30 * 86_400);

/// A valid pipeline: names resolve, outs do not overlap, the graph has no cycle.
#[derive(Debug)]
pub struct Pipeline {
    pub name: Option<String>,
    pub params: Params,
    /// The params whose values the command line has set.
    pub overridden: BTreeSet<ParamKey>,
    /// Declarations that are valid, but have no effect.
    pub warnings: Vec<String>,
    pub goals: Goals,
    pub tokens: Tokens,
    pub links: Links,
    pub outs_in_git: OutsInGit,
    /// The folder of a cache that other projects use as well, as it was written.
    pub cache_dir: Option<String>,
    /// Time for which `repro gc` keeps displaced contents.
    pub trash: Duration,
    /// Paths of the main project that every worktree reaches by a link.
    pub shared_by_worktrees: Vec<RepoPath>,
    /// Sorted by name.
    pub remotes: Vec<RemoteSpec>,
    /// Paths that are links to places outside the project, with the declared places.
    pub external: BTreeMap<RepoPath, String>,
    /// The params whose values are in texts of stages.
    pub rendered_params: BTreeMap<ParamKey, ParamValue>,
    /// In the order of declaration; a [`StageIx`] is an index into it.
    pub stages: Vec<Stage>,
    pub graph: Graph,
}

/// The file that defines a param.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub file: RepoPath,
    /// The param's key in that file.
    pub key: ParamKey,
}

/// The `[git]` table: what happens to outs that a stage makes for the first time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutsInGit {
    /// They are added to `.gitignore`.
    #[default]
    Ignored,
    /// They are left to the user.
    Tracked,
}

/// `[tokens]`: the available count of each token; stages hold tokens while they run.
pub type Tokens = BTreeMap<String, u64>;

impl Pipeline {
    /// Returns the stage with this name.
    pub fn find(&self, name: &str) -> Option<StageIx> {
        self.stages.iter().position(|stage| stage.name.as_str() == name).map(StageIx::new)
    }

    /// Returns the params that at least one stage reads, or has in one of its texts, each once.
    pub fn used_params(&self) -> BTreeMap<ParamKey, ParamValue> {
        let mut used = self.rendered_params.clone();
        used.extend(self.stages.iter().flat_map(|stage| stage.params.clone()));
        used
    }
}

/// A declared unit of work, with everything in it resolved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stage {
    pub name: StageName,
    /// The declared name, if a matrix turned the declaration into several stages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub family: Option<StageName>,
    /// The line of `pipeline.toml` that declares it, counted from 1.
    pub line: usize,
    #[serde(default, skip_serializing_if = "is_default")]
    pub desc: Option<String>,
    /// The rendered shell command.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cmd: Option<String>,
    /// The place from which the outs come, if neither a command nor users make them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub origin: Option<Origin>,
    /// The words placed before `cmd`; `sh -c` if empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub shell: Vec<String>,
    /// Working directory of the process; `None` for the project root.
    #[serde(default, skip_serializing_if = "is_default")]
    pub wdir: Option<RepoPath>,
    /// Environment variables set for the process.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env: BTreeMap<String, String>,
    /// Inherited environment variables that the outs depend on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub env_deps: BTreeSet<String>,
    /// Commands whose output the outs depend on, such as `rustc --version`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tools: BTreeSet<String>,
    /// Sorted by path, each once.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deps: Vec<Dep>,
    /// The params that the declared keys and prefixes select.
    #[serde(default, skip_serializing_if = "is_default")]
    pub params: BTreeMap<ParamKey, ParamValue>,
    /// The params without a value that the stage uses; it cannot run before they have one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub required: BTreeSet<ParamKey>,
    /// Sorted by path, each once. Per-item outs are represented by their common directory.
    #[serde(default, skip_serializing_if = "is_default")]
    pub outs: Vec<Out>,
    /// The items, if the work is done per item; their glob is also a dep.
    #[serde(default, skip_serializing_if = "is_default")]
    pub each: Option<Each>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    #[serde(default, skip_serializing_if = "is_default")]
    pub resources: Resources,
    #[serde(default, skip_serializing_if = "is_default")]
    pub retries: Retries,
    /// Maximum duration of the process.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeout: Option<Duration>,
    /// The command can log to the run by MLflow's client.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mlflow: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Stage {
    /// Creates a stage that declares nothing.
    pub fn new(name: StageName, line: usize) -> Stage {
        Stage {
            name,
            family: None,
            line,
            desc: None,
            cmd: None,
            origin: None,
            shell: Vec::new(),
            wdir: None,
            env: BTreeMap::new(),
            env_deps: BTreeSet::new(),
            tools: BTreeSet::new(),
            deps: Vec::new(),
            params: BTreeMap::new(),
            required: BTreeSet::new(),
            outs: Vec::new(),
            each: None,
            policy: Policy::WhenStale,
            resources: Resources::default(),
            retries: Retries::default(),
            timeout: None,
            mlflow: false,
        }
    }

    /// Reports whether the stage only tracks its outs, which users make.
    pub fn is_tracked_input(&self) -> bool {
        self.cmd.is_none() && self.origin.is_none()
    }
}

/// A declared input path or glob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dep {
    /// The path as declared, with wildcards if it is a glob.
    pub path: RepoPath,
    pub glob: Option<Glob>,
    /// The place that links lead to, if stages write there; it is read instead.
    #[serde(default, skip_serializing_if = "is_default")]
    pub real: Option<Source>,
    pub line: usize,
}

/// A path or glob that does not lead through links to outs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub path: RepoPath,
    pub glob: Option<Glob>,
}

impl Dep {
    pub(super) fn new(path: RepoPath, glob: Option<Glob>, line: usize) -> Dep {
        Dep { path, glob, real: None, line }
    }

    /// Returns the path and the glob by which the dep is read.
    pub fn source(&self) -> (&RepoPath, Option<&Glob>) {
        match &self.real {
            Some(real) => (&real.path, real.glob.as_ref()),
            None => (&self.path, self.glob.as_ref()),
        }
    }

    /// Reports whether an out at `place` is the dep, inside it, or around it, or may have matches
    /// of its glob inside.
    pub fn may_read(&self, place: &RepoPath) -> bool {
        match self.source() {
            (_, Some(glob)) => glob.may_overlap(place),
            (path, None) => path.overlaps(place),
        }
    }
}

/// A declared output path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Out {
    pub path: RepoPath,
    /// The path without the links that it leads through, if there are any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub real: Option<RepoPath>,
    pub role: Role,
    pub cached: Cached,
    pub persist: Persist,
    pub presence: Presence,
    #[serde(default, skip_serializing_if = "is_default")]
    pub drawing: Drawing,
    /// The per-item outs that it represents; used only while reading.
    #[serde(skip)]
    pub(super) per_item: Vec<ItemOut>,
    pub line: usize,
}

impl Out {
    /// Returns the path of the out without links.
    pub fn place(&self) -> &RepoPath {
        self.real.as_ref().unwrap_or(&self.path)
    }
}

/// The condition for running a stage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    #[default]
    WhenStale,
    /// Never: the lock is authoritative.
    Frozen,
    /// In every run.
    Always,
}

/// The resources a stage uses while it runs. Not part of the fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Number of processors, at least 1.
    pub cpus: u64,
    /// Memory in bytes; 0 means unspecified.
    pub mem: u64,
    pub gpus: u64,
    /// Expected duration, for executors that plan with it.
    pub time: Option<Duration>,
    pub tokens: BTreeMap<String, u64>,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources { cpus: 1, mem: 0, gpus: 0, time: None, tokens: BTreeMap::new() }
    }
}

/// Retries of a failed command. The delay doubles after each retry.
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

/// The name of a stage: letters, digits, `_`, `-`, `.`, `@`. Also a directory name in `runs/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StageName(Box<str>);

impl StageName {
    /// Checks a name; `None` if it is empty, longer than 100 bytes, starts with `-` or `.`, or
    /// contains any other character.
    pub fn parse(text: &str) -> Option<StageName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '@');
        let valid = (1..=100).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with(['-', '.']);
        valid.then(|| StageName(text.into()))
    }

    /// Stands for no stage: it owns what other programs log for a run as a whole. Its text is
    /// empty, which is the name of no stage.
    pub fn outside() -> StageName {
        StageName("".into())
    }

    /// Returns the name of something that belongs to the stage: `train.loss`, or `loss` outside of
    /// all stages.
    pub fn name_of(&self, key: &str) -> String {
        if self.0.is_empty() { key.to_owned() } else { format!("{}.{key}", self.0) }
    }

    /// Keeps a name that is not valid, for messages about its stage.
    pub(super) fn invalid(text: &str) -> StageName {
        StageName(text.into())
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
        StageName::parse(&text).ok_or_else(|| D::Error::custom("not a stage name"))
    }
}

/// The direction in which a metric improves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    Max,
    Min,
}

/// The `[metrics]` table: a name applies to every metric whose dotted key ends in it.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goals(BTreeMap<String, Goal>);

impl Goals {
    pub fn insert(&mut self, name: String, goal: Goal) {
        self.0.insert(name, goal);
    }

    /// Returns the names that goals are declared for.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.keys().map(String::as_str)
    }

    /// Returns the goal of metric `key`, declared for its longest ending.
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
    fn goal_of_longest_ending() {
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
