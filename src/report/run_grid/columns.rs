//! The columns of the grid: the fields of `repro runs list`, and some that only it has.

use std::collections::HashMap;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::event::RunName;
use crate::filter::{Direction, Known, MetricName};
use crate::pipeline::{Goal, Goals};
use crate::report::run_columns::{self, Shows};
use crate::runs::Store;
use crate::runs::cells::Source;

/// A column of the grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GridColumn {
    /// Name in the address of the page: `metrics.evaluate.accuracy`, `best:train.loss`.
    pub key: String,
    pub kind: Kind,
    /// Heading without the prefix.
    pub title: String,
    pub goal: Option<Goal>,
    #[serde(skip)]
    pub(super) reads: Reads,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Attribute,
    Time,
    Duration,
    Metric,
    /// The best value among the variants of a matrix, with its stage.
    Variant,
    Param,
    Tag,
    /// All tags of a run.
    Tags,
    /// The best value of a series, with its step.
    Best,
    Curve,
}

impl GridColumn {
    /// Reports whether the column shows the value of a metric.
    pub(super) fn is_metric(&self) -> bool {
        matches!(self.kind, Kind::Metric | Kind::Variant | Kind::Best)
    }
}

/// The way in which the values of a column are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reads {
    Field(run_columns::Column),
    Extreme(Extremes),
    /// Tags and curves, which do not stand among the values.
    Nothing,
}

/// The best value of a metric, among the variants of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Extremes {
    pub(super) variants: Vec<MetricName>,
    pub(super) goal: Goal,
}

impl Extremes {
    /// Returns the best value in each run.
    pub(super) fn best_of_all(&self, store: &Store) -> Result<HashMap<RunName, f64>> {
        let mut best: HashMap<RunName, f64> = HashMap::new();
        for metric in &self.variants {
            for (run, value) in store.extremes(metric, self.goal)? {
                let old = best.entry(run).or_insert(value);
                *old = if self.goal == Goal::Max { old.max(value) } else { old.min(value) };
            }
        }
        Ok(best)
    }

    pub(super) fn usual_direction(&self) -> Direction {
        match self.goal {
            Goal::Max => Direction::Descending,
            Goal::Min => Direction::Ascending,
        }
    }
}

/// Returns the columns that `texts` choose.
///
/// # Errors
/// No run has such a field, or a metric whose best value is wanted has no goal.
pub(super) fn columns(texts: &[String], known: &Known, goals: &Goals) -> Result<Vec<GridColumn>> {
    let mut columns: Vec<GridColumn> = Vec::new();
    for text in texts {
        let found = match text.trim() {
            "tags" => vec![GridColumn {
                key: "tags".to_owned(),
                kind: Kind::Tags,
                title: "tags".to_owned(),
                goal: None,
                reads: Reads::Nothing,
            }],
            text => match (extreme_of(text, known, goals)?, text.strip_prefix("curve:")) {
                (Some(extremes), _) => vec![best_column(text, extremes)],
                (None, Some(name)) => known.metric(name)?.iter().map(curve_column).collect(),
                (None, None) => {
                    let fields = run_columns::columns(&[text.to_owned()], known, goals)?;
                    fields.into_iter().filter_map(|column| field_column(column, goals)).collect()
                }
            },
        };
        for column in found {
            if !columns.iter().any(|other| other.key == column.key) {
                columns.push(column);
            }
        }
    }
    Ok(columns)
}

/// Parses `best:METRIC`, `min:METRIC` or `max:METRIC`; `None` for anything else.
///
/// # Errors
/// No run has such a metric, or the best value of one without a goal is wanted.
pub(super) fn extreme_of(text: &str, known: &Known, goals: &Goals) -> Result<Option<Extremes>> {
    let Some((prefix, name)) = text.split_once(':') else { return Ok(None) };
    let fixed = match prefix {
        "best" => None,
        "min" => Some(Goal::Min),
        "max" => Some(Goal::Max),
        _ => return Ok(None),
    };
    let variants = known.metric(name.strip_prefix("metrics.").unwrap_or(name))?;
    let full = variants.first().map(MetricName::of_family).unwrap_or_default();
    let goal = fixed.or_else(|| goals.of(&full)).ok_or_else(|| {
        Error::usage(format!("metric `{full}` has no goal"))
            .hint(format!("choose `min:{full}` or `max:{full}`"))
    })?;
    Ok(Some(Extremes { variants, goal }))
}

