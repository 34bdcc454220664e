//! Looking at one stage: its deps, its outs, its traces; and the decision that follows.

use std::collections::BTreeMap;

use super::{Project, explain};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::pipeline::{Stage, StageIx};
use crate::plan::decide::Cached;
use crate::plan::{Decision, Facts, Fingerprint, Force, decide};
use crate::repo_path::RepoPath;
use crate::workspace::Seen;

/// What was seen of a stage and what follows from it.
#[derive(Debug)]
pub struct Observation {
    pub fingerprint: Fingerprint,
    pub deps: BTreeMap<RepoPath, Seen>,
    pub outs: BTreeMap<RepoPath, Option<Seen>>,
    /// With what changed inside of directories spelt out.
    pub decision: Decision,
}

/// Contents that deps will have once other stages are restored.
pub type Predicted = BTreeMap<RepoPath, Content>;

/// Looks at a stage, all of whose deps are there or predicted.
pub fn observe(project: &Project, ix: StageIx, force: Force, predicted: &Predicted) -> Result<Observation> {
    let stage = &project.pipeline.stages[ix];
    let mut contents = BTreeMap::new();
    let mut deps = BTreeMap::new();
    for dep in &stage.deps {
        if let Some(content) = predicted_content(project, predicted, &dep.path) {
            contents.insert(dep.path.clone(), content);
            continue;
        }
        let seen = project.workspace.observe(&dep.path)?.ok_or_else(|| missing(stage, &dep.path))?;
        contents.insert(dep.path.clone(), seen.content());
        deps.insert(dep.path.clone(), seen);
    }
    let mut outs = BTreeMap::new();
    for out in &stage.outs {
        outs.insert(out.path.clone(), project.workspace.observe(&out.path)?);
    }
    let fingerprint = fingerprint(stage, contents);
    let decision = decision(project, stage, &fingerprint, &outs, force);
    let decision = explain::spell_out(project, decision, &deps);
    Ok(Observation { fingerprint, deps, outs, decision })
}

/// What determines the outs of a stage, given the contents of its deps.
pub fn fingerprint(stage: &Stage, deps: BTreeMap<RepoPath, Content>) -> Fingerprint {
    Fingerprint {
        cmd: stage.cmd.clone(),
        wdir: stage.wdir.clone(),
        env: stage.env.clone(),
        deps,
        params: stage.params.clone(),
        outs: stage.outs.iter().map(|out| out.path.clone()).collect(),
    }
}

fn decision(
    project: &Project,
    stage: &Stage,
    fingerprint: &Fingerprint,
    outs: &BTreeMap<RepoPath, Option<Seen>>,
    force: Force,
) -> Decision {
    let found: BTreeMap<RepoPath, Option<Content>> =
        outs.iter().map(|(path, seen)| (path.clone(), seen.as_ref().map(Seen::content))).collect();
    let locked = project.lock.stages.get(&stage.name).cloned();
    // In the usual case, nothing changed, the cache need not be asked.
    let as_locked = locked.as_ref().is_some_and(|trace| {
        trace.fingerprint == *fingerprint
            && trace.outs.iter().all(|(path, content)| found.get(path) == Some(&Some(*content)))
    });
    let cached = if as_locked || force == Force::Yes { None } else { cached(project, fingerprint) };
    decide(&Facts { fingerprint: fingerprint.clone(), locked, cached, outs: found }, force)
}

fn cached(project: &Project, fingerprint: &Fingerprint) -> Option<Cached> {
    let trace = project.cache.trace(&fingerprint.key())?;
    let lacking = trace.outs.values().find_map(|content| project.cache.lacking(content));
    Some(match lacking {
        None => Cached::Whole(trace),
        Some(digest) => Cached::Lacking(trace, digest),
    })
}

/// The content that `path` will have: predicted itself, or found in the tree predicted for a directory above it.
fn predicted_content(project: &Project, predicted: &Predicted, path: &RepoPath) -> Option<Content> {
    if let Some(content) = predicted.get(path) {
        return Some(*content);
    }
    let (above, mut content) = path
        .ancestors()
        .find_map(|above| predicted.get_key_value(above))
        .map(|(above, content)| (above, *content))?;
    for name in path.below(above)?.split('/') {
        content = *project.cache.tree(&content.digest()).ok()?.entries.get(name)?;
    }
    Some(content)
}

fn missing(stage: &Stage, path: &RepoPath) -> Error {
    Error::usage(format!("dep `{path}` of stage `{}` is not there", stage.name)).hint(
        "it lies in an out of another stage, which did not write it; look at that stage, or correct the path",
    )
}
