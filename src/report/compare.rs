//! The reports of `repro metrics compare` and `repro params diff`.

use std::path::Path;

use serde::{Serialize, Serializer};

use crate::engine::side::{Numbers, Side};
use crate::error::Result;
use crate::number::Number;
use crate::pipeline::{Goal, ParamKey, ParamValue};
use crate::runs::compare::{
    Column, Comparison, Grouping, MetricNames, MetricRow, ParamRow, Rules, Values, Verdict,
    compare, compare_params, metric_key,
};

/// Params and metrics of two or more sides, next to each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparisonReport {
    pub sides: Vec<Side>,
    pub comparison: Comparison,
    /// Number of equal rows that were left out.
    ///
    /// Not in JSON: it only makes the terminal output mention `--all`.
    pub omitted: Omitted,
    /// Number of metrics with a goal, including those that were left out.
    pub judged: usize,
    /// Metrics files that cannot be read.
    pub unreadable: Vec<String>,
    /// Stages whose metrics were made with other params than those that are compared.
    pub stale: Vec<String>,
}

/// Numbers of equal rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Omitted {
    pub params: usize,
    pub metrics: usize,
}

/// Params of two or more sides, next to each other.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamsReport {
    pub runs: Vec<String>,
    pub params: Vec<ParamRow>,
    /// Number of equal params that were left out. Not in JSON.
    pub omitted: usize,
}

impl ParamsReport {
    /// Reads the params of `sides`.
    ///
    /// # Errors
    /// A side cannot be read.
    pub fn read(root: &Path, sides: &[Side], rows: Rows) -> Result<ParamsReport> {
        let values = sides.iter().map(|side| side.params(root)).collect::<Result<Vec<_>>>()?;
        let mut params = compare_params(&values.iter().collect::<Vec<_>>());
        let all = params.len();
        if rows == Rows::Differing {
            params.retain(ParamRow::differs);
        }
        let runs = sides.iter().map(Side::to_string).collect();
        Ok(ParamsReport { runs, omitted: all - params.len(), params })
    }
}

impl Serialize for ParamsReport {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            runs: &'a [String],
            params: Vec<ParamFields<'a>>,
        }
        let params = self.params.iter().map(ParamFields::from).collect();
        Fields { runs: &self.runs, params }.serialize(s)
    }
}

/// Selects the rows of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    All,
    Differing,
}

impl ComparisonReport {
    /// Reads the params and metrics of `sides` and compares them.
    ///
    /// # Errors
    /// A side cannot be read, or a name matches no metric.
    pub fn read(
        root: &Path,
        sides: Vec<Side>,
        names: &MetricNames,
        rules: &Rules,
        rows: Rows,
    ) -> Result<ComparisonReport> {
        let (mut unreadable, mut stale) = (Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(sides.len());
        for side in &sides {
            let Numbers { metrics, unreadable: bad, stale: old } = side.metrics(root)?;
            unreadable.extend(bad);
            stale.extend(old);
            // Two sides cannot be several groups of which one has two members.
            let may_group = rules.grouping != Grouping::None && sides.len() > 2;
            let lock = if may_group { side.lock(root)? } else { None };
            let params = side.params(root)?;
            values.push(Values { label: side.to_string(), params, metrics, lock });
        }
        let keys = values.iter().flat_map(|side| side.metrics.keys()).map(metric_key);
        let keys: Vec<String> = keys.collect();
        names.check(keys.iter().map(String::as_str))?;
        for side in &mut values {
            side.metrics.retain(|key, _| names.select(&metric_key(key)));
        }
        let comparison = compare(&values, rules);
        Ok(ComparisonReport { unreadable, stale, ..ComparisonReport::of(sides, comparison, rows) })
    }

    fn of(sides: Vec<Side>, mut comparison: Comparison, rows: Rows) -> ComparisonReport {
        let count = |compared: &Comparison| (compared.params.len(), compared.metrics.len());
        let judged = comparison.metrics.iter().filter(|row| row.goal.is_some()).count();
        let all = count(&comparison);
        if rows == Rows::Differing {
            comparison.params.retain(ParamRow::differs);
            comparison.metrics.retain(|row| row.differs);
        }
        let left = count(&comparison);
        let omitted = Omitted { params: all.0 - left.0, metrics: all.1 - left.1 };
        let (unreadable, stale) = (Vec::new(), Vec::new());
        ComparisonReport { sides, comparison, omitted, judged, unreadable, stale }
    }

    /// Returns the metrics that are worse in the last column than in the first, or missing there.
    pub fn worse(&self) -> impl Iterator<Item = &MetricRow> {
        self.comparison.metrics.iter().filter(|row| row.is_worse() == Some(true))
    }
}

impl Serialize for ComparisonReport {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Fields<'a> {
            runs: &'a [String],
            columns: Vec<ColumnFields<'a>>,
            params: Vec<ParamFields<'a>>,
            metrics: Vec<MetricFields<'a>>,
            warnings: Vec<&'a String>,
        }
        let Comparison { columns, params, metrics } = &self.comparison;
        let runs: Vec<String> = self.sides.iter().map(Side::to_string).collect();
        let fields = Fields {
            runs: &runs,
            columns: columns.iter().map(|column| ColumnFields::new(column, &runs)).collect(),
            params: params.iter().map(ParamFields::from).collect(),
            metrics: metrics.iter().map(|row| MetricFields::new(row, columns)).collect(),
            warnings: self.unreadable.iter().chain(&self.stale).collect(),
        };
        fields.serialize(s)
    }
}

