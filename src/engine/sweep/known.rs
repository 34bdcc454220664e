//! Trials that earlier commands have recorded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::objective::Objective;
use crate::engine::Project;
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::predicted_fingerprint;
use crate::error::Result;
use crate::filter::MetricName;
use crate::number::Number;
use crate::pipeline::{Override, Pipeline, StageName, StageSet};
use crate::plan::Lock;
use crate::runs::sweeps::{HALVED, REPEAT, TRIAL};
use crate::runs::{self, Run, RunState, StageState, Store};
use crate::sweep::{self, Halving};

/// A recorded run of a trial.
#[derive(Debug)]
pub struct Known {
    pub trial: usize,
    pub repeat: usize,
    pub run: Run,
    pub overrides: Vec<Override>,
    /// The metrics, final ones first.
    pub metrics: Vec<(MetricName, f64)>,
    /// Number of values after which the trial was ended early.
    pub halved: Option<usize>,
}

/// Reads the latest run of each repeat of each trial of a sweep.
pub(super) fn read(store: &Store, sweep: &Run) -> Result<Vec<Known>> {
    let mut latest: BTreeMap<(usize, usize), Known> = BTreeMap::new();
    for run in store.trials(sweep.info.uid)? {
        let number = |key: &str| run.tags.get(key).and_then(|text| text.parse().ok());
        let (Some(trial), repeat) = (number(TRIAL), number(REPEAT).unwrap_or(1)) else { continue };
        let overrides = run.info.overrides.iter().map(|text| Override::parse(text));
        let Ok(overrides) = overrides.collect::<Result<Vec<_>, _>>() else { continue };
        let halved = number(HALVED);
        let metrics = metrics(store, &run)?;
        latest.insert((trial, repeat), Known { trial, repeat, run, overrides, metrics, halved });
    }
    Ok(latest.into_values().collect())
}

/// Returns the metrics of a run: the final ones, then the last value of each series.
fn metrics(store: &Store, run: &Run) -> Result<Vec<(MetricName, f64)>> {
    let named = |stage: &str, key: &str, value: Number| {
        (MetricName { stage: stage.to_owned(), key: key.to_owned() }, value.to_f64())
    };
    let last = run.metrics.iter().map(|((stage, key), value)| named(stage.as_str(), key, *value));
    let mut all: Vec<(MetricName, f64)> = last.collect();
    for series in store.series(run.name)? {
        all.push(named(series.stage.as_str(), &series.key, series.last.value));
    }
    Ok(all)
}

/// Reports to `halving` what the trials that are over had reported, in the order of their runs.
/// Others run again.
pub(super) fn replay(
    store: &Store,
    known: &[Known],
    objective: &Objective,
    halving: &mut Halving,
) -> Result<()> {
    let mut over: Vec<&Known> =
        known.iter().filter(|one| one.run.state == RunState::Ok || one.halved.is_some()).collect();
    over.sort_by_key(|one| one.run.name);
    for one in over {
        for series in store.series(one.run.name)? {
            let name = MetricName { stage: series.stage.to_string(), key: series.key.clone() };
            if !name.is_called(&objective.metric) {
                continue;
            }
            let mut count = 0;
            store.points(one.run.name, &series, |point| {
                count += 1;
                halving.report(count, sweep::score(objective.goal, point.value.to_f64()));
                ControlFlow::Continue(())
            })?;
        }
    }
    Ok(())
}

/// Reports whether the stages of a finished trial would find the same inputs now.
pub(super) fn is_current(
    root: &Path,
    history: &Path,
    known: &Known,
    wanted: &dyn Fn(&Pipeline) -> Result<StageSet>,
) -> bool {
    if known.run.state != RunState::Ok && known.halved.is_none() {
        return false;
    }
    let Ok(Some(lock)) = runs::lock_after(history, known.run.name) else { return false };
    Project::load(root, &known.overrides)
        .and_then(|project| finds_the_same(&project, &lock, &wanted(&project.pipeline)?, known))
        .unwrap_or(false)
}

/// Compares the fingerprints of the wanted stages with those in the lock of a trial.
fn finds_the_same(
    project: &Project,
    lock: &Lock,
    wanted: &StageSet,
    known: &Known,
) -> Result<bool> {
    let was_cut = |name: &StageName| {
        let mut stages = known.run.stages.iter();
        stages.any(|stage| stage.stage == *name && stage.state == StageState::Interrupted)
    };
    let mut predicted = Predicted::new();
    let order = project.pipeline.graph.order().iter().copied();
    for ix in order.filter(|ix| wanted.contains(*ix)) {
        let stage = &project.pipeline.stages[ix];
        // The stages up to the one in which a trial was ended early have traces.
        if known.halved.is_some() && was_cut(&stage.name) {
            return Ok(true);
        }
        // A tracked input is compared where it is read.
        if stage.is_tracked_input() {
            continue;
        }
        let Some(trace) = lock.stages.get(&stage.name) else { return Ok(false) };
        if predicted_fingerprint(project, ix, &predicted)? != trace.fingerprint {
            return Ok(false);
        }
        predicted.extend(trace.out_contents());
    }
    Ok(true)
}
