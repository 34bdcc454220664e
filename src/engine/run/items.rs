//! The work of a stage with items: finds the stale items, restores those that the cache has, and
//! processes the rest.

mod list;
mod prepare;
mod process;

use self::list::{Items, found, is_per_item};
use self::prepare::prepare;
use self::process::Processing;
use super::dep_watch::DepWatch;
use super::job::{RunContext, job};
use super::outcome::{StageResult, unstarted};
use super::outs::{committed, warn_of_replaced};
use super::processes::Deliver;
use crate::engine::Project;
use crate::engine::observe::Observation;
use crate::error::{Kind, Result};
use crate::event::Work;
use crate::exec::StageMessage;
use crate::pipeline::{Each, Mode, Presence, Stage, StageIx};
use crate::repo_path::RepoPath;

/// Brings the items of a stage up to date, and commits the stage.
pub(super) fn run(
    context: RunContext<'_>,
    ix: StageIx,
    each: &Each,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    let project = context.project;
    let stage = &project.pipeline.stages[ix];
    let items = match Items::supplied(project, stage, each, observation, context.supply) {
        Ok(items) => items,
        Err(error) => return unstarted("could not be started", error),
    };
    deliver(context.supply.warnings().into_iter().map(StageMessage::Warning).collect());
    if items.all.is_empty() {
        deliver(vec![StageMessage::Warning(format!(
            "`{}` matches nothing, so there are no items",
            each.glob.text()
        ))]);
    }
    let stale = items.stale();
    // Outs that belong to no item are written again whenever the set of items changes.
    let plain = stage.outs.iter().any(|out| !is_per_item(each, &out.path));
    let process = !stale.is_empty() || (plain && each.mode == Mode::Batch);
    let job = match prepare(project, stage, each, observation, &items)
        .map(|replaced| warn_of_replaced(&replaced, deliver))
        .and_then(|()| job(context, stage, 0))
    {
        Ok(job) => job,
        Err(error) if error.kind == Kind::Damaged => return StageResult::Damaged(error),
        Err(error) => return unstarted("could not be started", error),
    };
    if !process {
        return match committed(project, stage, observation, None, None) {
            StageResult::Done(trace, _) => StageResult::Done(trace, Work::Restore),
            other => other,
        };
    }
    let watch = DepWatch::new(project, stage, observation);
    match Processing::new(context, stage, each, &items.shared, &stale, &watch, deliver)
        .process_all(job)
    {
        Err(uncommitted) => uncommitted.result(stage, "could not process its items"),
        Ok(Some(unsuccessful)) => unsuccessful,
        Ok(None) => committed(project, stage, observation, Some(&watch), None),
    }
}

/// Returns an item and a required out of it that does not exist.
pub(in crate::engine) fn missing_item_out(
    project: &Project,
    stage: &Stage,
    each: &Each,
    observation: &Observation,
) -> Result<Option<(RepoPath, RepoPath)>> {
    for item in Items::of(project, stage, each, observation)?.all {
        for (out, path) in each.outs.iter().zip(item.outs) {
            if out.presence == Presence::Required && found(observation, &path).is_none() {
                return Ok(Some((item.path, path)));
            }
        }
    }
    Ok(None)
}
