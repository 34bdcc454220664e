//! The reports of `repro metrics show` and `repro metrics compare`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::Number;
use crate::error::Result;
use crate::event::{RunName, Timestamp};
use crate::pipeline::{Goal, Goals, ParamKey, ParamValue, StageName};
use crate::runs::compare::{Comparison, MetricRow, RunValues, Verdict, compare, metric_key};
use crate::runs::{Run, Series};

/// The final metrics and the series of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MetricsReport {
    pub run: RunName,
    #[serde(serialize_with = "metrics_by_key")]
    pub metrics: Vec<MetricValue>,
    #[serde(serialize_with = "series_by_key")]
    pub series: Vec<MetricSeries>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricValue {
    /// `train.val_loss`: the stage and the key of the metric.
    pub key: String,
    pub value: Number,
    pub goal: Option<Goal>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct MetricSeries {
    /// `train.val_loss`: the stage and the key of the series.
    pub key: String,
    pub goal: Option<Goal>,
    /// Points in the order of their steps.
    pub points: Vec<Point>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    pub step: u64,
    pub value: Number,
    pub at: Timestamp,
}

impl MetricsReport {
    pub fn new(run: &Run, series: &[Series], goals: &Goals) -> MetricsReport {
        let metrics = run.metrics.iter().map(|(key, value)| {
            let key = metric_key(key);
            MetricValue { goal: goals.of(&key), key, value: Number(*value) }
        });
        let series = series.iter().map(|series| {
            let key = format!("{}.{}", series.stage, series.key);
            let point = |(step, value, at): &(u64, f64, Timestamp)| Point {
                step: *step,
                value: Number(*value),
                at: *at,
            };
            MetricSeries {
                goal: goals.of(&key),
                key,
                points: series.points.iter().map(point).collect(),
            }
        });
        MetricsReport { run: run.name, metrics: metrics.collect(), series: series.collect() }
    }

    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.series.is_empty()
    }
}

fn metrics_by_key<S: Serializer>(metrics: &[MetricValue], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(metrics.iter().map(|metric| (&metric.key, metric.value)))
}

fn series_by_key<S: Serializer>(series: &[MetricSeries], s: S) -> Result<S::Ok, S::Error> {
    s.collect_map(series.iter().map(|series| (&series.key, &series.points)))
}

/// Final metrics as a map from `stage.key` to the value.
pub(super) struct FinalMetrics<'a>(pub(super) &'a BTreeMap<(StageName, String), f64>);

impl Serialize for FinalMetrics<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(key, value)| (metric_key(key), Number(*value))))
    }
}

/// Params and metrics of two or more runs side by side.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonReport {
    pub runs: Vec<Run>,
    pub comparison: Comparison,
    /// Number of params that are equal in all runs and were left out.
    ///
    /// Not in JSON: it only makes the terminal output mention `--all`.
    pub omitted: usize,
}

/// Selects the params that a comparison lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Params {
    All,
    Differing,
}

impl ComparisonReport {
    pub fn new(runs: Vec<Run>, goals: &Goals, params: Params) -> ComparisonReport {
        let values: Vec<RunValues> = runs.iter().map(RunValues::from).collect();
        let mut comparison = compare(&values, goals);
        let all = comparison.params.len();
        if params == Params::Differing {
            comparison.params.retain(|row| row.differs());
        }
        let omitted = all - comparison.params.len();
        ComparisonReport { runs, comparison, omitted }
    }
}

impl Serialize for ComparisonReport {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            runs: &'a [RunName],
            params: Vec<ParamFields<'a>>,
            metrics: Vec<MetricFields<'a>>,
        }
        let Comparison { runs, params, metrics } = &self.comparison;
        let params =
            params.iter().map(|row| ParamFields { key: &row.key, values: &row.values }).collect();
        let metrics = metrics.iter().map(|row| MetricFields::new(row, runs)).collect();
        Fields { runs, params, metrics }.serialize(s)
    }
}

#[derive(Serialize)]
struct ParamFields<'a> {
    key: &'a ParamKey,
    /// In the order of the runs; `null` where a run has none.
    values: &'a [Option<ParamValue>],
}

#[derive(Serialize)]
struct MetricFields<'a> {
    key: &'a str,
    /// In the order of the runs; `null` where a run has none.
    values: Vec<Option<Number>>,
    /// The value of the last run minus that of the first.
    difference: Option<Number>,
    verdict: Option<&'static str>,
    /// Runs with the best value.
    best: Vec<RunName>,
}

impl<'a> MetricFields<'a> {
    fn new(row: &'a MetricRow, runs: &[RunName]) -> MetricFields<'a> {
        MetricFields {
            key: &row.key,
            values: row.values.iter().map(|value| value.map(Number)).collect(),
            difference: row.difference.map(Number),
            verdict: row.verdict.map(Verdict::word),
            best: row.best.iter().map(|at| runs[*at]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::Store;
    use crate::runs::tests::finished;

    fn goals() -> Goals {
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert("loss".to_owned(), Goal::Min);
        goals
    }

    #[test]
    fn metrics_json() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let run = store.run(RunName(2)).unwrap();
        let report = MetricsReport::new(&run, &store.series(RunName(2)).unwrap(), &goals());
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "metrics": {
            "evaluate.accuracy": 0.625,
            "train.grad": "NaN",
            "train.loss": 0.412345,
            "train.steps": 30.0,
            "train.top": "Infinity"
          },
          "run": "run-2",
          "series": {
            "train.loss": [
              {
                "at": 1778335701000,
                "step": 1,
                "value": 2.3
              },
              {
                "at": 1778335701000,
                "step": 2,
                "value": "NaN"
              },
              {
                "at": 1778335701000,
                "step": 3,
                "value": 0.5
              }
            ]
          }
        }
        "#);
    }

    #[test]
    fn comparison_json() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let runs = [1, 2].map(|number| store.run(RunName(number)).unwrap());
        let report = ComparisonReport::new(runs.into(), &goals(), Params::Differing);
        assert_eq!(report.omitted, 2);
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "metrics": [
            {
              "best": [],
              "difference": null,
              "key": "evaluate.accuracy",
              "values": [
                null,
                0.625
              ],
              "verdict": null
            },
            {
              "best": [],
              "difference": null,
              "key": "train.grad",
              "values": [
                null,
                "NaN"
              ],
              "verdict": null
            },
            {
              "best": [
                "run-2"
              ],
              "difference": -1.837655,
              "key": "train.loss",
              "values": [
                2.25,
                0.412345
              ],
              "verdict": "better"
            },
            {
              "best": [],
              "difference": null,
              "key": "train.steps",
              "values": [
                null,
                30.0
              ],
              "verdict": null
            },
            {
              "best": [],
              "difference": null,
              "key": "train.top",
              "values": [
                null,
                "Infinity"
              ],
              "verdict": null
            }
          ],
          "params": [
            {
              "key": "train.epochs",
              "values": [
                10,
                30
              ]
            }
          ],
          "runs": [
            "run-1",
            "run-2"
          ]
        }
        "#);
    }
}
