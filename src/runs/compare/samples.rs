//! Samples: sides that differ only in their seed, and the noise of their metrics.
//!
//! Two sides are samples of one group if all of this is equal: their params other than seeds, and
//! for each stage in their locks the command, shell, folder, variables, tools, outs and the
//! contents of the deps that no stage makes. In commands and variables, the seed of one side stands
//! for the seed of the other. A side without a lock is a group of its own.
//!
//! The noise of a difference is the half width of its 95 % confidence interval by Student's t-test
//! with a pooled variance. The test assumes normally distributed values with equal variance in both
//! groups. A group of one takes its variance from the other.
//!
//! Without groups, the stage may report how uncertain a value is: `interval.NAME.low` and `.high`
//! beside NAME. The noise of a difference then combines both intervals as in Newcombe 1998,
//! "Interval estimation for the difference between independent proportions", method 10: the
//! distances to the bounds that face each other are squared and added.

use std::collections::BTreeSet;

use super::values::{Grouping, Values};
use crate::digest::Content;
use crate::number::Number;
use crate::pipeline::{Glob, ParamKey, ParamValue, StageName};
use crate::plan::Fingerprint;
use crate::repo_path::RepoPath;
use crate::runs::record::Metrics;

/// A column of a comparison: one side, or a group of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The label of the side; for a group, that of its first side with the number of sides.
    pub label: String,
    /// Indices of the sides, at least one.
    pub members: Vec<usize>,
}

/// The values of a metric in one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Mean of the values, or the only one.
    pub mean: Number,
    /// Number of values.
    pub n: usize,
    /// Standard deviation with n - 1 degrees of freedom; `None` for a single value, and if not all
    /// are finite.
    pub sd: Option<f64>,
    /// Bounds of a confidence interval that the stage reports for a single value.
    pub interval: Option<[f64; 2]>,
}

impl Sample {
    /// Returns the mean and the standard deviation; `None` without values.
    pub(super) fn of(values: &[Number]) -> Option<Sample> {
        let n = values.len();
        let &[first, ..] = values else { return None };
        // Exact, also for integers that no double represents.
        if values.iter().all(|value| value.same(first)) {
            let sd = (n > 1 && first.is_finite()).then_some(0.0);
            return Some(Sample { mean: first, n, sd, interval: None });
        }
        let mean = values.iter().map(|value| value.to_f64() / n as f64).sum::<f64>();
        let squares = values.iter().map(|value| (value.to_f64() - mean).powi(2)).sum::<f64>();
        let sd = (squares / (n - 1) as f64).sqrt();
        let sd = sd.is_finite().then_some(sd);
        Some(Sample { mean: mean.into(), n, sd, interval: None })
    }
}

/// Returns the interval that a stage reports for its metric `name`, beside it: for
/// `test.accuracy`, `test.interval.accuracy.low` and `.high`.
pub(super) fn interval(metrics: &Metrics, (stage, name): &(StageName, String)) -> Option<[f64; 2]> {
    let (above, own) = name.split_at(name.rfind('.').map_or(0, |dot| dot + 1));
    let bound = |side: &str| {
        let key = (stage.clone(), format!("{above}interval.{own}.{side}"));
        metrics.get(&key).map(|bound| bound.to_f64()).filter(|bound| bound.is_finite())
    };
    Some([bound("low")?, bound("high")?])
}

/// Reports whether groups with equal params, or other samples of the same size, would often differ
/// as much as these two do.
pub(super) fn is_within_noise(first: Sample, last: Sample) -> bool {
    let noise = noise(first, last).or_else(|| combined(first, last));
    noise.is_some_and(|noise| last.mean.minus(first.mean).to_f64().abs() <= noise)
}

/// Returns the noise of the difference of two values with intervals; `None` if one has none.
fn combined(first: Sample, last: Sample) -> Option<f64> {
    let (a, b) = (first.mean.to_f64(), last.mean.to_f64());
    let (first, last) = (first.interval?, last.interval?);
    let distances = if a <= b { [b - last[0], first[1] - a] } else { [a - first[0], last[1] - b] };
    let [low, high] = distances.map(|distance| distance.max(0.0));
    Some(low.hypot(high))
}

