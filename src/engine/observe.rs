//! Observes one stage: its deps, outs and traces, and the decision that follows from them.

pub mod dep_stamps;
pub mod edits;
pub mod explain;
mod external;
mod links;
pub mod predict;

use std::collections::BTreeMap;
use std::path::Path;

use self::dep_stamps::DepStamps;
use self::predict::{Predicted, Prediction};
use super::foreign::{self, OnForeign};
use super::project::Answers;
use super::{Project, started};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::event::Failure;
use crate::exec;
use crate::lossless;
use crate::pipeline::{Cached, Dep, Each, Out, Policy, Presence, Stage, StageIx};
use crate::plan::decide::{Candidate, RestoreBlocker};
use crate::plan::{Change, Decision, Facts, Fingerprint, Force, OutContents, Trace, decide};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// The observed state of a stage and the decision that follows.
#[derive(Debug)]
pub struct Observation {
    pub fingerprint: Fingerprint,
    pub deps: BTreeMap<RepoPath, Observed>,
    pub outs: BTreeMap<RepoPath, Option<Observed>>,
    /// Changed directories are replaced by the changed files in them.
    pub decision: Decision,
    /// Taken just before the stage runs; empty otherwise.
    pub stamps: DepStamps,
    /// The failure of a stage that would replace files that no stage made.
    pub refusal: Option<Failure>,
}

/// Observes a stage. `predicted` holds outs that other stages will have restored by then.
///
/// Callers that act on the decision must check the refusal first.
///
/// # Errors
/// If a dep is missing or unreadable, a tool fails, or the stage may not run and cannot be
/// restored.
pub fn observe(
    project: &Project,
    ix: StageIx,
    force: Force,
    on_foreign: OnForeign,
    predicted: &Predicted,
) -> Result<Observation> {
    let observation = observe_state(project, ix, force, predicted)?;
    checked(project, ix, on_foreign, observation)
}

/// Adds the refusal to an observation.
///
/// # Errors
/// The stage may not run and cannot be restored.
pub(super) fn checked(
    project: &Project,
    ix: StageIx,
    on_foreign: OnForeign,
    mut observation: Observation,
) -> Result<Observation> {
    let stage = &project.pipeline.stages[ix];
    if let Decision::Blocked(changes) = &observation.decision {
        return Err(blocked(stage, changes));
    }
    let found = (&observation.fingerprint, &observation.decision);
    observation.refusal = foreign::refusal(project, stage, found, &observation.outs, on_foreign)?;
    Ok(observation)
}

/// Does the same as [`observe`], but neither fails if the stage is blocked nor looks for a refusal.
pub(super) fn observe_state(
    project: &Project,
    ix: StageIx,
    force: Force,
    predicted: &Predicted,
) -> Result<Observation> {
    let stage = &project.pipeline.stages[ix];
    let (deps, contents) = dep_contents(project, ix, predicted)?;
    let outs = outs(project, stage)?;
    let fingerprint = fingerprint(&project.root, &project.answers, stage, contents)?;
    let decision = decision(project, stage, &fingerprint, &outs, force);
    let decision = explain::spell_out(project, decision, &deps);
    let stamps = DepStamps::default();
    Ok(Observation { fingerprint, deps, outs, decision, stamps, refusal: None })
}

/// Returns the fingerprint that a stage has once the predicted outs exist.
///
/// # Errors
/// A dep is missing or unreadable, or a tool fails.
pub(super) fn predicted_fingerprint(
    project: &Project,
    ix: StageIx,
    predicted: &Predicted,
) -> Result<Fingerprint> {
    let (_, contents) = dep_contents(project, ix, predicted)?;
    fingerprint(&project.root, &project.answers, &project.pipeline.stages[ix], contents)
}

/// Returns what was observed at each dep that no prediction covers, and the contents of all.
#[allow(clippy::type_complexity)]
fn dep_contents(
    project: &Project,
    ix: StageIx,
    predicted: &Predicted,
) -> Result<(BTreeMap<RepoPath, Observed>, BTreeMap<RepoPath, Content>)> {
    let stage = &project.pipeline.stages[ix];
    check_values(stage)?;
    let mut contents = BTreeMap::new();
    let mut deps = BTreeMap::new();
    for dep in &stage.deps {
        if stage.policy != Policy::Frozen {
            external::check(project, stage, dep)?;
        }
        let content =
            match predict::content(project, predicted, dep, || observe_dep(project, stage, dep))? {
                Prediction::Content(content) => Some(content),
                Prediction::Absent => None,
                Prediction::Unaffected => observe_dep(project, stage, dep)?.map(|seen| {
                    let content = seen.content();
                    deps.insert(dep.path.clone(), seen);
                    content
                }),
            };
        links::check_order(project, ix, dep)?;
        let nothing = || is_of_items(stage, dep).then(|| Observed::empty_dir().content());
        match content.or_else(nothing) {
            Some(content) => drop(contents.insert(dep.path.clone(), content)),
            // A frozen stage does not read its deps.
            None if stage.policy == Policy::Frozen => {}
            None => return Err(missing(project, stage, dep)),
        }
    }
    Ok((deps, contents))
}

