//! `repro accept`: declares that the outs in the workspace are those of a stage as it is now, so
//! that it need not run. Records the outs with the reason in lock, cache and history.

use std::collections::BTreeMap;

use super::gitignore::ignore_new_outs;
use super::observe::predict::Predicted;
use super::observe::{Observation, explain, observe_state};
use super::record::{Made, record};
use super::run::missing_item_out;
use super::saved_git::SavedGit;
use super::{Project, commit, ended_orphan, metrics, provenance, started};
use crate::clock::now_millis;
use crate::error::{Error, Result};
use crate::event::{Event, Millis, Outcome, RunInfo, RunKind, RunName, RunStatus, Subscriber};
use crate::exec::kill_orphans;
use crate::pipeline::{Out, Pipeline, Policy, Presence, Stage, StageIx, StageName};
use crate::plan::{Change, Decision, Force, Trace, lock};
use crate::repo_path::RepoPath;
use crate::runs;
use crate::workspace::Observed;
use crate::workspace::run_lock::RunLock;

/// The accepted stages and the run that records them.
#[derive(Debug)]
pub struct Accepted {
    pub run: RunName,
    /// In the order of the graph, with the accepted changes.
    pub stages: Vec<(StageName, Vec<Change>)>,
    /// Remarks for the user.
    pub warnings: Vec<String>,
    /// The outs that were added to `.gitignore`.
    pub ignored: Result<Vec<RepoPath>>,
}

/// Returns the stages that can be accepted: they have a command, and do not run every time.
pub fn acceptable(pipeline: &Pipeline) -> Vec<StageIx> {
    let stages = StageIx::enumerate(&pipeline.stages);
    stages.filter(|(_, stage)| refuse_policy(stage).is_ok()).map(|(ix, _)| ix).collect()
}

/// Accepts the outs of those of `stages` that are not up to date; all of them or none. `command` is
/// the command line, for the record.
///
/// # Errors
/// One error per stage that cannot be accepted. It is also an error if all are up to date.
pub fn accept(
    project: &Project,
    _held: &RunLock,
    stages: &[StageIx],
    reason: &str,
    command: Vec<String>,
    recorder: &mut dyn Subscriber,
) -> Result<Accepted> {
    // Orphaned processes would write into the outs.
    let orphans = kill_orphans(&project.markers())?;
    let mut warnings: Vec<String> = orphans.iter().map(|stage| ended_orphan(stage)).collect();
    let (mut candidates, mut errors) = (Vec::new(), Vec::new());
    let order = project.pipeline.graph.order().iter().copied();
    for ix in order.filter(|ix| stages.contains(ix)) {
        match candidate(project, ix) {
            Ok(found) => candidates.extend(found),
            Err(error) => errors.push(error),
        }
    }
    if !errors.is_empty() {
        return Err(Error::several(errors));
    }
    if candidates.is_empty() {
        return Err(nothing_to_accept(project, stages));
    }
    let outs = candidates.iter().flat_map(|one| present(one.stage, &one.observed));
    let outs: Vec<(&RepoPath, &Observed)> = outs.map(|(out, seen)| (&out.path, seen)).collect();
    commit::announce_adopted(project, &outs)?;
    let mut traces: BTreeMap<StageName, Option<Trace>> = BTreeMap::new();
    for Candidate { stage, observed, .. } in &candidates {
        let outs = present(stage, observed);
        let made = Made { accepted: Some(reason.to_owned()), version: None };
        let trace = record(project, stage, observed, &outs, made)?;
        traces.insert(stage.name.clone(), Some(trace));
    }
    project.save_changes(&traces)?;
    let outs = candidates.iter().flat_map(|one| &one.stage.outs).map(|out| &out.path);
    started::remove(project, &outs.collect());
    // Without an index, the next run hashes again and gets the same result.
    let _ = project.workspace.save_index();
    let (run, complaints) = add_to_history(project, command, &candidates, reason, recorder);
    warnings.extend(complaints);
    let ignored = ignore_new_outs(project, candidates.iter().map(|one| one.stage));
    let changes = |one: Candidate<'_>| (one.stage.name.clone(), one.changes);
    let stages = candidates.into_iter().map(changes).collect();
    Ok(Accepted { run, stages, warnings, ignored })
}

/// A stage that can be accepted, and the changes since its trace in the lock.
struct Candidate<'p> {
    stage: &'p Stage,
    observed: Observation,
    changes: Vec<Change>,
}

/// Returns the stage if it can be accepted; `None` if it is up to date.
fn candidate(project: &Project, ix: StageIx) -> Result<Option<Candidate<'_>>> {
    let stage = &project.pipeline.stages[ix];
    refuse_policy(stage)?;
    let observed = observe_state(project, ix, Force::No, &Predicted::new())?;
    if matches!(observed.decision, Decision::Fresh(_)) {
        return Ok(None);
    }
    let locked = project.lock.stages.get(&stage.name);
    let edited = locked.map_or(Vec::new(), |locked| edited(locked, &observed));
    refuse_missing(stage, &observed)?;
    if locked.is_some() && edited.is_empty() {
        refuse_known(stage, &observed)?;
    } else if let Some(each) = &stage.each
        && let Some((item, out)) = missing_item_out(project, stage, each, &observed)?
    {
        // A stage whose outs the lock names processes an item without outs when it next runs.
        return Err(missing(stage, &out, &format!(" of item `{item}`")));
    }
    for (out, seen) in present(stage, &observed) {
        commit::check_restorable(project, &out.path, seen)?;
    }
    let mut changes = match locked {
        None => vec![started::unlocked_reason(project, stage)],
        Some(locked) => observed.fingerprint.changes_since(&locked.fingerprint),
    };
    changes.extend(edited.into_iter().map(|path| Change::OutEdited { path }));
    let Decision::Run(changes) =
        explain::spell_out(project, Decision::Run(changes), &observed.deps)
    else {
        panic!("BUG: the detailed decision differs from the decision");
    };
    Ok(Some(Candidate { stage, observed, changes }))
}

