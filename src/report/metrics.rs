//! The reports of `repro metrics show` and `repro metrics compare`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::streamed::ReadFailure;
use crate::error::Result;
use crate::event::{RunName, Timestamp};
use crate::number::Number;
use crate::pipeline::{Goal, Goals, ParamKey, ParamValue};
use crate::runs::compare::{Comparison, MetricRow, RunValues, Verdict, compare, metric_key};
use crate::runs::{Metrics, Point, Run, Series, StepValue, Store};

/// The final metrics and the series of a run.
#[derive(Debug)]
pub struct MetricsReport<'s> {
    store: &'s Store,
    pub failure: ReadFailure,
    pub run: RunName,
    pub metrics: Vec<MetricValue>,
    /// By full key.
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
    pub of: Series,
}

impl MetricSeries {
    /// Returns the best value by the goal; `None` without a goal or numbers.
    pub fn best(&self) -> Option<StepValue> {
        match self.goal? {
            Goal::Max => self.of.max,
            Goal::Min => self.of.min,
        }
    }
}

impl<'s> MetricsReport<'s> {
    pub fn read(store: &'s Store, run: RunName, goals: &Goals) -> Result<MetricsReport<'s>> {
        let metrics = store.metrics(run)?.into_iter().map(|(key, value)| {
            let key = metric_key(&key);
            MetricValue { goal: goals.of(&key), key, value }
        });
        let series = store.series(run)?.into_iter().map(|of| {
            let key = format!("{}.{}", of.stage, of.key);
            MetricSeries { goal: goals.of(&key), key, of }
        });
        let (metrics, mut series) = (metrics.collect(), series.collect::<Vec<_>>());
        series.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(MetricsReport { store, failure: ReadFailure::default(), run, metrics, series })
    }

    pub fn is_empty(&self) -> bool {
        self.metrics.is_empty() && self.series.is_empty()
    }

    /// Returns about `count` points of a series, with the first and the last.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn samples(&self, series: &MetricSeries, count: usize) -> Result<Vec<Point>> {
        self.store.samples(self.run, &series.of, count)
    }
}

/// Reads the points while it serializes them.
impl Serialize for MetricsReport<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let values = self.metrics.iter().map(|metric| (&metric.key, metric.value));
        let mut fields = s.serialize_map(Some(3))?;
        fields.serialize_entry("metrics", &values.collect::<BTreeMap<_, _>>())?;
        fields.serialize_entry("run", &self.run)?;
        fields.serialize_entry("series", &AllSeries(self))?;
        fields.end()
    }
}

struct AllSeries<'r>(&'r MetricsReport<'r>);

impl Serialize for AllSeries<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.series.iter().map(|one| (&one.key, Points(self.0, &one.of))))
    }
}

struct Points<'r>(&'r MetricsReport<'r>, &'r Series);

impl Serialize for Points<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let Points(report, series) = self;
        let mut list = s.serialize_seq(None)?;
        let mut failed = None;
        let read = report.store.points(report.run, series, |point| {
            match list.serialize_element(&PointFields::from(point)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        match (read, failed) {
            (_, Some(error)) => Err(error),
            (Err(error), None) => Err(report.failure.keep(error)),
            (Ok(()), None) => list.end(),
        }
    }
}

/// The fields of a point, sorted.
#[derive(Serialize)]
struct PointFields {
    at: Timestamp,
    step: u64,
    value: Number,
}

impl From<Point> for PointFields {
    fn from(Point { step, value, at }: Point) -> PointFields {
        PointFields { at, step, value }
    }
}

/// Final metrics as a map from `stage.key` to the value.
pub(super) struct FinalMetrics<'a>(pub(super) &'a Metrics);

impl Serialize for FinalMetrics<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(key, value)| (metric_key(key), *value)))
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
    values: &'a [Option<Number>],
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
            values: &row.values,
            difference: row.difference,
            verdict: row.verdict.map(Verdict::word),
            best: row.best.iter().map(|at| runs[*at]).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let report = MetricsReport::read(&store, RunName(2), &goals()).unwrap();
        let mut streamed = Vec::new();
        let written = crate::report::streamed::write_json(&report, &report.failure, &mut streamed);
        written.unwrap().unwrap();
        assert_eq!(String::from_utf8(streamed).unwrap(), crate::report::json(&report));
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
                "value": 0.4
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
