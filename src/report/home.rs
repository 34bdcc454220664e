//! The report of the dashboard's first page: what runs now, otherwise the last run; and what is out
//! of date in the workspace.

use std::path::Path;

use serde::Serialize;

use super::pipeline::{PipelineReport, PipelineStage};
use crate::error::{Error, Result};
use crate::event::{Failure, GitState, Millis, RunKind, RunName, Timestamp};
use crate::number::Number;
use crate::pipeline::{Goal, Goals, StageName};
use crate::runs::compare::metric_key;
use crate::runs::{LOG, Metrics, Run, Series, StageRecord, StageState, Store, stage_dir};

/// Greatest number of runs in progress that are shown.
const MOST_RUNNING: usize = 8;
/// Greatest number of metrics of a run in progress.
const MOST_METRICS: usize = 12;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HomeReport {
    pub pipeline: Option<String>,
    /// Number of runs that are not deleted.
    pub runs: usize,
    /// Number of declared stages.
    pub stages: usize,
    /// Number of stages that are up to date.
    pub fresh: usize,
    /// The other stages, in the order of the graph.
    pub stale: Vec<PipelineStage>,
    /// The reason why the workspace could not be checked.
    pub failure: Option<Failure>,
    /// Newest first.
    pub running: Vec<RunNow>,
    pub last: Option<LastRun>,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunNow {
    #[serde(flatten)]
    pub of: RunHead,
    /// In the order in which the run reached them.
    pub stages: Vec<StageNow>,
    /// The newest values of its series.
    pub metrics: Vec<MetricNow>,
    /// The stage whose log is growing.
    pub log_of: Option<StageName>,
}

/// The facts about a run at the head of its part of the page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunHead {
    pub run: RunName,
    pub name: Option<String>,
    pub kind: RunKind,
    pub status: &'static str,
    pub started: Timestamp,
    pub took: Option<Millis>,
    pub command: Vec<String>,
    pub git: Option<GitState>,
    /// Number of stages that were up to date before it started.
    pub fresh: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageNow {
    pub stage: StageName,
    pub outcome: &'static str,
    pub started: Option<Timestamp>,
    pub took: Option<Millis>,
    pub reasons: Vec<String>,
    pub failure: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricNow {
    /// `train.val_loss`: the stage and the key of the series.
    pub key: String,
    pub value: Number,
    pub step: i64,
    pub goal: Option<Goal>,
    /// The best value by its goal.
    pub best: Option<Number>,
}

/// The last run that ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastRun {
    #[serde(flatten)]
    pub of: RunHead,
    pub stages: Vec<StageNow>,
    pub metrics: Vec<FinalMetric>,
    /// The run whose metrics are the ones before.
    pub before: Option<RunName>,
}

/// The last value of a metric, with that in the run before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinalMetric {
    pub key: String,
    pub value: Number,
    pub before: Option<Number>,
    pub goal: Option<Goal>,
}

impl HomeReport {
    /// Combines the pipeline, or the reason why it cannot be checked, with the history.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn read(
        pipeline: Result<PipelineReport>,
        history: &Path,
        store: Option<&Store>,
        goals: &Goals,
    ) -> Result<HomeReport> {
        let (pipeline, failure) = match pipeline {
            Ok(pipeline) => (Some(pipeline), None),
            Err(error) => (None, Some(failure(error))),
        };
        let (name, all) = pipeline.map_or((None, Vec::new()), |one| (one.pipeline, one.stages));
        let count = all.len();
        let is_stale = |stage: &PipelineStage| !stage.status.verdict.is_fresh();
        let stale: Vec<PipelineStage> = all.into_iter().filter(is_stale).collect();
        let mut report = HomeReport {
            pipeline: name,
            runs: 0,
            stages: count,
            fresh: count - stale.len(),
            stale,
            failure,
            running: Vec::new(),
            last: None,
        };
        if let Some(store) = store {
            report.runs = store.count()?;
            let running = store.in_progress()?;
            for (run, _) in running.iter().take(MOST_RUNNING) {
                report.running.push(RunNow::read(history, store, *run, goals)?);
            }
            report.last = LastRun::find(store, goals)?;
        }
        Ok(report)
    }
}

