//! The sides of a comparison: runs, git revisions and the workspace, with their params, metrics and
//! locks. Writes nothing.
//!
//! A run has the params and metrics that were recorded. A revision has the params that its
//! `pipeline.toml` declares, and the metrics in the files that its `pipeline.lock` names, from the
//! cache or from git. The workspace has the present params, lock and metrics files.

mod at_commit;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::metrics::{self, Found};
use super::project;
use super::revision::{self, Revision};
use super::worktree::place;
use crate::digest::Content;
use crate::error::{Error, Result, did_you_mean};
use crate::event::{RunKind, RunName};
use crate::pipeline::{ParamKey, ParamValue, Pipeline, Stage, StageName};
use crate::plan::{Change, Lock};
use crate::repo_path::RepoPath;
use crate::runs::{Metrics, Run, Store, query};

/// The word for the present state of the project.
pub const WORKSPACE: &str = "workspace";

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum Side {
    Revision(Revision),
    Workspace,
}

/// Contents of outs by stage.
pub type OutsByStage = BTreeMap<StageName, BTreeMap<RepoPath, Content>>;

/// The metrics of a side.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Numbers {
    pub metrics: Metrics,
    /// Files that should have metrics, but cannot be read.
    pub unreadable: Vec<String>,
    /// Stages whose metrics were made with other params.
    pub stale: Vec<String>,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Side::Revision(revision) => revision.fmt(f),
            Side::Workspace => f.write_str(WORKSPACE),
        }
    }
}

impl From<Run> for Side {
    fn from(run: Run) -> Side {
        Side::Revision(Revision::Run(Box::new(run)))
    }
}

impl Side {
    /// Finds the side that `name` stands for: `workspace`, a run, or a git revision.
    ///
    /// # Errors
    /// The name is none of them, or of several runs.
    pub fn find(root: &Path, name: &str) -> Result<Side> {
        if name == WORKSPACE {
            return Ok(Side::Workspace);
        }
        Revision::find(root, name).map(Side::Revision).map_err(|error| {
            match did_you_mean(name, [WORKSPACE]) {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            }
        })
    }

    /// Returns the run, if it is one.
    pub fn run(&self) -> Option<&Run> {
        match self {
            Side::Revision(Revision::Run(run)) => Some(run),
            _ => None,
        }
    }

    /// Returns the params that at least one stage reads.
    ///
    /// # Errors
    /// `pipeline.toml` is missing or not valid there.
    pub fn params(&self, root: &Path) -> Result<BTreeMap<ParamKey, ParamValue>> {
        match self {
            Side::Revision(Revision::Run(run)) => Ok(run.info.params.clone()),
            Side::Revision(Revision::Commit { commit, name }) => {
                Ok(at_commit::pipeline(root, commit, name)?.used_params())
            }
            Side::Workspace => Ok(project::load_pipeline(root, &[])?.used_params()),
        }
    }

    /// Returns the lock; `None` if that of the run was not kept.
    ///
    /// # Errors
    /// The revision has no lock, or a lock cannot be parsed.
    pub fn lock(&self, root: &Path) -> Result<Option<Lock>> {
        match self {
            Side::Revision(revision) => revision.lock(root),
            Side::Workspace => project::load_lock(root).map(Some),
        }
    }

    /// Returns the outs of all stages.
    ///
    /// # Errors
    /// The run store or a lock cannot be read.
    pub fn outs(&self, root: &Path) -> Result<OutsByStage> {
        let outs = match self {
            Side::Revision(revision) => revision.outs(root)?,
            Side::Workspace => revision::outs_of_lock(project::load_lock(root)?),
        };
        let mut by_stage = OutsByStage::new();
        for (stage, path, content) in outs {
            by_stage.entry(stage).or_default().insert(path, content);
        }
        Ok(by_stage)
    }

