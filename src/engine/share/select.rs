//! Selects what is sent or fetched: outs and traces of the lock, of runs or of git revisions.

use std::collections::{BTreeSet, HashSet};

use crate::digest::Content;
use crate::engine::Project;
use crate::engine::checkout;
use crate::engine::revision::Revision;
use crate::engine::upkeep::revisions::{self, Revisions};
use crate::engine::upkeep::roots::ProjectRoots;
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::pipeline::{Cached, Glob, StageName};
use crate::plan::{Lock, Trace, lock};
use crate::repo_path::RepoPath;

/// The states whose outs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// `pipeline.lock`.
    Lock,
    /// A run.
    Run(String),
    /// `pipeline.lock` at git revisions.
    Revisions(Vec<Revisions>),
    /// All that is known.
    All,
}

/// A name on the command line.
#[derive(Debug, Clone)]
pub enum Name {
    /// A stage, the family of a matrix, or else a path.
    Any(String, RepoPath),
    Stage(String),
    Path(RepoPath),
}

/// An out, or a part of one, to send or fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chosen {
    pub stage: StageName,
    pub path: RepoPath,
    pub content: Content,
}

/// The outs and traces to send or fetch.
#[derive(Debug, Default)]
pub struct Selection {
    /// Each content at a path once.
    pub outs: Vec<Chosen>,
    /// Traces of stages that were selected as a whole.
    pub traces: Vec<Trace>,
    /// Outs of which parts were selected: their folders travel, too, since they lead to the parts.
    pub around: HashSet<Content>,
    /// Outs with `cache = false`, which are not sent.
    pub uncached: BTreeSet<RepoPath>,
}

impl Selection {
    /// Selects outs of some locks.
    ///
    /// # Errors
    /// A name stands for nothing in any of them; a tree on the way to a path is missing.
    pub fn of_locks(project: &Project, locks: &[&Lock], names: &[Name]) -> Result<Selection> {
        let roots = ProjectRoots::of(project);
        let mut selection = Selection::default();
        let mut seen = HashSet::new();
        let mut add =
            |selection: &mut Selection, chosen: Chosen| match roots.keeps(chosen.path.as_str()) {
                Cached::No => drop(selection.uncached.insert(chosen.path)),
                Cached::Yes if seen.insert(chosen.clone()) => selection.outs.push(chosen),
                Cached::Yes => {}
            };
        let whole = |lock: &Lock, wanted: &dyn Fn(&StageName) -> bool| -> Vec<(StageName, Trace)> {
            let stages = lock.stages.iter().filter(|(stage, _)| wanted(stage));
            stages.map(|(stage, trace)| (stage.clone(), trace.clone())).collect()
        };
        let mut add_stages = |selection: &mut Selection, stages: Vec<(StageName, Trace)>| {
            for (stage, trace) in stages {
                for (path, content) in &trace.outs {
                    let (stage, path) = (stage.clone(), path.clone());
                    add(selection, Chosen { stage, path, content: *content });
                }
                selection.traces.push(trace);
            }
        };
        if names.is_empty() {
            locks.iter().for_each(|lock| add_stages(&mut selection, whole(lock, &|_| true)));
        }
        let mut parts: Vec<Chosen> = Vec::new();
        for name in names {
            let mut found = false;
            if let Name::Any(stage, _) | Name::Stage(stage) = name {
                for lock in locks {
                    let stages = whole(lock, &|other| is_of(other, stage));
                    found |= !stages.is_empty();
                    add_stages(&mut selection, stages);
                }
            }
            if let (false, Name::Any(_, path) | Name::Path(path)) = (found, name) {
                for lock in locks {
                    let at = checkout::parts_at(project, lock, path)
                        .map_err(|error| unknown_folder(path, error))?;
                    let outs = lock.stages.values().flat_map(|trace| &trace.outs);
                    let around = outs.filter(|(out, _)| overlaps(out, path) && !path.contains(out));
                    selection.around.extend(around.map(|(_, content)| *content));
                    found |= !at.is_empty();
                    for part in at {
                        let present = part.paths.into_iter();
                        let present = present.filter_map(|(path, content)| Some((path, content?)));
                        parts.extend(present.map(|(path, content)| Chosen {
                            stage: part.stage.clone(),
                            path,
                            content,
                        }));
                    }
                }
            }
            if !found {
                return Err(unknown(locks, name));
            }
        }
        parts.into_iter().for_each(|part| add(&mut selection, part));
        Ok(selection)
    }