fn best_column(text: &str, extremes: Extremes) -> GridColumn {
    let (prefix, name) = text.split_once(':').unwrap_or(("best", text));
    GridColumn {
        key: text.to_owned(),
        kind: Kind::Best,
        title: format!("{prefix} {}", name.strip_prefix("metrics.").unwrap_or(name)),
        goal: Some(extremes.goal),
        reads: Reads::Extreme(extremes),
    }
}

fn curve_column(metric: &MetricName) -> GridColumn {
    GridColumn {
        key: format!("curve:{}", metric.full()),
        kind: Kind::Curve,
        title: metric.full(),
        goal: None,
        reads: Reads::Nothing,
    }
}

/// Returns the column of a field; `None` for the stage of a best value, which stands beside it.
fn field_column(column: run_columns::Column, goals: &Goals) -> Option<GridColumn> {
    use crate::filter::Attribute::{Ended, Started, Took};
    if column.shows == Shows::BestStage {
        return None;
    }
    let (kind, goal) = match &column.shows {
        Shows::One(Source::Metric(metric)) => (Kind::Metric, goals.of(&metric.of_family())),
        Shows::One(Source::Param(_)) => (Kind::Param, None),
        Shows::One(Source::Tag(_)) => (Kind::Tag, None),
        Shows::One(Source::Attribute(Started | Ended)) => (Kind::Time, None),
        Shows::One(Source::Attribute(Took)) => (Kind::Duration, None),
        Shows::One(Source::Attribute(_)) | Shows::BestStage => (Kind::Attribute, None),
        Shows::Best(_, goal) => (Kind::Variant, Some(*goal)),
    };
    Some(GridColumn {
        key: column.name.clone(),
        kind,
        title: column.heading().to_owned(),
        goal,
        reads: Reads::Field(column),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(texts: &[&str]) -> String {
        let metric = |(stage, key): (&str, &str)| MetricName {
            stage: stage.to_owned(),
            key: key.to_owned(),
        };
        let known = Known {
            metrics: [("a@x", "acc"), ("a@y", "acc"), ("train", "loss")].map(metric).into(),
            params: vec!["train.rate".to_owned()],
            tags: vec!["team".to_owned()],
        };
        let mut goals = Goals::default();
        goals.insert("acc".to_owned(), Goal::Max);
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        match columns(&texts, &known, &goals) {
            Ok(columns) => columns
                .iter()
                .map(|column| format!("{}|{}|{:?}", column.key, column.title, column.kind))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => format!("{}; {}", error.what, error.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn columns_of_the_grid() {
        for (texts, expected) in [
            (&["took", "started", "took"][..], "took|took|Duration started|started|Time"),
            (&["tags", "rate"], "tags|tags|Tags params.train.rate|train.rate|Param"),
            (&["acc"], "metrics.a.acc|a.acc|Variant"),
            (&["best:acc"], "best:acc|best acc|Best"),
            (&["max:train.loss"], "max:train.loss|max train.loss|Best"),
            (
                &["best:loss"],
                "metric `train.loss` has no goal; choose `min:train.loss` or `max:train.loss`",
            ),
            (&["curve:acc"], "curve:a@x.acc|a@x.acc|Curve curve:a@y.acc|a@y.acc|Curve"),
            (&["curve:los"], "no run has a metric `los`; did you mean `loss`?"),
        ] {
            assert_eq!(chosen(texts), expected, "{texts:?}");
        }
    }
}
