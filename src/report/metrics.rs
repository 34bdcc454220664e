//! The report of `repro metrics show`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::streamed::ReadFailure;
use crate::error::Result;
use crate::event::{RunName, Timestamp};
use crate::number::Number;
use crate::pipeline::{Goal, Goals};
use crate::runs::compare::metric_key;
use crate::runs::{Metrics, Point, Series, StepValue, Store};

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
            let key = of.stage.name_of(&of.key);
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
    step: i64,
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
}
