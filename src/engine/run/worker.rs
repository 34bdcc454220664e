//! The work of one stage, on a thread of its own: restores its outs, or runs its command and
//! commits the outs.

use std::sync::Arc;
use std::time::Instant;

use super::dep_watch::DepWatch;
use super::items;
use super::job::{RunContext, check_wdir, job, retrying};
use super::obtain::obtain;
use super::outcome::{StageResult, unstarted, unsuccessful};
use super::outs::{clear_out, committed, warn_of_replaced};
use super::processes::{Deliver, Ended, execute_and_follow};
use crate::engine::foreign::UserLinks;
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::{Observation, edits, observe};
use crate::engine::replaced::Replaced;
use crate::engine::{commit, obstacle, started};
use crate::error::{Kind, Result, exit};
use crate::event::{Millis, Work};
use crate::exec::{Job, StageMessage};
use crate::pipeline::{Stage, StageIx};
use crate::plan::{Decision, Force, Trace};

/// Observes a stage again and does the work that is due now; returns the result and its
/// duration, which is 0 for a failure before its process started.
///
/// A stage may have waited for hours since it became ready, and later edits count. `current` is the
/// observation of a tracked input that is still current.
pub(super) fn execute_stage(
    context: RunContext<'_>,
    ix: StageIx,
    force: Force,
    current: Option<Arc<Observation>>,
    deliver: &Deliver<'_>,
) -> (StageResult, Millis) {
    let began = Instant::now();
    let observation = match current {
        Some(observation) => Ok(observation),
        None => observe_again(context, ix, force).map(Arc::new),
    };
    let result = match observation {
        Err(error) => unstarted("cannot be checked", error),
        Ok(observation) => act(context, ix, &observation, deliver),
    };
    let took = match result {
        StageResult::Unstarted { .. } => Millis(0),
        _ => began.elapsed().into(),
    };
    (result, took)
}

/// Carries out the decision.
fn act(
    context: RunContext<'_>,
    ix: StageIx,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    if let Some(failure) = &observation.refusal {
        return StageResult::Unstarted { failure: failure.clone(), exit: exit::USAGE };
    }
    let project = context.project;
    let stage = &project.pipeline.stages[ix];
    let links = UserLinks::of(project, stage);
    let result = match &observation.decision {
        Decision::Fresh(trace) => StageResult::Done(Box::new(trace.clone()), Work::Restore),
        Decision::Restore(trace, _) => restore(context, trace, observation, deliver),
        Decision::Blocked(_) => panic!("BUG: a blocked stage is an error"),
        Decision::Run(_) => run(context, ix, observation, deliver),
    };
    // If no process started, a user's files may still be at the outs.
    let has_started = !matches!(
        result,
        StageResult::Done(..) | StageResult::Damaged(_) | StageResult::Unstarted { .. }
    );
    if has_started && !stage.is_tracked_input() {
        started::end(project, stage);
    }
    deliver(links.warnings(project).into_iter().map(StageMessage::Warning).collect());
    result
}

/// Observes a stage, and takes the stamps of its deps if it will run.
fn observe_again(context: RunContext<'_>, ix: StageIx, force: Force) -> Result<Observation> {
    let project = context.project;
    let mut observation = observe(project, ix, force, context.on_foreign, &Predicted::new())?;
    if let Decision::Run(_) = observation.decision {
        observation.stamps = edits::dep_stamps(project, ix)?;
    }
    Ok(observation)
}

/// Restores the outs of `trace`.
fn restore(
    context: RunContext<'_>,
    trace: &Trace,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    let project = context.project;
    let restored = || -> Result<Replaced> {
        let mut replaced = Replaced::default();
        for path in trace.outs.keys() {
            replaced.append(obstacle::clear(project, path)?);
        }
        let (_, others) = commit::restore(project, &trace.out_contents(), &observation.outs)?;
        replaced.append(others);
        Ok(replaced)
    };
    match restored() {
        Ok(replaced) => {
            warn_of_replaced(&replaced, deliver);
            StageResult::Done(Box::new(trace.clone()), Work::Restore)
        }
        Err(error) if error.kind == Kind::Damaged => StageResult::Damaged(error),
        Err(error) => unstarted("could not be restored", error),
    }
}

/// Runs the stage's command and commits its outs.
fn run(
    context: RunContext<'_>,
    ix: StageIx,
    observation: &Observation,
    deliver: &Deliver<'_>,
) -> StageResult {
    let stage = &context.project.pipeline.stages[ix];
    if stage.is_tracked_input() {
        return committed(context.project, stage, observation, None, None);
    }
    if let Some(origin) = &stage.origin {
        return obtain(context, ix, origin, observation, deliver);
    }
    if let Some(each) = &stage.each {
        return items::run(context, ix, each, observation, deliver);
    }
    let failure = |ended: &StageResult| match ended {
        StageResult::Failed { failure, .. } | StageResult::Unstarted { failure, .. } => {
            Some(failure.what.clone())
        }
        _ => None,
    };
    let watch = DepWatch::new(context.project, stage, observation);
    retrying(context, stage, deliver, failure, |failures| {
        attempt(context, ix, observation, &watch, failures, deliver)
    })
    .unwrap_or(StageResult::Stopped)
}

/// Runs the command once; `failures` is the number of failed attempts before.
fn attempt(
    context: RunContext<'_>,
    ix: StageIx,
    observation: &Observation,
    watch: &DepWatch<'_>,
    failures: u64,
    deliver: &Deliver<'_>,
) -> StageResult {
    let stage = &context.project.pipeline.stages[ix];
    let ended = prepare(context, stage, observation, failures, deliver).and_then(|job| {
        execute_and_follow(context.groups, &job, stage.timeout, deliver, || watch.check())
    });
    ended.iter().for_each(|ended| context.meter.add(ended));
    match ended {
        Err(error) => unstarted("could not be started", error),
        Ok(Ended { exit, stop, group, .. }) => {
            unsuccessful(stage, exit, stop).unwrap_or_else(|| {
                let result = committed(context.project, stage, observation, Some(watch), None);
                if !matches!(result, StageResult::Done(..)) {
                    group.kill_rest();
                }
                result
            })
        }
    }
}

/// Stores and removes the present outs, and creates folders and the files of the stage contract.
fn prepare(
    context: RunContext<'_>,
    stage: &Stage,
    observation: &Observation,
    failures: u64,
    deliver: &Deliver<'_>,
) -> Result<Job> {
    check_wdir(context.project, stage)?;
    if failures == 0 {
        started::add(context.project, stage)?;
    }
    for out in &stage.outs {
        let replaced = clear_out(context.project, stage, out, observation, failures)?;
        warn_of_replaced(&replaced, deliver);
    }
    job(context, stage, failures)
}