    /// Returns the final metrics.
    ///
    /// # Errors
    /// `pipeline.toml` is missing or not valid there, or a revision has no lock.
    pub fn metrics(&self, root: &Path) -> Result<Numbers> {
        match self {
            Side::Revision(Revision::Run(run)) => {
                Ok(Numbers { metrics: run.metrics.clone(), ..Numbers::default() })
            }
            Side::Revision(revision @ Revision::Commit { commit, name }) => {
                let pipeline = at_commit::pipeline(root, commit, name)?;
                let lock = revision.lock(root)?.unwrap_or_default();
                let files = at_commit::MetricsFiles::open(root, commit)?;
                Ok(self.numbers(&pipeline, &lock, |stage| match lock.stages.get(&stage.name) {
                    Some(trace) => files.read(stage, trace),
                    None => Found::default(),
                }))
            }
            Side::Workspace => {
                let pipeline = project::load_pipeline(root, &[])?;
                let lock = project::load_lock(root)?;
                Ok(self.numbers(&pipeline, &lock, |stage| metrics::read(root, stage)))
            }
        }
    }

    fn numbers(&self, pipeline: &Pipeline, lock: &Lock, read: impl Fn(&Stage) -> Found) -> Numbers {
        let mut numbers = Numbers::default();
        for stage in &pipeline.stages {
            let Found { values, complaints } = read(stage);
            let complaints = complaints.into_iter().map(|what| format!("{self}: {what}"));
            numbers.unreadable.extend(complaints);
            if !values.is_empty()
                && let Some(changes) = other_params(stage, lock)
            {
                let name = &stage.name;
                numbers.stale.push(format!(
                    "{self}: stage `{name}` is out of date, so its metrics are of other params: \
                     {changes}"
                ));
            }
            let values = values.into_iter();
            numbers.metrics.extend(values.map(|(key, number)| ((stage.name.clone(), key), number)));
        }
        numbers
    }
}

/// Finds the sides that are named; without a name, the last two runs.
///
/// # Errors
/// A name matches neither a run nor a revision, or the history has no runs.
pub fn named(root: &Path, names: &[String]) -> Result<Vec<Side>> {
    match names {
        [name] => Ok(vec![Side::find(root, name)?]),
        names => at_least_two(root, names),
    }
}

/// Finds the sides to compare: those that are named; one with the last run; the last two runs
/// without a name.
///
/// # Errors
/// A name stands for nothing, or there are fewer than two sides.
pub fn at_least_two(root: &Path, names: &[String]) -> Result<Vec<Side>> {
    let mut sides: Vec<Side> =
        names.iter().map(|name| Side::find(root, name)).collect::<Result<_>>()?;
    if sides.len() > 1 {
        return Ok(sides);
    }
    let store = Store::open_existing(&place::home(root))?.ok_or_else(query::no_runs)?;
    let last = last_with_metrics(&store)?;
    match &sides[..] {
        [] => {
            let before = store.before(last)?.ok_or_else(|| {
                Error::usage(format!("cannot compare `{last}`: it is the only run"))
                    .hint("change something and `repro run` again")
            })?;
            sides.push(Side::from(store.run(before)?));
        }
        [one] if one.run().is_some_and(|run| run.name == last) => {
            return Err(Error::usage(format!(
                "cannot compare `{one}` with itself: it is the last run"
            ))
            .hint(format!("name another run: `repro metrics compare RUN {one}`")));
        }
        _ => {}
    }
    sides.push(Side::from(store.run(last)?));
    Ok(sides)
}

/// Returns the latest run that is not a sweep.
fn last_with_metrics(store: &Store) -> Result<RunName> {
    let latest = store.latest()?;
    if store.run(latest)?.info.kind != RunKind::Sweep {
        return Ok(latest);
    }
    store.before(latest)?.ok_or_else(|| {
        Error::usage(format!("the only run, `{latest}`, is a sweep without metrics of its own"))
            .hint(format!("name two of its trials: `repro sweep status {latest}` lists them"))
    })
}

/// Returns the params that have changed since the stage ran; `None` if none has.
fn other_params(stage: &Stage, lock: &Lock) -> Option<String> {
    let made = &lock.stages.get(&stage.name)?.fingerprint;
    let mut now = made.clone();
    now.params.clone_from(&stage.params);
    let changes: Vec<String> = now.changes_since(made).iter().map(Change::to_string).collect();
    (!changes.is_empty()).then(|| changes.join(", "))
}
