//! `repro accept`: declares that the changes since a stage ran do not affect its outs. Pairs the
//! present fingerprint with the outs in the lock, and records the reason in lock and history.

use super::observe::predict::Predicted;
use super::observe::{Observation, explain, observe};
use super::{Project, commit, metrics, provenance};
use crate::clock::now_millis;
use crate::error::{Error, Result};
use crate::event::{Event, Millis, Outcome, RunInfo, RunName, RunStatus, Subscriber};
use crate::pipeline::{Policy, Stage, StageIx};
use crate::plan::{Change, Decision, Force, Trace, lock};
use crate::runs;
use crate::workspace::Observed;
use crate::workspace::run_lock::RunLock;

/// The accepted changes and the run that records them.
#[derive(Debug)]
pub struct Accepted {
    pub run: RunName,
    pub changes: Vec<Change>,
}

/// Accepts the changes of a stage. `command` is the command line, for the record.
///
/// # Errors
/// If nothing has changed, or if the workspace does not hold the outs that the lock names.
pub fn accept(
    project: &Project,
    _held: &RunLock,
    ix: StageIx,
    reason: &str,
    command: Vec<String>,
    recorder: &mut dyn Subscriber,
) -> Result<Accepted> {
    let stage = &project.pipeline.stages[ix];
    refuse_policy(stage)?;
    let Some(locked) = project.lock.stages.get(&stage.name) else {
        return Err(Error::usage(format!("stage `{}` is not in `{}`", stage.name, lock::FILE))
            .hint("a stage can be accepted only after it has run once"));
    };
    let observed = observe(project, ix, Force::No, &Predicted::new())?;
    let trace = vouched(stage, locked, &observed, reason)?;
    let changes = observed.fingerprint.changes_since(&locked.fingerprint);
    let Decision::Run(changes) =
        explain::spell_out(project, Decision::Run(changes), &observed.deps)
    else {
        panic!("BUG: the detailed decision differs from the decision");
    };
    for dep in observed.deps.values() {
        commit::store_listing(project, dep)?;
    }
    project.cache.put_trace(&trace)?;
    let mut lock = project.lock.clone();
    lock.stages.insert(stage.name.clone(), trace.clone());
    project.save_lock(&lock)?;
    // Without an index, the next run hashes again and gets the same result.
    let _ = project.workspace.save_index();
    let run = record(project, stage, command, &trace, (reason, &changes), recorder);
    Ok(Accepted { run, changes })
}

fn refuse_policy(stage: &Stage) -> Result<()> {
    let name = &stage.name;
    if stage.cmd.is_none() {
        return Err(Error::usage(format!(
            "stage `{name}` tracks an input and has nothing to accept"
        ))
        .hint(format!("`repro run {name}` records the present input")));
    }
    if stage.policy == Policy::Always {
        return Err(Error::usage(format!(
            "stage `{name}` has `always` and runs every time, whatever is accepted"
        ))
        .hint(format!("remove `always` at pipeline.toml:{}", stage.line)));
    }
    Ok(())
}

/// Returns a trace of the present fingerprint with the lock's outs, if the workspace holds them and
/// no cached trace says otherwise.
fn vouched(stage: &Stage, locked: &Trace, observed: &Observation, reason: &str) -> Result<Trace> {
    let name = &stage.name;
    let changed = observed.fingerprint != locked.fingerprint;
    if !changed || matches!(observed.decision, Decision::Fresh(_)) {
        let differs = locked.out_contents().into_iter().find(|(path, left)| {
            observed.outs.get(path).and_then(Option::as_ref).map(Observed::content) != *left
        });
        return Err(match differs {
            Some((path, _)) if !changed => differing(stage, path.as_str()),
            _ => Error::usage(format!("stage `{name}` is up to date; there is nothing to accept")),
        });
    }
    let mut outs = locked.outs.clone();
    // Outs that the stage no longer declares are left out.
    outs.retain(|path, _| observed.outs.contains_key(path));
    for (path, seen) in &observed.outs {
        if !locked.fingerprint.outs.contains(path) {
            return Err(Error::usage(format!("stage `{name}` has never written its out `{path}`"))
                .hint(format!("run it once: `repro run {name}`")));
        }
        if seen.as_ref().map(Observed::content) != outs.get(path).copied() {
            return Err(differing(stage, path.as_str()));
        }
    }
    if matches!(observed.decision, Decision::Restore(..)) {
        return Err(Error::usage(format!(
            "stage `{name}` has run with this input before and wrote different outs"
        ))
        .hint(format!("`repro run {name}` restores those outs")));
    }
    Ok(Trace { fingerprint: observed.fingerprint.clone(), outs, accepted: Some(reason.to_owned()) })
}

fn differing(stage: &Stage, path: &str) -> Error {
    let name = &stage.name;
    Error::usage(format!("out `{path}` of stage `{name}` differs from `{}`", lock::FILE))
        .hint(format!("`repro checkout {name}` restores the out from the cache"))
}

/// Records the acceptance as a run of its own in the history.
fn record(
    project: &Project,
    stage: &Stage,
    command: Vec<String>,
    trace: &Trace,
    (reason, changes): (&str, &[Change]),
    recorder: &mut dyn Subscriber,
) -> RunName {
    let run = runs::next_run(&project.root);
    let info = RunInfo {
        pipeline: project.pipeline.name.clone(),
        command,
        params: project.pipeline.used_params(),
        overrides: Vec::new(),
        host: provenance::host(),
        git: provenance::git(&project.root),
        fresh: 0,
    };
    recorder.on_event(&Event::RunStarted { run, at: now_millis(), info });
    let outcome = Outcome::Accepted { reason: reason.to_owned(), changes: changes.to_vec() };
    let (name, outs) = (stage.name.clone(), trace.outs.clone());
    recorder.on_event(&Event::StageEnded {
        stage: name,
        at: now_millis(),
        outcome,
        took: Millis(0),
        outs,
    });
    // A metrics file that is not JSON was reported when the stage wrote it.
    let values = metrics::read(&project.root, stage, |_| {});
    if !values.is_empty() {
        recorder.on_event(&Event::FinalMetrics { stage: stage.name.clone(), values });
    }
    recorder.on_event(&Event::RunEnded {
        run: Some(run),
        at: now_millis(),
        status: RunStatus::Ok,
        took: Millis(0),
    });
    run
}
