//! The report of the page of a run: everything recorded about it, and what the page can fetch.

use std::path::Path;

use serde::Serialize;

use super::runs::RunReport;
use crate::error::Result;
use crate::event::RunName;
use crate::number::Number;
use crate::pipeline::{Goal, Goals, ParamKey, StageName};
use crate::runs::log::Log;
use crate::runs::{Series, StepValue, Store};

/// Greatest number of children that are listed.
const MOST_CHILDREN: usize = 500;

/// A run, its place among others, and a summary of its series and logs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunPageReport {
    #[serde(flatten)]
    pub run: RunReport,
    /// The params that overrides have set.
    pub overridden: Vec<ParamKey>,
    pub part_of: Option<RunName>,
    /// The first runs that are a part of this one.
    pub parts: Vec<RunName>,
    pub before: Option<RunName>,
    /// Sorted by stage, then key.
    pub series: Vec<SeriesSummary>,
    pub logs: Vec<LogSummary>,
}

/// A series without its points.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesSummary {
    pub stage: StageName,
    pub key: String,
    /// The key with the stage: `train.val_loss`.
    pub name: String,
    pub goal: Option<Goal>,
    pub count: u64,
    pub last: ValueAtStep,
    /// `None` if all values are NaN.
    pub min: Option<ValueAtStep>,
    pub max: Option<ValueAtStep>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ValueAtStep {
    pub step: i64,
    pub value: Number,
}

/// A stage that has a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogSummary {
    pub stage: StageName,
    pub bytes: u64,
}

impl RunPageReport {
    /// # Errors
    /// The store or a log cannot be read.
    pub fn read(
        store: &Store,
        history: &Path,
        name: RunName,
        goals: &Goals,
    ) -> Result<RunPageReport> {
        let report = RunReport::read(store, name, goals)?;
        let mut parts = store.children_in(name, report.run.lifecycle)?;
        parts.truncate(MOST_CHILDREN);
        let mut logs = Vec::new();
        for record in &report.run.stages {
            if let Some(log) = Log::open(history, name, &record.stage)? {
                logs.push(LogSummary { stage: record.stage.clone(), bytes: log.size() });
            }
        }
        let series = store.series(name)?.into_iter().map(|series| summary(series, goals));
        Ok(RunPageReport {
            overridden: report.run.info.overridden.iter().cloned().collect(),
            part_of: report.part_of,
            parts,
            before: store.before(name)?,
            series: series.collect(),
            logs,
            run: report,
        })
    }
}

fn summary(series: Series, goals: &Goals) -> SeriesSummary {
    let Series { stage, key, count, last, min, max } = series;
    let name = stage.name_of(&key);
    let goal = goals.of(&name);
    let (last, min, max) = (at_step(last), min.map(at_step), max.map(at_step));
    SeriesSummary { stage, key, name, goal, count, last, min, max }
}

fn at_step(StepValue { step, value }: StepValue) -> ValueAtStep {
    ValueAtStep { step, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::finished;

    #[test]
    fn page_of_a_run() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let folder = dir.path().join("runs/run-2/train");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("log"), "epoch 1\n").unwrap();
        let report =
            RunPageReport::read(&store, dir.path(), RunName(2), &Goals::default()).unwrap();
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["overridden"].to_string(), r#"["seed"]"#);
        assert_eq!(json["logs"].to_string(), r#"[{"bytes":8,"stage":"train"}]"#);
        assert_eq!(json["before"], "run-1");
        assert_eq!(json["status"], "ok");
        let series = serde_json::json!({
            "stage": "train", "key": "loss", "name": "train.loss", "goal": null, "count": 4,
            "last": { "step": 3, "value": 0.5 },
            "min": { "step": 3, "value": 0.4 },
            "max": { "step": 1, "value": 2.3 },
        });
        assert_eq!(json["series"][0], series);
    }
}
