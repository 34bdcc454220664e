//! Looking at one stage: its deps, its outs, its traces; and the decision that follows.

use std::collections::BTreeMap;

use super::predict::{self, Predicted};
use super::{Project, explain};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::exec;
use crate::pipeline::{Dep, Each, Kept, Policy, Presence, Stage, StageIx};
use crate::plan::decide::{Known, Lack};
use crate::plan::{Change, Decision, Facts, Fingerprint, Force, Left, Trace, decide};
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

/// Looks at a stage, all of whose deps are there or predicted.
pub fn observe(project: &Project, ix: StageIx, force: Force, predicted: &Predicted) -> Result<Observation> {
    let stage = &project.pipeline.stages[ix];
    let mut contents = BTreeMap::new();
    let mut deps = BTreeMap::new();
    for dep in &stage.deps {
        let content = match predict::content(project, predicted, dep, || look(project, stage, dep))? {
            Some(predicted) => predicted,
            None => look(project, stage, dep)?.map(|seen| {
                let content = seen.content();
                deps.insert(dep.path.clone(), seen);
                content
            }),
        };
        match content {
            Some(content) => drop(contents.insert(dep.path.clone(), content)),
            // What a frozen stage would read does not matter.
            None if stage.policy == Policy::Frozen => {}
            None => return Err(missing(project, stage, dep)),
        }
    }
    let mut outs = BTreeMap::new();
    for out in &stage.outs {
        outs.insert(out.path.clone(), project.workspace.observe(&out.path)?);
    }
    let fingerprint = fingerprint(project, stage, contents)?;
    let decision = decision(project, stage, &fingerprint, &outs, force);
    if let Decision::Blocked(changes) = &decision {
        return Err(blocked(stage, changes));
    }
    let decision = explain::spell_out(project, decision, &deps);
    Ok(Observation { fingerprint, deps, outs, decision })
}

/// What lies at a dep, or matches it; `None` if nothing does. What the stage itself writes is no match.
pub(super) fn look(project: &Project, stage: &Stage, dep: &Dep) -> Result<Option<Seen>> {
    match &dep.glob {
        None => project.workspace.observe(&dep.path),
        Some(glob) => {
            let own = |path: &str| stage.outs.iter().any(|out| out.path.as_str() == path);
            project.workspace.observe_glob(glob, &own)
        }
    }
}

/// What determines the outs of a stage, given the contents of its deps.
pub fn fingerprint(
    project: &Project,
    stage: &Stage,
    deps: BTreeMap<RepoPath, Content>,
) -> Result<Fingerprint> {
    let variable = |name: &String| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
    let mut tools = BTreeMap::new();
    for tool in &stage.tools {
        tools.insert(tool.clone(), project.answers.get(tool, || exec::ask(tool, &project.root))?);
    }
    Ok(Fingerprint {
        cmd: stage.cmd.clone(),
        shell: stage.shell.clone(),
        wdir: stage.wdir.clone(),
        env: stage.env.clone(),
        env_deps: stage.env_deps.iter().map(|name| (name.clone(), variable(name))).collect(),
        tools,
        deps,
        params: stage.params.clone(),
        outs: stage.outs.iter().map(|out| out.path.clone()).collect(),
        each: stage.each.iter().flat_map(declared).collect(),
    })
}

fn declared(each: &Each) -> impl Iterator<Item = String> {
    std::iter::once(each.glob.text().to_string()).chain(each.outs.iter().map(|out| out.path.to_string()))
}

fn decision(
    project: &Project,
    stage: &Stage,
    fingerprint: &Fingerprint,
    outs: &BTreeMap<RepoPath, Option<Seen>>,
    force: Force,
) -> Decision {
    let found: Left =
        outs.iter().map(|(path, seen)| (path.clone(), seen.as_ref().map(Seen::content))).collect();
    let known = |trace: Trace| Known { lacks: lacks(project, stage, &trace, &found), trace };
    let locked = project.lock.stages.get(&stage.name).cloned();
    // In the usual case, nothing changed, the cache need not be asked.
    let as_locked =
        locked.as_ref().is_some_and(|trace| trace.fingerprint == *fingerprint && trace.left() == found);
    let cached =
        if as_locked || force == Force::Yes { None } else { project.cache.trace(&fingerprint.key()) };
    let facts = Facts {
        fingerprint: fingerprint.clone(),
        locked: locked.map(known),
        cached: cached.map(known),
        outs: found,
        policy: stage.policy,
    };
    decide(&facts, force)
}

/// What keeps the outs of a trace from being brought back.
fn lacks(project: &Project, stage: &Stage, trace: &Trace, found: &Left) -> Option<Lack> {
    let differing = trace.outs.iter().filter(|(path, content)| found.get(*path) != Some(&Some(**content)));
    differing.into_iter().find_map(|(path, content)| {
        let kept = stage.outs.iter().find(|out| out.path == *path).map(|out| out.kept);
        match kept {
            // What the stage no longer declares is not brought back, either.
            None | Some(Kept::Nowhere) => Some(Lack::NotKept),
            Some(Kept::InCache) => project.cache.lacking(content).map(Lack::Object),
        }
    })
}

fn blocked(stage: &Stage, changes: &[Change]) -> Error {
    let reasons: Vec<String> = changes.iter().map(Change::to_string).collect();
    let reasons = reasons.join(", ");
    if stage.cmd.is_none() {
        return Error::usage(format!(
            "the input that stage `{}` tracks cannot be had: {reasons}",
            stage.name
        ))
        .hint("put it there, or take the stage out of pipeline.toml");
    }
    Error::usage(format!("stage `{}` is frozen, and the cache does not have its outs: {reasons}", stage.name))
        .hint(format!("take `frozen` out of stage `{}` in line {} and run it once", stage.name, stage.line))
}

fn missing(project: &Project, stage: &Stage, dep: &Dep) -> Error {
    if dep.glob.is_some() {
        return Error::usage(format!("dep `{}` of stage `{}` matches nothing", dep.path, stage.name)).hint(
            format!(
                "correct the pattern in line {} of pipeline.toml, or make what it should match",
                dep.line
            ),
        );
    }
    let missing = Error::usage(format!("dep `{}` of stage `{}` is not there", dep.path, stage.name));
    let maker = project.pipeline.stages.iter().find_map(|maker| {
        let out = maker.outs.iter().find(|out| out.path == dep.path)?;
        (out.presence == Presence::Optional).then_some(maker)
    });
    if let Some(maker) = maker {
        return missing.hint(format!(
            "it is an optional out of stage `{}`, which did not write it; a dep that may be missing is a folder or a glob",
            maker.name
        ));
    }
    missing.hint(
        "it lies in an out of another stage, which did not write it; look at that stage, or correct the path",
    )
}
