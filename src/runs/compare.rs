//! Compares runs and other states of a project: params side by side, metrics with their difference
//! and a verdict. Pure; does not know about the database, git or the display.

mod names;
mod samples;
mod tolerance;
mod values;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub use self::names::MetricNames;
pub use self::samples::{Column, Sample};
pub use self::tolerance::Tolerance;
pub use self::values::{Grouping, Rules, Values};
use crate::number::Number;
use crate::pipeline::{Goal, ParamKey, ParamValue, StageName};

/// Result of a comparison, with rows sorted by key.
///
/// The values of a row are in the order of `columns`; `None` where a column has no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The sides, or groups of sides that differ only in their seed.
    pub columns: Vec<Column>,
    /// All params, including equal ones. In a comparison of groups, without the seeds.
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
    pub stage: StageName,
    /// Key within the stage.
    pub name: String,
    pub goal: Option<Goal>,
    pub values: Vec<Option<Sample>>,
    /// Value of the last column minus that of the first, 0 for equal infinities; `None` if either
    /// has no value.
    pub difference: Option<Number>,
    pub verdict: Option<Verdict>,
    /// Indices of the columns with the best value; empty without a goal, or if all values are the
    /// same.
    pub best: Vec<usize>,
    /// At least one value is beyond the tolerance of the first, or missing.
    pub differs: bool,
}

impl MetricRow {
    /// Returns the full name of the metric: `train.val_loss`.
    pub fn key(&self) -> String {
        self.stage.name_of(&self.name)
    }

    /// Reports whether the last column is worse than the first, or lacks a value that the first
    /// has. `None` without a goal.
    pub fn is_worse(&self) -> Option<bool> {
        let (first, last) = (self.values.first()?, self.values.last()?);
        self.goal?;
        Some(self.verdict == Some(Verdict::Worse) || (first.is_some() && last.is_none()))
    }

    /// Returns the changes from the column `baseline` to each column; `None` where either has no
    /// value.
    pub fn changes_from(&self, baseline: usize, tolerance: Tolerance) -> Vec<Option<Change>> {
        let before = self.values.get(baseline).copied().flatten();
        let changes =
            self.values.iter().map(|value| Some(change(before?, (*value)?, self.goal, tolerance)));
        changes.collect()
    }
}

/// Change of a metric from one column to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// 0 for equal infinities.
    pub difference: Number,
    pub verdict: Verdict,
}

/// Judgement of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Better,
    Worse,
    /// Equal, or within the tolerance.
    Same,
    /// Different, but not more than groups with equal params, or other samples of the same size,
    /// would.
    WithinNoise,
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
            Verdict::WithinNoise => "within noise",
            Verdict::Changed => "changed",
        }
    }
}

/// Compares two or more sides in the given order.
///
/// NaN is the same as NaN and worse than any number.
pub fn compare(sides: &[Values], rules: &Rules) -> Comparison {
    let columns = samples::columns(sides, &rules.grouping);
    let firsts: Vec<_> = columns.iter().map(|column| &sides[column.members[0]].params).collect();
    let mut params = compare_params(&firsts);
    if columns.len() < sides.len() {
        params.retain(|row| !rules.grouping.is_seed(&row.key));
    }
    let keys: BTreeSet<&(StageName, String)> =
        sides.iter().flat_map(|side| side.metrics.keys()).collect();
    let metrics = keys.into_iter().map(|key| {
        let values = columns.iter().map(|column| {
            let values = column.members.iter().filter_map(|at| sides[*at].metrics.get(key));
            let sample = Sample::of(&values.copied().collect::<Vec<_>>())?;
            let single = column.members.first().filter(|_| column.members.len() == 1);
            let interval = single.and_then(|at| samples::interval(&sides[*at].metrics, key));
            Some(Sample { interval, ..sample })
        });
        metric_row(key, values.collect(), rules)
    });
    Comparison { metrics: metrics.collect(), params, columns }
}

/// Puts params side by side.
pub fn compare_params(sides: &[&BTreeMap<ParamKey, ParamValue>]) -> Vec<ParamRow> {
    let keys: BTreeSet<&ParamKey> = sides.iter().flat_map(|params| params.keys()).collect();
    let row = |key: &ParamKey| ParamRow {
        key: key.clone(),
        values: sides.iter().map(|params| params.get(key).cloned()).collect(),
    };
    keys.into_iter().map(row).collect()
}

/// Returns the full name of a metric: `train.val_loss`.
pub fn metric_key((stage, key): &(StageName, String)) -> String {
    stage.name_of(key)
}

fn metric_row(key: &(StageName, String), values: Vec<Option<Sample>>, rules: &Rules) -> MetricRow {
    let goal = rules.goals.of(&metric_key(key));
    let first = values.first().copied().flatten();
    let last = values.last().copied().flatten();
    let change = first.zip(last).map(|(a, b)| change(a, b, goal, rules.tolerance));
    let is_same = |value: &Option<Sample>| match (first, value) {
        (Some(first), Some(value)) => rules.tolerance.allows(value.mean, first.mean),
        (first, value) => first.is_none() && value.is_none(),
    };
    let (stage, name) = key.clone();
    MetricRow {
        stage,
        name,
        goal,
        difference: change.map(|change| change.difference),
        verdict: change.map(|change| change.verdict),
        best: goal.map_or_else(Vec::new, |goal| best(&values, goal)),
        differs: !values.iter().all(is_same),
        values,
    }
}

fn change(first: Sample, last: Sample, goal: Option<Goal>, tolerance: Tolerance) -> Change {
    let difference = last.mean.minus(first.mean);
    Change { difference, verdict: verdict(first, last, goal, tolerance) }
}

fn verdict(first: Sample, last: Sample, goal: Option<Goal>, tolerance: Tolerance) -> Verdict {
    match goal {
        _ if tolerance.allows(last.mean, first.mean) => Verdict::Same,
        _ if samples::is_within_noise(first, last) => Verdict::WithinNoise,
        None => Verdict::Changed,
        Some(goal) if cmp_by_goal(last.mean, first.mean, goal) == Ordering::Greater => {
            Verdict::Better
        }
        Some(_) => Verdict::Worse,
    }
}

fn best(values: &[Option<Sample>], goal: Goal) -> Vec<usize> {
    let present = || values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?.mean)));
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
mod tests;