/// Returns the noise of the difference of two means; `None` if it is not known.
fn noise(first: Sample, last: Sample) -> Option<f64> {
    let freedom = (first.n + last.n).checked_sub(2).filter(|&freedom| freedom > 0)?;
    let squares = |sample: Sample| match sample.n {
        1 => Some(0.0),
        n => Some((n - 1) as f64 * sample.sd?.powi(2)),
    };
    let variance = (squares(first)? + squares(last)?) / freedom as f64;
    let error = (variance * (1.0 / first.n as f64 + 1.0 / last.n as f64)).sqrt();
    Some(student_t(freedom) * error)
}

/// Returns the two-sided 95 % quantile of Student's t-distribution.
fn student_t(freedom: usize) -> f64 {
    const QUANTILES: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
        2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
        2.052, 2.048, 2.045, 2.042,
    ];
    // The first terms of the expansion around the normal distribution are exact to 0.001 here.
    let expanded = || 1.960 + 2.372 / freedom as f64 + 2.822 / (freedom as f64).powi(2);
    QUANTILES.get(freedom - 1).copied().unwrap_or_else(expanded)
}

/// Returns the columns: a group for the sides that differ only in their seed, if there are several
/// groups then.
///
/// The last of several sides with the same seed counts.
pub(super) fn columns(sides: &[Values], grouping: &Grouping) -> Vec<Column> {
    let single =
        |(at, side): (usize, &Values)| Column { label: side.label.clone(), members: vec![at] };
    let singles = || sides.iter().enumerate().map(single).collect::<Vec<_>>();
    if *grouping == Grouping::None {
        return singles();
    }
    let inputs: Vec<Option<Inputs<'_>>> =
        sides.iter().map(|side| Inputs::of(side, grouping)).collect();
    let are_samples = |a: usize, b: usize| match (&inputs[a], &inputs[b]) {
        (Some(a), Some(b)) => a.same_but_seed(b),
        _ => false,
    };
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let seeds = |at: usize| inputs[at].as_ref().map(|inputs| &inputs.seeds);
    for at in 0..sides.len() {
        match groups.iter_mut().find(|group| are_samples(group[0], at)) {
            None => groups.push(vec![at]),
            Some(group) => {
                group.retain(|other| seeds(*other) != seeds(at));
                group.push(at);
            }
        }
    }
    if groups.len() < 2 || groups.iter().all(|group| group.len() == 1) {
        return singles();
    }
    let column = |members: Vec<usize>| {
        let label = &sides[members[0]].label;
        let label = match members.len() {
            1 => label.clone(),
            n => format!("{label} ×{n}"),
        };
        Column { label, members }
    };
    groups.into_iter().map(column).collect()
}

/// Everything that determines the metrics of a side, from outside the pipeline.
#[derive(Debug)]
struct Inputs<'v> {
    seeds: Vec<(&'v ParamKey, &'v ParamValue)>,
    others: Vec<(&'v ParamKey, &'v ParamValue)>,
    stages: Vec<(&'v StageName, &'v Fingerprint)>,
    /// The contents of deps that no stage makes.
    deps: Vec<(&'v StageName, &'v RepoPath, Content)>,
}

impl Inputs<'_> {
    /// Returns the inputs of a side; `None` if it has no lock or no seed.
    fn of<'v>(side: &'v Values, grouping: &Grouping) -> Option<Inputs<'v>> {
        let traces = &side.lock.as_ref()?.stages;
        let (seeds, others): (Vec<_>, Vec<_>) =
            side.params.iter().partition(|(key, _)| grouping.is_seed(key));
        let made: BTreeSet<RepoPath> =
            traces.values().flat_map(|trace| trace.outs.keys().cloned()).collect();
        let deps = traces.iter().flat_map(|(stage, trace)| {
            trace.fingerprint.deps.iter().map(move |(dep, content)| (stage, dep, *content))
        });
        let deps = deps.filter(|(_, dep, _)| !is_made(dep, &made)).collect();
        let stages = traces.iter().map(|(stage, trace)| (stage, &trace.fingerprint)).collect();
        (!seeds.is_empty()).then_some(Inputs { seeds, others, stages, deps })
    }

    fn same_but_seed(&self, other: &Inputs<'_>) -> bool {
        let pairs = self.seeds.iter().zip(&other.seeds);
        let texts: Vec<_> = pairs.clone().map(|((_, a), (_, b))| (text(a), text(b))).collect();
        let same_seeds =
            self.seeds.len() == other.seeds.len() && pairs.clone().all(|((a, _), (b, _))| a == b);
        same_seeds
            && self.others == other.others
            && self.deps == other.deps
            && self.stages.len() == other.stages.len()
            && self
                .stages
                .iter()
                .zip(&other.stages)
                .all(|((a_name, a), (b_name, b))| a_name == b_name && stage_is_same(a, b, &texts))
    }
}