#[derive(Serialize)]
struct ColumnFields<'a> {
    label: &'a str,
    /// The runs of which the column has the mean.
    runs: Vec<&'a str>,
}

impl<'a> ColumnFields<'a> {
    fn new(column: &'a Column, runs: &'a [String]) -> ColumnFields<'a> {
        let runs = column.members.iter().map(|at| runs[*at].as_str()).collect();
        ColumnFields { label: &column.label, runs }
    }
}

#[derive(Serialize)]
pub(super) struct ParamFields<'a> {
    key: &'a ParamKey,
    /// In the order of the columns; `null` where a column has none.
    values: &'a [Option<ParamValue>],
}

impl<'a> From<&'a ParamRow> for ParamFields<'a> {
    fn from(row: &'a ParamRow) -> ParamFields<'a> {
        ParamFields { key: &row.key, values: &row.values }
    }
}

/// The fields of a metric. Lists are in the order of the columns, with `null` where a column has
/// no value.
#[derive(Serialize)]
pub(super) struct MetricFields<'a> {
    key: String,
    goal: Option<Goal>,
    values: Vec<Option<Number>>,
    /// Numbers of runs of which the values are the means.
    n: Vec<usize>,
    /// Standard deviations; `null` for one run.
    sd: Vec<Option<f64>>,
    /// The value of the last column minus that of the first.
    difference: Option<Number>,
    verdict: Option<&'static str>,
    /// Labels of the columns with the best value.
    best: Vec<&'a str>,
}

impl<'a> MetricFields<'a> {
    pub(super) fn new(row: &MetricRow, columns: &'a [Column]) -> MetricFields<'a> {
        MetricFields {
            key: row.key(),
            goal: row.goal,
            values: row.values.iter().map(|value| value.map(|value| value.mean)).collect(),
            n: row.values.iter().map(|value| value.map_or(0, |value| value.n)).collect(),
            sd: row.values.iter().map(|value| value.and_then(|value| value.sd)).collect(),
            difference: row.difference,
            verdict: row.verdict.map(Verdict::word),
            best: row.best.iter().map(|at| columns[*at].label.as_str()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::RunName;
    use crate::pipeline::Goals;
    use crate::runs::Store;
    use crate::runs::tests::finished;

    #[test]
    fn comparison_json() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let sides = [1, 2].map(|number| Side::from(store.run(RunName(number)).unwrap()));
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        goals.insert("loss".to_owned(), Goal::Min);
        let rules = Rules { goals, ..Rules::default() };
        let names = MetricNames::default();
        let report =
            ComparisonReport::read(dir.path(), sides.into(), &names, &rules, Rows::Differing);
        let report = report.unwrap();
        assert_eq!(report.omitted, Omitted { params: 2, metrics: 0 });
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "columns": [
            {
              "label": "run-1",
              "runs": [
                "run-1"
              ]
            },
            {
              "label": "run-2",
              "runs": [
                "run-2"
              ]
            }
          ],
          "metrics": [
            {
              "best": [],
              "difference": null,
              "goal": "max",
              "key": "evaluate.accuracy",
              "n": [
                0,
                1
              ],
              "sd": [
                null,
                null
              ],
              "values": [
                null,
                0.625
              ],
              "verdict": null
            },
            {
              "best": [],
              "difference": null,
              "goal": null,
              "key": "train.grad",
              "n": [
                0,
                1
              ],
              "sd": [
                null,
                null
              ],
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
              "goal": "min",
              "key": "train.loss",
              "n": [
                1,
                1
              ],
              "sd": [
                null,
                null
              ],
              "values": [
                2.25,
                0.412345
              ],
              "verdict": "better"
            },
            {
              "best": [],
              "difference": null,
              "goal": null,
              "key": "train.steps",
              "n": [
                0,
                1
              ],
              "sd": [
                null,
                null
              ],
              "values": [
                null,
                30.0
              ],
              "verdict": null
            },
            {
              "best": [],
              "difference": null,
              "goal": null,
              "key": "train.top",
              "n": [
                0,
                1
              ],
              "sd": [
                null,
                null
              ],
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
          ],
          "warnings": []
        }
        "#);
    }
}
