//! The differences of two sides, stage by stage: the changes of the fingerprints in their locks,
//! and of the outs, down to the files in folders. Writes nothing.

mod patch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

pub use self::patch::{Patch, patches};
use super::folder_diff;
use super::project;
use super::side::{OutsByStage, Side};
use crate::cache::Cache;
use crate::digest::Content;
use crate::error::Result;
use crate::pipeline::StageName;
use crate::plan::change::Fate;
use crate::plan::{Change, Lock, Trace};
use crate::repo_path::RepoPath;
use crate::runs::StageState;

/// The differences of two sides.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    /// The stages that differ, sorted by name.
    pub stages: Vec<StageDiff>,
    /// The files that differ and that no stage makes.
    pub inputs: Inputs,
    /// Things that could not be compared, with the reason.
    pub notes: Vec<String>,
}

/// Contents of files on both sides; `None` where a file is absent.
pub type Inputs = BTreeMap<RepoPath, [Option<Content>; 2]>;

/// The difference of a stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageDiff {
    pub stage: StageName,
    /// `added` and `removed` if one side does not have the stage.
    pub fate: Fate,
    /// Changes of the fingerprint; none for a stage of one side.
    pub changes: Vec<Change>,
    pub outs: Vec<OutDiff>,
}

/// The difference of an out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OutDiff {
    pub path: RepoPath,
    pub fate: Fate,
    /// The changed files of a folder, if the cache has its listings.
    pub files: Vec<FileDiff>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileDiff {
    pub path: RepoPath,
    pub fate: Fate,
}

/// Compares two sides of the project at `root`.
///
/// # Errors
/// A lock or the run store cannot be read.
pub fn difference(root: &Path, old: &Side, new: &Side) -> Result<Difference> {
    let cache = project::open_cache(root)?;
    let mut found = Difference::default();
    let locks = (old.lock(root)?, new.lock(root)?);
    for (side, lock) in [(old, &locks.0), (new, &locks.1)] {
        found.notes.extend(unfinished(side));
        if lock.is_none() {
            found.notes.push(format!(
                "the lock of {side} was not kept, so commands, deps, tools and variables of stages \
                 cannot be compared"
            ));
        }
    }
    match &locks {
        (Some(before), Some(after)) => found.add_stages(&cache, before, after),
        _ => found.add_outs(&cache, &old.outs(root)?, &new.outs(root)?),
    }
    Ok(found)
}

/// Names the stages of a run that left no result, or an older one.
fn unfinished(side: &Side) -> Vec<String> {
    let stages = side.run().into_iter().flat_map(|run| &run.stages);
    let note = |stage: &crate::runs::StageRecord| {
        let word = match stage.state {
            StageState::Failed(_) => "failed",
            StageState::Skipped { .. } => "was skipped",
            StageState::Interrupted => "was interrupted",
            StageState::Unrecorded(_) => "was not recorded",
            _ => return None,
        };
        let name = &stage.stage;
        Some(format!("stage `{name}` {word} in {side}: what it left before is compared, if any"))
    };
    stages.filter_map(note).collect()
}

impl Difference {
    fn add_stages(&mut self, cache: &Cache, old: &Lock, new: &Lock) {
        let made: BTreeSet<&RepoPath> = [old, new]
            .into_iter()
            .flat_map(|lock| lock.stages.values().flat_map(|trace| trace.outs.keys()))
            .collect();
        let names: BTreeSet<&StageName> = old.stages.keys().chain(new.stages.keys()).collect();
        for name in names {
            let (before, after) = (old.stages.get(name), new.stages.get(name));
            let changes = match (before, after) {
                (Some(before), Some(after)) => self.changes(cache, before, after, &made),
                _ => Vec::new(),
            };
            let outs_of = |trace: Option<&Trace>| trace.map(|trace| trace.outs.clone());
            self.add(cache, name, [outs_of(before), outs_of(after)], changes);
        }
    }

    fn add_outs(&mut self, cache: &Cache, old: &OutsByStage, new: &OutsByStage) {
        let names: BTreeSet<&StageName> = old.keys().chain(new.keys()).collect();
        for name in names {
            self.add(cache, name, [old.get(name).cloned(), new.get(name).cloned()], Vec::new());
        }
    }

    /// Adds a stage if it differs.
    fn add(
        &mut self,
        cache: &Cache,
        stage: &StageName,
        sides: [Option<BTreeMap<RepoPath, Content>>; 2],
        changes: Vec<Change>,
    ) {
        let fate = match &sides {
            [None, _] => Fate::Added,
            [_, None] => Fate::Removed,
            _ => Fate::Changed,
        };
        let outs = match &sides {
            [Some(old), Some(new)] => outs(cache, old, new),
            _ => Vec::new(),
        };
        if fate != Fate::Changed || !changes.is_empty() || !outs.is_empty() {
            self.stages.push(StageDiff { stage: stage.clone(), fate, changes, outs });
        }
    }

    /// Returns the changes of a fingerprint, with those of folders replaced by those of their
    /// files, and collects the changed inputs.
    fn changes(
        &mut self,
        cache: &Cache,
        old: &Trace,
        new: &Trace,
        made: &BTreeSet<&RepoPath>,
    ) -> Vec<Change> {
        let mut detailed = Vec::new();
        for change in new.fingerprint.changes_since(&old.fingerprint) {
            let Change::Dep { path, old, new } = &change else {
                detailed.push(change);
                continue;
            };
            let is_made = |path: &RepoPath| made.iter().any(|out| out.overlaps(path));
            let files = match (old, new) {
                (Some(Content::Tree(old)), Some(Content::Tree(new))) => {
                    folder_diff::changes(cache, path, old, new)
                }
                (old, new) => {
                    if !is_made(path) {
                        self.inputs.insert(path.clone(), [*old, *new]);
                    }
                    None
                }
            };
            let Some(files) = files.filter(|files| !files.is_empty()) else {
                detailed.push(change);
                continue;
            };
            for file in files {
                if !is_made(&file.path) {
                    self.inputs.insert(file.path.clone(), [file.old, file.new]);
                }
                detailed.push(Change::DepFile { path: file.path, fate: file.fate });
            }
        }
        detailed
    }
}

fn outs(
    cache: &Cache,
    old: &BTreeMap<RepoPath, Content>,
    new: &BTreeMap<RepoPath, Content>,
) -> Vec<OutDiff> {
    let paths: BTreeSet<&RepoPath> = old.keys().chain(new.keys()).collect();
    let mut outs = Vec::new();
    for path in paths {
        let fate = match (old.get(path), new.get(path)) {
            (before, after) if before == after => continue,
            (None, _) => Fate::Added,
            (_, None) => Fate::Removed,
            _ => Fate::Changed,
        };
        let files = match (old.get(path), new.get(path)) {
            (Some(Content::Tree(before)), Some(Content::Tree(after))) => {
                folder_diff::changes(cache, path, before, after).unwrap_or_default()
            }
            _ => Vec::new(),
        };
        let files = files.into_iter().map(|file| FileDiff { path: file.path, fate: file.fate });
        outs.push(OutDiff { path: path.clone(), fate, files: files.collect() });
    }
    outs
}