/// Reports whether a stage makes the dep, or a part of it.
fn is_made(dep: &RepoPath, outs: &BTreeSet<RepoPath>) -> bool {
    if let Ok(Some(glob)) = Glob::parse(dep) {
        return outs.iter().any(|out| glob.may_overlap(out));
    }
    let inside = outs.range::<RepoPath, _>(dep..);
    let mut inside = inside.take_while(|out| out.as_str().starts_with(dep.as_str()));
    inside.any(|out| dep.contains(out)) || dep.ancestors().any(|folder| outs.contains(folder))
}

fn text(value: &ParamValue) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reports whether two executions of a stage differ at most in deps, params and the `seeds` in
/// their texts.
fn stage_is_same(a: &Fingerprint, b: &Fingerprint, seeds: &[(String, String)]) -> bool {
    let cmd = match (&a.cmd, &b.cmd) {
        (Some(a), Some(b)) => text_is_same(a, b, seeds),
        (a, b) => a == b,
    };
    let mut env = a.env.iter().zip(&b.env);
    cmd && a.env.len() == b.env.len()
        && env.all(|((x, a), (y, b))| x == y && text_is_same(a, b, seeds))
        && (&a.shell, &a.wdir, &a.env_deps, &a.tools, &a.outs, &a.each)
            == (&b.shell, &b.wdir, &b.env_deps, &b.tools, &b.outs, &b.each)
}

/// Reports whether two texts are equal, word by word, but for the seeds in them.
fn text_is_same(a: &str, b: &str, seeds: &[(String, String)]) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let others = |text: &str| text.replace(char::is_alphanumeric, "");
    let (x, y) = (words(a), words(b));
    let word_is_same =
        |(a, b): (&String, &String)| a == b || seeds.iter().any(|(from, to)| (a, b) == (from, to));
    others(a) == others(b) && x.len() == y.len() && x.iter().zip(&y).all(word_is_same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_but_for_the_seed() {
        let same = |a: &str, b: &str| {
            text_is_same(a, b, &[("1".into(), "23".into()), ("x".into(), "y".into())])
        };
        for (a, b) in [
            ("run --seed 1 --layers 1", "run --seed 23 --layers 1"),
            ("run --seed=1 10.1", "run --seed=23 10.23"),
            ("m_1/x.bin", "m_23/y.bin"),
            ("", ""),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("run --seed 1", "run --seed 2"),
            ("run --seed 23", "run --seed 1"),
            ("run 1", "run 1 1"),
            ("run -1", "run 23"),
            ("run 11", "run 2323"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
    }

    #[test]
    fn names_of_seeds() {
        for (name, key, expected) in [
            ("seed", "seed", true),
            ("seed", "train.seed", true),
            ("seed", "train.reseed", false),
            ("train.seed", "train.seed", true),
            ("train.seed", "seed", false),
        ] {
            let grouping = Grouping::BySeed(name.to_owned());
            assert_eq!(grouping.is_seed(&ParamKey::new(key)), expected, "{name} {key}");
        }
    }

    #[test]
    fn deps_that_stages_make() {
        let path = |text: &str| RepoPath::parse(text).unwrap();
        let outs = BTreeSet::from(["data/raw", "m", "parts/a.txt"].map(path));
        for (dep, expected) in [
            ("m", true),
            ("m/x", true),
            ("data", true),
            ("parts/*.txt", true),
            ("dat", false),
            ("mm", false),
            ("other/*.txt", false),
        ] {
            assert_eq!(is_made(&path(dep), &outs), expected, "{dep}");
        }
    }
}
