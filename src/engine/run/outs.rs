//! The outs of a stage: cleared before its command runs, committed to the cache afterwards.

use super::dep_watch::DepWatch;
use super::outcome::{StageResult, Uncommitted};
use super::processes::Deliver;
use crate::engine::observe::{self, Observation, edits};
use crate::engine::record::{Made, record};
use crate::engine::replaced::{Replaced, is_adopted};
use crate::engine::{Project, commit, obstacle};
use crate::error::{Error, Result};
use crate::event::Work;
use crate::exec::StageMessage;
use crate::pipeline::{Cached, Out, PRIVATE, Persist, Presence, Stage};
use crate::plan::{SourceVersion, Trace};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Stores and removes the present content of one out, and creates its parent folder. Returns what
/// a user made of it.
pub(super) fn clear_out(
    project: &Project,
    stage: &Stage,
    out: &Out,
    observation: &Observation,
    failures: u64,
) -> Result<Replaced> {
    let path = &out.path;
    let mut replaced = obstacle::clear(project, path)?;
    // The remains of a failed attempt are not stored.
    match observation.outs.get(path) {
        Some(Some(seen)) if failures == 0 => {
            // Content that the lock names was synced before the lock was written.
            let is_the_stages = is_as_locked(project, stage, path, seen)
                && !is_adopted(project, stage, path, seen)?;
            match is_the_stages {
                false => replaced.append(commit::store_durably(project, path, seen)?),
                true if out.cached == Cached::Yes => commit::store(project, path, seen)?,
                true => {}
            }
            match out.persist {
                Persist::No => project.workspace.remove(path)?,
                // The stage will write into the file, which may be linked to the cache.
                Persist::Yes => drop(commit::relink(project, path, seen, &PRIVATE)?),
            }
        }
        _ if failures > 0 && out.persist == Persist::No => project.workspace.remove(path)?,
        _ => {}
    }
    project.workspace.make_parent(path)?;
    Ok(replaced)
}

/// Warns about a user's files that were replaced.
pub(super) fn warn_of_replaced(replaced: &Replaced, deliver: &Deliver<'_>) {
    let warnings = replaced.warnings();
    deliver(warnings.into_iter().map(StageMessage::Warning).collect());
}

/// Reports whether the content is the one in the lock.
fn is_as_locked(project: &Project, stage: &Stage, path: &RepoPath, seen: &Observed) -> bool {
    let locked = project.lock.stages.get(&stage.name);
    locked.and_then(|trace| trace.outs.get(path)) == Some(&seen.content())
}

/// Commits the outs of a stage. `watch` was at its deps while a command ran, and `version` was
/// fetched from its origin.
pub(super) fn committed(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
    watch: Option<&DepWatch<'_>>,
    version: Option<SourceVersion>,
) -> StageResult {
    match commit_outs(project, stage, observation, watch, version) {
        Ok(trace) => StageResult::Done(Box::new(trace), Work::Run),
        Err(uncommitted) => uncommitted.result(stage, "ran, but its outs could not be stored"),
    }
}

/// Returns the hint for a missing out that the command wrote below its `wdir` instead.
pub(super) fn written_in_wdir(project: &Project, stage: &Stage, out: &RepoPath) -> Option<String> {
    let wdir = stage.wdir.as_ref()?;
    wdir.to_path(&project.root).join(out.as_str()).symlink_metadata().ok()?;
    Some(format!(
        "it wrote `{wdir}/{out}`; outs are relative to the project root, the command runs in \
         `{wdir}`"
    ))
}

/// Checks that the stage wrote its outs and that no dep changed, then stores outs, listings of
/// deps, and the trace, in this order.
fn commit_outs(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
    watch: Option<&DepWatch<'_>>,
    version: Option<SourceVersion>,
) -> Result<Trace, Uncommitted> {
    let written;
    let found = match stage.is_tracked_input() {
        false => {
            written = observe::outs(project, stage)?;
            &written
        }
        true => &observation.outs,
    };
    let mut outs: Vec<(&Out, &Observed)> = Vec::with_capacity(stage.outs.len());
    for out in &stage.outs {
        let Some(found) = found.get(&out.path).and_then(Option::as_ref) else {
            if out.presence == Presence::Optional {
                continue;
            }
            let error = Error::usage(format!(
                "exited with code 0, but did not write its out `{}`",
                out.path
            ));
            let error = error
                .hint(written_in_wdir(project, stage, &out.path).unwrap_or_else(|| {
                format!(
                    "write it, or remove it from stage `{}` (pipeline.toml:{}); set `optional = \
                     true` if it may be missing",
                    stage.name, out.line
                )
            }));
            return Err(error.into());
        };
        commit::check_restorable(project, &out.path, found)?;
        outs.push((out, found));
    }
    for dep in &stage.deps {
        if let Some(changed) = edits::changed(project, stage, dep, observation)? {
            return Err(Uncommitted::Changed(changed));
        }
    }
    if let Some(changed) = watch.and_then(DepWatch::final_change) {
        return Err(Uncommitted::Changed(changed));
    }
    Ok(record(project, stage, observation, &outs, Made { accepted: None, version })?)
}
