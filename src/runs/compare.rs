//! Compares runs: params side by side, metrics with their difference and a verdict.
//! Pure; does not know about the database or the display.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::record::{Metrics, Run};
use crate::event::RunName;
use crate::number::Number;
use crate::pipeline::{Goal, Goals, ParamKey, ParamValue, StageName};

/// Params and metrics of a run to compare.
#[derive(Debug, Clone)]
pub struct RunValues {
    pub run: RunName,
    pub params: BTreeMap<ParamKey, ParamValue>,
    pub metrics: Metrics,
}

impl From<&Run> for RunValues {
    fn from(run: &Run) -> RunValues {
        RunValues { run: run.name, params: run.info.params.clone(), metrics: run.metrics.clone() }
    }
}

/// Result of a comparison, with rows sorted by key.
///
/// The values of a row are in the order of `runs`; `None` where a run has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub runs: Vec<RunName>,
    /// All params, including equal ones.
    pub params: Vec<ParamRow>,
    pub metrics: Vec<MetricRow>,
}

/// Values of a param.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamRow {
    pub key: ParamKey,
    pub values: Vec<Option<ParamValue>>,
}

impl ParamRow {
    /// Reports whether any two values differ.
    pub fn differs(&self) -> bool {
        self.values.windows(2).any(|pair| pair[0] != pair[1])
    }
}

/// Values of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricRow {
    /// Stage and key of the metric: `train.val_loss`.
    pub key: String,
    pub values: Vec<Option<Number>>,
    /// Value of the last run minus that of the first, 0 for equal infinities; `None` if either has
    /// no value.
    pub difference: Option<Number>,
    pub verdict: Option<Verdict>,
    /// Indices in `runs` of the best value; empty without a goal, or if all values are the same.
    pub best: Vec<usize>,
}

/// Change of a metric from the first run to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    Same,
    /// Different, but the metric has no goal.
    Changed,
}

impl Verdict {
    /// Returns the verdict as it is displayed.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "worse",
            Verdict::Same => "same",
            Verdict::Changed => "changed",
        }
    }
}

/// Compares two or more runs in the given order.
///
/// Values are the same only if they are exactly equal. NaN is the same as NaN and worse than any
/// number.
pub fn compare(runs: &[RunValues], goals: &Goals) -> Comparison {
    let param_keys: BTreeSet<&ParamKey> = runs.iter().flat_map(|run| run.params.keys()).collect();
    let metric_keys: BTreeSet<&(StageName, String)> =
        runs.iter().flat_map(|run| run.metrics.keys()).collect();
    Comparison {
        runs: runs.iter().map(|run| run.run).collect(),
        params: param_keys
            .into_iter()
            .map(|key| ParamRow {
                key: key.clone(),
                values: runs.iter().map(|run| run.params.get(key).cloned()).collect(),
            })
            .collect(),
        metrics: metric_keys
            .into_iter()
            .map(|key| {
                let values = runs.iter().map(|run| run.metrics.get(key).copied()).collect();
                metric_row(key, values, goals)
            })
            .collect(),
    }
}

/// Returns the full name of a metric: `train.val_loss`.
pub fn metric_key((stage, key): &(StageName, String)) -> String {
    format!("{stage}.{key}")
}

fn metric_row(key: &(StageName, String), values: Vec<Option<Number>>, goals: &Goals) -> MetricRow {
    let key = metric_key(key);
    let goal = goals.of(&key);
    let ends = values.first().copied().flatten().zip(values.last().copied().flatten());
    MetricRow {
        difference: ends.map(|(first, last)| last.minus(first)),
        verdict: ends.map(|(first, last)| verdict(first, last, goal)),
        best: goal.map_or_else(Vec::new, |goal| best(&values, goal)),
        key,
        values,
    }
}

fn verdict(first: Number, last: Number, goal: Option<Goal>) -> Verdict {
    match goal {
        _ if first.same(last) => Verdict::Same,
        None => Verdict::Changed,
        Some(goal) if cmp_by_goal(last, first, goal) == Ordering::Greater => Verdict::Better,
        Some(_) => Verdict::Worse,
    }
}

fn best(values: &[Option<Number>], goal: Goal) -> Vec<usize> {
    let present = || values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?)));
    let Some((_, top)) = present().max_by(|a, b| cmp_by_goal(a.1, b.1, goal)) else {
        return Vec::new();
    };
    let best: Vec<usize> =
        present().filter(|(_, value)| value.same(top)).map(|(at, _)| at).collect();
    if best.len() == present().count() { Vec::new() } else { best }
}