/// Returns the content observed at each out of a stage.
pub(super) fn outs(
    project: &Project,
    stage: &Stage,
) -> Result<BTreeMap<RepoPath, Option<Observed>>> {
    let observe = |out: &Out| Ok((out.path.clone(), project.workspace.observe(&out.path)?));
    stage.outs.iter().map(observe).collect()
}

/// Returns the content of a dep or of the matches of its glob, without the stage's own outs.
///
/// `None` if there is nothing.
pub(super) fn observe_dep(project: &Project, stage: &Stage, dep: &Dep) -> Result<Option<Observed>> {
    match dep.source() {
        (path, None) => project.workspace.observe(path),
        (_, Some(glob)) => {
            let matches = project.workspace.observe_glob(glob, &|path| is_own(stage, path))?;
            Ok(matches.or_else(|| is_of_items(stage, dep).then(Observed::empty_dir)))
        }
    }
}

/// Reports whether the dep is the glob of the stage's items, which may match nothing.
fn is_of_items(stage: &Stage, dep: &Dep) -> bool {
    stage.each.as_ref().is_some_and(|each| dep.glob.as_ref() == Some(&each.glob))
}

fn is_own(stage: &Stage, path: &str) -> bool {
    stage.outs.iter().any(|out| out.place().as_str() == path)
}

/// Reports whether an out of `maker` is the dep, inside it, or around it.
pub(super) fn touches(project: &Project, maker: StageIx, dep: &Dep) -> bool {
    project.pipeline.stages[maker].outs.iter().any(|out| dep.may_read(out.place()))
}

/// Returns the fingerprint of a stage, given the contents of its deps.
pub fn fingerprint(
    root: &Path,
    answers: &Answers,
    stage: &Stage,
    deps: BTreeMap<RepoPath, Content>,
) -> Result<Fingerprint> {
    let mut tools = BTreeMap::new();
    for tool in &stage.tools {
        let answer = answers
            .get(tool, || exec::capture(tool, root))
            .map_err(|error| tool_failed(stage, error))?;
        tools.insert(tool.clone(), answer);
    }
    Ok(Fingerprint {
        cmd: stage.cmd.clone(),
        origin: stage.origin.clone(),
        shell: stage.shell.clone(),
        wdir: stage.wdir.clone(),
        env: stage.env.clone(),
        env_deps: stage
            .env_deps
            .iter()
            .map(|name| (name.clone(), lossless::variable(name)))
            .collect(),
        tools,
        deps,
        params: stage.params.clone(),
        outs: stage.outs.iter().map(|out| out.path.clone()).collect(),
        each: stage.each.iter().flat_map(declared).collect(),
    })
}

fn tool_failed(stage: &Stage, error: Error) -> Error {
    let Stage { name, line, .. } = stage;
    error.hint(format!(
        "`tools` of stage `{name}` (pipeline.toml:{line}) takes installed commands that print a \
         version"
    ))
}

fn declared(each: &Each) -> impl Iterator<Item = String> {
    std::iter::once(each.glob.text().to_string())
        .chain(each.outs.iter().map(|out| out.path.to_string()))
}