/// Returns an error as what a run would report.
fn failure(error: Error) -> Failure {
    let others = error.others.iter().map(|other| other.what.clone());
    let causes = error.causes.into_iter().chain(others).collect();
    Failure { what: error.what, causes, hint: error.hint }
}

impl RunHead {
    fn new(run: &Run) -> RunHead {
        RunHead {
            run: run.name,
            name: run.info.name.clone(),
            kind: run.info.kind,
            status: run.state.word(),
            started: run.started,
            took: run.took,
            command: run.info.command.clone(),
            git: run.info.git.clone(),
            fresh: run.info.fresh,
        }
    }
}

impl RunNow {
    fn read(history: &Path, store: &Store, run: RunName, goals: &Goals) -> Result<RunNow> {
        let run = store.run(run)?;
        let has_log = |stage: &&StageRecord| {
            let log = stage_dir(history, run.name, &stage.stage).join(LOG);
            matches!(stage.state, StageState::Running) && log.symlink_metadata().is_ok()
        };
        let log_of = run.stages.iter().rfind(has_log).map(|stage| stage.stage.clone());
        let mut metrics: Vec<MetricNow> =
            store.series(run.name)?.iter().map(|series| MetricNow::new(series, goals)).collect();
        // The declared ones first: the user named them.
        metrics.sort_by_key(|metric| metric.goal.is_none());
        metrics.truncate(MOST_METRICS);
        let stages = run.stages.iter().map(StageNow::new).collect();
        Ok(RunNow { of: RunHead::new(&run), stages, metrics, log_of })
    }
}

impl MetricNow {
    fn new(series: &Series, goals: &Goals) -> MetricNow {
        let key = series.stage.name_of(&series.key);
        let goal = goals.of(&key);
        let best = match goal {
            Some(Goal::Max) => series.max,
            Some(Goal::Min) => series.min,
            None => None,
        };
        MetricNow {
            goal,
            key,
            value: series.last.value,
            step: series.last.step,
            best: best.map(|best| best.value),
        }
    }
}

impl StageNow {
    fn new(record: &StageRecord) -> StageNow {
        /// Reasons that are shown.
        const SHOWN: usize = 2;
        StageNow {
            stage: record.stage.clone(),
            outcome: record.state.word(),
            started: record.started,
            took: record.took,
            reasons: record.reasons.iter().take(SHOWN).cloned().collect(),
            failure: match &record.state {
                StageState::Failed(failure) | StageState::Unrecorded(failure) => {
                    Some(failure.clone())
                }
                _ => None,
            },
        }
    }
}

/// Returns the final metrics of a run, or without any the last values of its series: clients of
/// MLflow log nothing else.
fn latest_values(store: &Store, run: RunName) -> Result<Metrics> {
    let finals = store.metrics(run)?;
    if !finals.is_empty() {
        return Ok(finals);
    }
    let series = store.series(run)?.into_iter();
    Ok(series.map(|one| ((one.stage, one.key), one.last.value)).collect())
}

impl LastRun {
    /// Returns the last run that ended, without those that are a part of another.
    fn find(store: &Store, goals: &Goals) -> Result<Option<LastRun>> {
        let Some(name) = store.last_ended()? else { return Ok(None) };
        let run = store.run(name)?;
        let before = store.before(run.name)?;
        let former =
            before.map_or(Ok(Default::default()), |before| latest_values(store, before))?;
        let metrics = latest_values(store, run.name)?.into_iter().map(|(key, value)| {
            let name = metric_key(&key);
            let goal = goals.of(&name);
            FinalMetric { key: name, value, before: former.get(&key).copied(), goal }
        });
        let mut metrics: Vec<FinalMetric> = metrics.collect();
        metrics.sort_by_key(|metric| metric.goal.is_none());
        let stages = run.stages.iter().map(StageNow::new).collect();
        Ok(Some(LastRun { of: RunHead::new(&run), stages, metrics, before }))
    }
}