    /// Adds files that processes of a run have reported, and outs of runs without a lock.
    fn add_outs(&mut self, project: &Project, outs: Vec<(StageName, RepoPath, Content)>) {
        let known: HashSet<Chosen> = self.outs.iter().cloned().collect();
        let roots = ProjectRoots::of(project);
        let outs = outs.into_iter().map(|(stage, path, content)| Chosen { stage, path, content });
        self.outs.extend(outs.filter(|chosen| {
            !known.contains(chosen) && roots.keeps(chosen.path.as_str()) == Cached::Yes
        }));
    }
}

/// Selects what `names` mean in the states of `extent`; for [`Extent::All`] only what locks name.
///
/// # Errors
/// A run, a revision or a name does not exist.
pub fn select(project: &Project, extent: &Extent, names: &[Name]) -> Result<Selection> {
    let selection = match extent {
        Extent::Lock | Extent::All => {
            let selection = Selection::of_locks(project, &[&project.lock], names)?;
            if *extent == Extent::Lock && project.lock.stages.is_empty() {
                return Err(Error::usage(format!("`{}` records no outs yet", lock::FILE))
                    .hint("`repro run` makes the outs"));
            }
            selection
        }
        Extent::Run(name) => {
            let revision = Revision::find(&project.root, name)?;
            let lock = revision.lock(&project.root)?.unwrap_or_default();
            let mut selection = Selection::of_locks(project, &[&lock], names)?;
            if names.is_empty() {
                selection.add_outs(project, revision.outs(&project.root)?);
            }
            selection
        }
        Extent::Revisions(wanted) => {
            let found = revisions::locks(&project.root, wanted)?;
            let locks: Vec<&Lock> = found.locks.iter().collect();
            Selection::of_locks(project, &locks, names)?
        }
    };
    Ok(selection)
}

/// Returns the locks that `extent` means, for a look at what has to be fetched first.
///
/// # Errors
/// A run or a revision does not exist.
pub(super) fn locks(project: &Project, extent: &Extent) -> Result<Vec<Lock>> {
    Ok(match extent {
        Extent::Lock | Extent::All => vec![project.lock.clone()],
        Extent::Run(name) => {
            let revision = Revision::find(&project.root, name)?;
            revision.lock(&project.root)?.into_iter().collect()
        }
        Extent::Revisions(wanted) => revisions::locks(&project.root, wanted)?.locks,
    })
}

/// Returns the outs of locks in which the names may mean parts.
pub(super) fn outs_around(locks: &[Lock], names: &[Name]) -> HashSet<Content> {
    let paths: Vec<&RepoPath> = names
        .iter()
        .filter_map(|name| match name {
            Name::Any(_, path) | Name::Path(path) => Some(path),
            Name::Stage(_) => None,
        })
        .collect();
    let outs = locks.iter().flat_map(|lock| lock.stages.values()).flat_map(|trace| &trace.outs);
    let around = outs.filter(|(out, _)| paths.iter().any(|path| overlaps(out, path)));
    around.map(|(_, content)| *content).collect()
}

/// Reports whether a path or glob may mean an out, or a part of it.
fn overlaps(out: &RepoPath, path: &RepoPath) -> bool {
    match Glob::parse(path) {
        Ok(Some(glob)) => glob.base().is_none_or(|base| base.overlaps(out)),
        _ => path.overlaps(out),
    }
}

fn unknown_folder(path: &RepoPath, error: Error) -> Error {
    match error.kind {
        Kind::Usage => error,
        _ => {
            Error::damaged(format!("cannot look up `{path}`: a folder that leads to it is missing"))
                .because(error.what)
                .hint("fetch or push the whole out, by the name of its stage")
        }
    }
}

/// Reports whether a stage has this name, or is a variant of the matrix with it.
fn is_of(stage: &StageName, name: &str) -> bool {
    stage.as_str() == name
        || stage.as_str().split_once('@').is_some_and(|(family, _)| family == name)
}

fn unknown(locks: &[&Lock], name: &Name) -> Error {
    let (text, path) = match name {
        Name::Any(text, path) => (text.as_str(), path.as_str()),
        Name::Stage(text) => (text.as_str(), text.as_str()),
        Name::Path(path) => (path.as_str(), path.as_str()),
    };
    let what = format!("`{}` has no stage and no out `{text}`", lock::FILE);
    let stages: BTreeSet<&str> =
        locks.iter().flat_map(|lock| lock.stages.keys()).map(StageName::as_str).collect();
    let outs =
        locks.iter().flat_map(|lock| lock.stages.values()).flat_map(|trace| trace.outs.keys());
    let names = stages.iter().copied().chain(outs.map(RepoPath::as_str));
    let error = Error::usage(what);
    match did_you_mean(path, names) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None if stages.is_empty() => error.hint("`repro run` makes the outs"),
        None => {
            let stages: Vec<&str> = stages.into_iter().take(20).collect();
            error.hint(format!("its stages are {}", stages.join(", ")))
        }
    }
}