fn decision(
    project: &Project,
    stage: &Stage,
    fingerprint: &Fingerprint,
    outs: &BTreeMap<RepoPath, Option<Observed>>,
    force: Force,
) -> Decision {
    let found: OutContents = outs
        .iter()
        .map(|(path, seen)| (path.clone(), seen.as_ref().map(Observed::content)))
        .collect();
    let known = |trace: Trace| Candidate {
        blocker: restore_blocker(project, stage, &trace, &found),
        trace,
    };
    let is_mixed = project.lock.mixed.contains(&stage.name);
    let locked = project.lock.stages.get(&stage.name).filter(|_| !is_mixed).cloned();
    // Usually nothing has changed, and the cache need not be read.
    let as_locked = locked
        .as_ref()
        .is_some_and(|trace| trace.fingerprint == *fingerprint && trace.out_contents() == found);
    // `--force` does not run a frozen stage.
    let runs_anyway = force == Force::Yes && stage.policy != Policy::Frozen;
    let cached =
        if as_locked || runs_anyway { None } else { project.cache.trace(&fingerprint.key()) };
    let optional = stage.outs.iter().filter(|out| out.presence == Presence::Optional);
    let facts = Facts {
        fingerprint: fingerprint.clone(),
        unlocked: match locked {
            Some(_) => Change::NeverRan,
            None if is_mixed => Change::MixedRecord,
            None => started::unlocked_reason(project, stage),
        },
        locked: locked.map(known),
        cached: cached.map(known),
        outs: found,
        optional: optional.map(|out| out.path.clone()).collect(),
        policy: stage.policy,
    };
    decide(&facts, force)
}

/// Returns what prevents the outs of a trace from being restored.
fn restore_blocker(
    project: &Project,
    stage: &Stage,
    trace: &Trace,
    found: &OutContents,
) -> Option<RestoreBlocker> {
    let absent = |out: &Out| {
        trace.fingerprint.outs.contains(&out.path) && !trace.outs.contains_key(&out.path)
    };
    if stage.outs.iter().any(|out| out.presence == Presence::Required && absent(out)) {
        return Some(RestoreBlocker::NotWritten);
    }
    let differing = trace.outs.iter().filter(|(path, content)| match found.get(*path) {
        // A tracked input that exists is never replaced.
        Some(Some(_)) if stage.is_tracked_input() => false,
        found => found != Some(&Some(**content)),
    });
    differing.into_iter().find_map(|(path, content)| {
        let kept = stage.outs.iter().find(|out| out.path == *path).map(|out| out.cached);
        match kept {
            // An out that the stage no longer declares is not restored, either.
            None | Some(Cached::No) => Some(RestoreBlocker::NotCached),
            // A tree that cannot be restored is as good as missing.
            Some(Cached::Yes) => project
                .cache
                .first_missing(content)
                .unwrap_or_else(|_| Some(content.digest()))
                .map(RestoreBlocker::Object),
        }
    })
}

fn blocked(stage: &Stage, changes: &[Change]) -> Error {
    let reasons: Vec<String> = changes.iter().map(Change::to_string).collect();
    let reasons = reasons.join(", ");
    if stage.is_tracked_input() {
        return Error::usage(format!(
            "the input tracked by stage `{}` is unavailable: {reasons}",
            stage.name
        ))
        .hint("put the file in place, or remove the stage from pipeline.toml");
    }
    Error::usage(format!(
        "stage `{}` is frozen, and the cache does not have its outs: {reasons}",
        stage.name
    ))
    .hint(format!(
        "remove `frozen` from stage `{}` (pipeline.toml:{}) and run it once",
        stage.name, stage.line
    ))
}

/// Refuses a stage that uses a param without a value. A frozen one does not run.
pub(super) fn check_values(stage: &Stage) -> Result<()> {
    match stage.required.first() {
        Some(key) if stage.policy != Policy::Frozen => {
            let (what, hint) = key.without_value();
            Err(Error::usage(what).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Turns an error of observing a stage into the stage's failure.
pub(super) fn observe_failed(error: Error) -> Failure {
    Failure {
        what: format!("cannot be checked: {}", error.what),
        causes: error.causes,
        hint: error.hint,
    }
}

fn missing(project: &Project, stage: &Stage, dep: &Dep) -> Error {
    if dep.glob.is_some() {
        return Error::usage(format!(
            "dep `{}` of stage `{}` matches nothing",
            dep.path, stage.name
        ))
        .hint(format!(
            "correct the pattern at pipeline.toml:{}, or create files that it matches",
            dep.line
        ));
    }
    let missing =
        Error::usage(format!("dep `{}` of stage `{}` does not exist", dep.path, stage.name));
    let maker = project.pipeline.stages.iter().find_map(|maker| {
        let out = maker.outs.iter().find(|out| out.place() == dep.source().0)?;
        (out.presence == Presence::Optional).then_some(maker)
    });
    if let Some(maker) = maker {
        return missing.hint(format!(
            "it is an optional out of stage `{}`, which did not write it; use a folder or a glob \
             for a dep that may be missing",
            maker.name
        ));
    }
    missing.hint(
        "it is inside an out of another stage, which did not write it; check that stage, or \
         correct the path",
    )
}