fn nothing_to_accept(project: &Project, stages: &[StageIx]) -> Error {
    let what = match stages {
        [ix] => format!("stage `{}` is up to date", project.pipeline.stages[*ix].name),
        _ => "all these stages are up to date".to_owned(),
    };
    Error::usage(format!("{what}; there is nothing to accept"))
}

/// Returns the outs that exist.
fn present<'o>(stage: &'o Stage, observed: &'o Observation) -> Vec<(&'o Out, &'o Observed)> {
    let outs = stage.outs.iter();
    outs.filter_map(|out| Some((out, observed.outs.get(&out.path)?.as_ref()?))).collect()
}

/// Returns the outs that differ from what the stage wrote, or that it has never written.
fn edited(locked: &Trace, observed: &Observation) -> Vec<RepoPath> {
    let differs = |(path, seen): &(&RepoPath, &Option<Observed>)| {
        seen.as_ref().map(Observed::content) != locked.outs.get(*path).copied()
    };
    observed.outs.iter().filter(differs).map(|(path, _)| path.clone()).collect()
}

fn refuse_policy(stage: &Stage) -> Result<()> {
    let name = &stage.name;
    if stage.origin.is_some() {
        return Err(Error::usage(format!(
            "stage `{name}` downloads its out and has nothing to accept"
        ))
        .hint(format!("`repro update {name}` takes over the present content of its URL")));
    }
    if stage.is_tracked_input() {
        return Err(Error::usage(format!(
            "stage `{name}` tracks an input and has nothing to accept"
        ))
        .hint(format!("`repro run {name}` records the current input")));
    }
    if stage.policy == Policy::Always {
        return Err(Error::usage(format!(
            "stage `{name}` has `always` and runs every time, whatever is accepted"
        ))
        .hint(format!("remove `always` at pipeline.toml:{}", stage.line)));
    }
    Ok(())
}

fn refuse_missing(stage: &Stage, observed: &Observation) -> Result<()> {
    let absent = |out: &&Out| observed.outs.get(&out.path).is_none_or(Option::is_none);
    let mut required = stage.outs.iter().filter(|out| out.presence == Presence::Required);
    let Some(out) = required.find(absent) else { return Ok(()) };
    Err(missing(stage, &out.path, ""))
}

fn missing(stage: &Stage, out: &RepoPath, of: &str) -> Error {
    let name = &stage.name;
    let make = match stage.policy {
        Policy::Frozen => format!(" (`{name}` is frozen and does not run)"),
        _ => format!(", or make it with `repro run {name}`"),
    };
    Error::usage(format!("out `{out}`{of} of stage `{name}` does not exist")).hint(format!(
        "put it in place to accept it{make}; set `optional = true` if it may be missing"
    ))
}

/// Refuses outs that are as the lock has them if the stage is known to write others now.
fn refuse_known(stage: &Stage, observed: &Observation) -> Result<()> {
    if !matches!(observed.decision, Decision::Restore(..)) {
        return Ok(());
    }
    let name = &stage.name;
    Err(Error::usage(format!(
        "stage `{name}` has run with this input before and wrote different outs"
    ))
    .hint(format!("`repro run {name}` restores those outs")))
}

/// Records the acceptance as a run of its own in the history, and returns what is wrong with
/// metrics files.
fn add_to_history(
    project: &Project,
    command: Vec<String>,
    accepted: &[Candidate<'_>],
    reason: &str,
    recorder: &mut dyn Subscriber,
) -> (RunName, Vec<String>) {
    let run = runs::take_number(&project.history);
    let git = SavedGit::of(project, &runs::run_dir(&project.history, run)).state;
    let info = RunInfo { command, git, ..provenance::run_info(project, RunKind::Accept) };
    recorder.on_event(&Event::RunStarted { run, at: now_millis(), info: Box::new(info) });
    runs::keep_lock(&project.history, run, &project.root.join(lock::FILE));
    for Candidate { stage, observed, changes } in accepted {
        let outcome = Outcome::Accepted { reason: reason.to_owned(), changes: changes.clone() };
        let outs = present(stage, observed).into_iter();
        recorder.on_event(&Event::StageEnded {
            stage: stage.name.clone(),
            at: now_millis(),
            outcome,
            took: Millis(0),
            outs: outs.map(|(out, seen)| (out.path.clone(), seen.content())).collect(),
            usage: None,
            artifacts: BTreeMap::new(),
        });
    }
    let mut warnings = Vec::new();
    let is_accepted = |stage: &Stage| accepted.iter().any(|one| one.stage.name == stage.name);
    for stage in &project.pipeline.stages {
        if !is_accepted(stage) && !metrics::is_as_locked(project, stage) {
            continue;
        }
        let metrics::Found { values, complaints } = metrics::read(&project.root, stage);
        warnings.extend(complaints.iter().map(|text| format!("stage `{}`: {text}", stage.name)));
        if !values.is_empty() {
            recorder.on_event(&Event::FinalMetrics { stage: stage.name.clone(), values });
        }
    }
    recorder.on_event(&Event::RunEnded {
        run: Some(run),
        at: now_millis(),
        status: RunStatus::Ok,
        took: Millis(0),
    });
    (run, warnings)
}
