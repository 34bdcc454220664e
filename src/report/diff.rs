//! The report of `repro runs diff`.

use std::path::Path;

use serde::{Serialize, Serializer};

use super::compare::{MetricFields, ParamFields};
use crate::engine::diff::{self, Difference, Patch, StageDiff};
use crate::engine::revision::Revision;
use crate::engine::side::Side;
use crate::error::Result;
use crate::event::{GitState, GitTree};
use crate::runs::compare::{Comparison, Grouping, Rules, Values, compare};

/// Everything in which two sides differ.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffReport {
    pub sides: [Side; 2],
    pub facts: Vec<Fact>,
    /// Only rows that differ.
    pub comparison: Comparison,
    pub stages: Vec<StageDiff>,
    /// The changed text files that no stage makes, if they were asked for.
    pub patches: Vec<Patch>,
    /// Things that could not be compared, with the reason.
    pub notes: Vec<String>,
}

/// A fact about the sides that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    pub what: &'static str,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Selects the depth of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    Files,
    /// The lines of text files, too.
    Lines,
}

impl DiffReport {
    /// Compares two sides of the project at `root`.
    ///
    /// # Errors
    /// A side cannot be read.
    pub fn read(root: &Path, sides: [Side; 2], rules: &Rules, depth: Depth) -> Result<DiffReport> {
        let mut notes = Vec::new();
        let mut values = Vec::with_capacity(2);
        for side in &sides {
            let numbers = side.metrics(root)?;
            notes.extend(numbers.unreadable.into_iter().chain(numbers.stale));
            let (metrics, params) = (numbers.metrics, side.params(root)?);
            values.push(Values { label: side.to_string(), params, metrics, lock: None });
        }
        let rules = Rules { grouping: Grouping::None, ..rules.clone() };
        let mut comparison = compare(&values, &rules);
        comparison.params.retain(|row| row.differs());
        comparison.metrics.retain(|row| row.differs);
        let [old, new] = &sides;
        let Difference { stages, inputs, notes: others } = diff::difference(root, old, new)?;
        notes.extend(others);
        let patches = match depth {
            Depth::Files => Vec::new(),
            Depth::Lines => diff::patches(root, [old, new], &inputs)?,
        };
        let facts = facts(old, new);
        Ok(DiffReport { sides, facts, comparison, stages, patches, notes })
    }

    /// Reports whether the sides agree in everything that their numbers depend on.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty() && self.comparison.params.is_empty() && !self.has_metrics()
    }

    fn has_metrics(&self) -> bool {
        !self.comparison.metrics.is_empty()
    }
}

fn facts(old: &Side, new: &Side) -> Vec<Fact> {
    let of_run = |side: &Side, fact: fn(&crate::runs::Run) -> Option<String>| fact(side.run()?);
    let both = |what, fact: fn(&crate::runs::Run) -> Option<String>| Fact {
        what,
        old: of_run(old, fact),
        new: of_run(new, fact),
    };
    let facts = [
        Fact { what: "git", old: git(old), new: git(new) },
        both("pipeline", |run| run.info.pipeline.clone()),
        both("command", |run| Some(run.info.command.join(" "))),
        both("status", |run| Some(run.state.word().to_owned())),
        both("host", |run| Some(run.info.host.clone())),
    ];
    facts.into_iter().filter(|fact| fact.old != fact.new).collect()
}

fn git(side: &Side) -> Option<String> {
    match side {
        Side::Revision(Revision::Run(run)) => run.info.git.as_ref().map(git_state),
        Side::Revision(Revision::Commit { commit, .. }) => Some(short(commit).to_owned()),
        Side::Workspace => None,
    }
}

fn git_state(git: &GitState) -> String {
    let commit = git.commit.as_deref().map_or("no commit yet", short);
    match git.tree {
        GitTree::Clean => commit.to_owned(),
        GitTree::Dirty => format!("{commit} with uncommitted changes"),
    }
}

fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

impl Serialize for DiffReport {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            runs: [String; 2],
            facts: &'a [Fact],
            params: Vec<ParamFields<'a>>,
            stages: &'a [StageDiff],
            patches: &'a [Patch],
            metrics: Vec<MetricFields<'a>>,
            notes: &'a [String],
        }
        let Comparison { columns, params, metrics } = &self.comparison;
        let fields = Fields {
            runs: [self.sides[0].to_string(), self.sides[1].to_string()],
            facts: &self.facts,
            params: params.iter().map(ParamFields::from).collect(),
            stages: &self.stages,
            patches: &self.patches,
            metrics: metrics.iter().map(|row| MetricFields::new(row, columns)).collect(),
            notes: &self.notes,
        };
        fields.serialize(s)
    }
}
