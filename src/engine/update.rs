//! `repro update`: finds out which origins have other content than the lock, and what has changed
//! when the new content is there.

use std::collections::BTreeMap;

use serde::Serialize;

use super::elsewhere::{Freshness, Sources};
use super::{Project, folder_diff, project};
use crate::digest::Content;
use crate::error::Result;
use crate::pipeline::{Policy, Stage, StageIx, StageName};
use crate::plan::{Change, SourceVersion, Trace};

/// The state of a stage with an origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// The lock has no content of this origin.
    Missing,
    Unchanged,
    /// The source has a newer version of the same content.
    Moved {
        old: Box<SourceVersion>,
        new: Box<SourceVersion>,
    },
    Changed {
        old: Option<Box<SourceVersion>>,
        new: Box<SourceVersion>,
    },
    /// The server names no versions, so that only a download can tell.
    Unknown,
}

/// Asks the source of a stage for its present version. Transfers no content.
///
/// # Errors
/// The source is missing or cannot be reached.
pub fn check(project: &Project, ix: StageIx, sources: &dyn Sources) -> Result<State> {
    let stage = &project.pipeline.stages[ix];
    let Some(origin) = &stage.origin else {
        panic!("BUG: a stage without an origin is checked");
    };
    let locked = project.lock.stages.get(&stage.name);
    let Some(locked) = locked.filter(|locked| locked.fingerprint.origin == stage.origin) else {
        return Ok(State::Missing);
    };
    let Some(known) = &locked.version else { return Ok(State::Unknown) };
    Ok(match sources.check(project, origin, known)? {
        Freshness::Unchanged => State::Unchanged,
        Freshness::Moved(new) => State::Moved { old: Box::new(known.clone()), new: Box::new(new) },
        Freshness::Changed(new) => {
            State::Changed { old: Some(Box::new(known.clone())), new: Box::new(new) }
        }
        Freshness::Unknown => State::Unknown,
    })
}

/// Reports whether the stage can be updated: it has an origin and is not frozen.
pub fn is_updatable(stage: &Stage) -> bool {
    stage.origin.is_some() && stage.policy != Policy::Frozen
}

/// The content of a stage before and after an update.
#[derive(Debug, Clone)]
pub struct Updated {
    pub old: Option<Content>,
    pub new: Content,
    /// The changed files of a folder, if the cache has both versions and they are not too many.
    pub files: Vec<Change>,
}

/// Returns what an update has changed, by stage; `before` are the traces from before. Stages whose
/// content is the same are left out.
///
/// # Errors
/// The lock cannot be read.
pub fn changes(
    project: &Project,
    before: &BTreeMap<StageName, Trace>,
    stages: &[StageIx],
) -> Result<BTreeMap<StageName, Updated>> {
    let after = project::load_lock(&project.root)?;
    let mut updated = BTreeMap::new();
    for &ix in stages {
        let Stage { name, outs, .. } = &project.pipeline.stages[ix];
        let content = |trace: Option<&Trace>| {
            outs.first().and_then(|out| trace?.outs.get(&out.path)).copied()
        };
        let (old, new) = (content(before.get(name)), content(after.stages.get(name)));
        let Some(new) = new.filter(|new| old != Some(*new)) else { continue };
        let files = match (old, new, outs.first()) {
            (Some(Content::Tree(old)), Content::Tree(new), Some(out)) => {
                let files = folder_diff::changes(&project.cache, &out.path, &old, &new);
                let change = |file: folder_diff::FileChange| Change::DepFile {
                    path: file.path,
                    fate: file.fate,
                };
                files.unwrap_or_default().into_iter().map(change).collect()
            }
            _ => Vec::new(),
        };
        updated.insert(name.clone(), Updated { old, new, files });
    }
    Ok(updated)
}