/// Returns `Greater` if `a` is better than `b`.
fn cmp_by_goal(a: Number, b: Number, goal: Goal) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => {
            let up = a.partial_cmp(&b).unwrap_or(Ordering::Equal);
            if goal == Goal::Max { up } else { up.reverse() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn goals() -> Goals {
        let mut goals = Goals::default();
        goals.insert("accuracy".into(), Goal::Max);
        goals.insert("loss".into(), Goal::Min);
        goals
    }

    fn run(run: u64, params: &[(&str, ParamValue)], metrics: &[(&str, f64)]) -> RunValues {
        let metric = |(key, value): &(&str, f64)| {
            ((StageName::parse("train").unwrap(), (*key).to_owned()), Number::from(*value))
        };
        RunValues {
            run: RunName(run),
            params: params
                .iter()
                .map(|(key, value)| (ParamKey::new(*key), value.clone()))
                .collect(),
            metrics: metrics.iter().map(metric).collect(),
        }
    }

    #[test]
    fn verdict_by_goal() {
        use Verdict::{Better, Changed, Same, Worse};
        let nan = f64::NAN;
        let inf = f64::INFINITY;
        let cases = [
            ("accuracy", 0.5, 0.625, 0.125, Better),
            ("accuracy", 0.625, 0.5, -0.125, Worse),
            ("accuracy", 0.5, 0.5, 0.0, Same),
            ("loss", 0.5, 0.625, 0.125, Worse),
            ("loss", 0.625, 0.5, -0.125, Better),
            ("loss", 0.5, 0.5 + f64::EPSILON, f64::EPSILON, Worse),
            ("clips", 40.0, 50.0, 10.0, Changed),
            ("clips", 40.0, 40.0, 0.0, Same),
            ("loss", 1.0, nan, nan, Worse),
            ("loss", nan, 1.0, nan, Better),
            ("loss", nan, nan, 0.0, Same),
            ("accuracy", nan, 0.0, nan, Better),
            ("clips", nan, 0.0, nan, Changed),
            ("loss", inf, inf, 0.0, Same),
            ("loss", inf, 1.0, -inf, Better),
            ("accuracy", 0.0, -0.0, 0.0, Same),
        ];
        for (key, first, last, difference, verdict) in cases {
            let compared =
                compare(&[run(1, &[], &[(key, first)]), run(2, &[], &[(key, last)])], &goals());
            let row = &compared.metrics[0];
            let case = format!("{key} {first} → {last}");
            assert_eq!(row.key, format!("train.{key}"), "{case}");
            assert!(
                row.difference.unwrap().same(difference.into()),
                "{case}: {:?}",
                row.difference
            );
            assert_eq!(row.verdict, Some(verdict), "{case}");
        }
    }

    #[test]
    fn metric_missing_in_one_run() {
        let compared =
            compare(&[run(1, &[], &[("loss", 1.0)]), run(2, &[], &[("f1", 2.0)])], &goals());
        let rows: Vec<_> =
            compared.metrics.iter().map(|row| (row.key.as_str(), row.values.clone())).collect();
        assert_eq!(
            rows,
            [
                ("train.f1", vec![None, Some(2.0.into())]),
                ("train.loss", vec![Some(1.0.into()), None])
            ]
        );
        assert!(
            compared.metrics.iter().all(|row| row.difference.is_none() && row.verdict.is_none())
        );
    }

    #[test]
    fn best_of_several_runs() {
        let run = |n, value| run(n, &[], &[("loss", value), ("clips", value)]);
        let best = |values: &[f64]| {
            let runs: Vec<RunValues> = (1..).zip(values).map(|(n, value)| run(n, *value)).collect();
            let compared = compare(&runs, &goals());
            assert_eq!(compared.metrics[0].best, Vec::<usize>::new(), "`clips` has no goal");
            compared.metrics[1].best.clone()
        };
        assert_eq!(best(&[3.0, 1.0, 2.0]), [1]);
        assert_eq!(best(&[1.0, 1.0, 2.0]), [0, 1]);
        assert_eq!(best(&[f64::NAN, 1.0, 2.0]), [1]);
        assert_eq!(best(&[1.0, 1.0, 1.0]), Vec::<usize>::new());
    }

    #[test]
    fn params_that_differ() {
        let old = [("a", json!(1)), ("b", json!(1)), ("c", json!("x")), ("d", json!([1]))];
        let new = [("a", json!(1)), ("b", json!(1.0)), ("d", json!([1])), ("e", json!(true))];
        let compared = compare(&[run(1, &old, &[]), run(2, &new, &[])], &goals());
        let differing: Vec<&str> = compared
            .params
            .iter()
            .filter(|row| row.differs())
            .map(|row| row.key.as_str())
            .collect();
        assert_eq!(differing, ["b", "c", "e"]);
    }

    proptest! {
        #[test]
        fn swapped_runs_swap_the_verdict(a in any::<f64>(), b in any::<f64>()) {
            let verdict = |x, y| {
                let runs = [run(1, &[], &[("loss", x)]), run(2, &[], &[("loss", y)])];
                compare(&runs, &goals()).metrics[0].verdict
            };
            let swapped = match verdict(b, a) {
                Some(Verdict::Better) => Some(Verdict::Worse),
                Some(Verdict::Worse) => Some(Verdict::Better),
                other => other,
            };
            prop_assert_eq!(verdict(a, b), swapped);
        }
    }
}
