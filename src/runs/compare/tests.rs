//! Tests of comparisons: verdicts, params, and groups by seed.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::digest::{Content, Digest};
use crate::pipeline::Goals;
use crate::plan::{Fingerprint, Lock, Trace};
use crate::repo_path::RepoPath;

fn rules() -> Rules {
    let mut goals = Goals::default();
    goals.insert("accuracy".into(), Goal::Max);
    goals.insert("loss".into(), Goal::Min);
    Rules { goals, ..Rules::default() }
}

fn side(label: &str, params: &[(&str, ParamValue)], metrics: &[(&str, f64)]) -> Values {
    let metric = |(key, value): &(&str, f64)| {
        ((StageName::parse("train").unwrap(), (*key).to_owned()), Number::from(*value))
    };
    Values {
        label: label.to_owned(),
        params: params.iter().map(|(key, value)| (ParamKey::new(*key), value.clone())).collect(),
        metrics: metrics.iter().map(metric).collect(),
        lock: None,
    }
}

fn pair(key: &str, first: f64, last: f64, rules: &Rules) -> MetricRow {
    let sides = [side("a", &[], &[(key, first)]), side("b", &[], &[(key, last)])];
    compare(&sides, rules).metrics.remove(0)
}

#[test]
fn changes_from_any_column() {
    let accuracy = |label, value| side(label, &[], &[("accuracy", value)]);
    let sides = [accuracy("a", 0.5), side("b", &[], &[]), accuracy("c", 0.75)];
    let row = compare(&sides, &rules()).metrics.remove(0);
    let words = |baseline| {
        let changes = row.changes_from(baseline, Tolerance::default()).into_iter();
        changes
            .map(|change| {
                change.map(|Change { difference, verdict }| (difference.to_f64(), verdict))
            })
            .collect::<Vec<_>>()
    };
    let (worse, better) = (Some((-0.25, Verdict::Worse)), Some((0.25, Verdict::Better)));
    let same = Some((0.0, Verdict::Same));
    assert_eq!(words(0), [same, None, better]);
    assert_eq!(words(1), [None, None, None]);
    assert_eq!(words(2), [worse, None, same]);
    assert_eq!(words(3), [None, None, None]);
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
        let row = pair(key, first, last, &rules());
        let case = format!("{key} {first} → {last}");
        assert_eq!(row.key(), format!("train.{key}"), "{case}");
        assert!(row.difference.unwrap().same(difference.into()), "{case}: {:?}", row.difference);
        assert_eq!(row.verdict, Some(verdict), "{case}");
        assert_eq!(row.differs, verdict != Same, "{case}");
    }
}

#[test]
fn verdict_within_tolerance() {
    let tolerance = Tolerance { absolute: 0.125, relative: 0.0 };
    let rules = Rules { tolerance, ..rules() };
    for (last, verdict, differs) in [
        (0.625, Verdict::Same, false),
        (0.375, Verdict::Same, false),
        (0.75, Verdict::Better, true),
        (0.25, Verdict::Worse, true),
    ] {
        let row = pair("accuracy", 0.5, last, &rules);
        assert_eq!((row.verdict, row.differs), (Some(verdict), differs), "{last}");
    }
}

#[test]
fn missing_metric() {
    let sides = [side("a", &[], &[("loss", 1.0)]), side("b", &[], &[("f1", 2.0)])];
    let compared = compare(&sides, &rules());
    let rows: Vec<_> = compared
        .metrics
        .iter()
        .map(|row| {
            let values: Vec<_> = row.values.iter().map(|value| value.map(|v| v.mean)).collect();
            (row.key(), values, row.is_worse(), row.differs)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("train.f1".to_owned(), vec![None, Some(2.0.into())], None, true),
            ("train.loss".to_owned(), vec![Some(1.0.into()), None], Some(true), true)
        ]
    );
    assert!(compared.metrics.iter().all(|row| row.difference.is_none() && row.verdict.is_none()));
}

#[test]
fn best_of_several_sides() {
    let best = |values: &[f64]| {
        let side = |value: &f64| side("a", &[], &[("loss", *value), ("clips", *value)]);
        let compared = compare(&values.iter().map(side).collect::<Vec<_>>(), &rules());
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
    let compared = compare(&[side("a", &old, &[]), side("b", &new, &[])], &rules());
    let differing = compared.params.iter().filter(|row| row.differs());
    assert_eq!(differing.map(|row| row.key.as_str()).collect::<Vec<_>>(), ["b", "c", "e"]);
}

/// A side with a seed, whose stages `data` and `train` have run.
fn seeded(label: &str, seed: u64, epochs: u64, loss: f64, change: &str) -> Values {
    let path = |text: &str| RepoPath::parse(text).unwrap();
    let file = |text: &str| Content::File(Digest::of(text.as_bytes()));
    let stage = |cmd: String, deps: &[(&str, String)], out: &str| {
        let fingerprint = Fingerprint {
            origin: None,
            cmd: Some(cmd),
            shell: Vec::new(),
            wdir: None,
            env: BTreeMap::from([("SEED".to_owned(), seed.to_string())]),
            env_deps: BTreeMap::new(),
            tools: BTreeMap::new(),
            deps: deps.iter().map(|(dep, text)| (path(dep), file(text))).collect(),
            params: BTreeMap::new(),
            outs: BTreeSet::from([path(out)]),
            each: BTreeSet::new(),
        };
        let outs = BTreeMap::from([(path(out), file(&format!("{out} {seed}")))]);
        Trace { fingerprint, outs, accepted: None, version: None }
    };
    let code = if change == "code" { "other" } else { "code" };
    let option = if change == "cmd" { " --fast" } else { "" };
    let data = stage(format!("sample --seed={seed} 10"), &[("raw", "raw".into())], "data/x");
    let deps = [("data", format!("made {seed}")), ("train.py", code.into())];
    let train = stage(format!("train{option} {seed} --n 10"), &deps, "m.json");
    let stages = [("data", data), ("train", train)];
    let stages = stages.map(|(name, trace)| (StageName::parse(name).unwrap(), trace));
    let params = [("seed", json!(seed)), ("epochs", json!(epochs))];
    let lock = (change != "lock").then(|| Lock { stages: stages.into(), ..Lock::default() });
    Values { lock, ..side(label, &params, &[("loss", loss)]) }
}

fn labels(sides: &[Values]) -> Vec<String> {
    compare(sides, &rules()).columns.into_iter().map(|column| column.label).collect()
}

#[test]
fn groups_by_seed() {
    let (a, b) = (seeded("a", 1, 10, 1.0, ""), seeded("b", 2, 10, 2.0, ""));
    let c = seeded("c", 1, 20, 1.0, "");
    let sides = [a.clone(), b.clone(), c.clone()];
    assert_eq!(labels(&sides), ["a ×2", "c"]);
    let compared = compare(&sides, &rules());
    assert_eq!(compared.params.len(), 1, "the seed is not compared");
    let [first, last] = compared.metrics[0].values[..] else { panic!("two columns") };
    assert_eq!(first.map(|s| (s.n, s.sd)), Some((2, Some(0.5f64.sqrt()))));
    assert_eq!(last.map(|s| (s.mean, s.n, s.sd)), Some((1.0.into(), 1, None)));
    let single = Rules { grouping: Grouping::None, ..rules() };
    assert_eq!(compare(&sides, &single).columns.len(), 3);
    let other = Rules { grouping: Grouping::BySeed("epochs".to_owned()), ..rules() };
    let columns = compare(&sides, &other).columns;
    assert_eq!(
        columns.iter().map(|column| &column.members[..]).collect::<Vec<_>>(),
        [&[0, 2][..], &[1]]
    );
    // One group is a comparison of its members.
    assert_eq!(labels(&sides[..2]), ["a", "b"]);
    // Of equal seeds, the last counts.
    assert_eq!(labels(&[a.clone(), c.clone(), seeded("d", 1, 10, 3.0, "")]), ["a", "c", "d"]);
    for change in ["code", "cmd", "lock"] {
        let other = seeded("o", 3, 10, 1.0, change);
        assert_eq!(labels(&[a.clone(), b.clone(), other]), ["a ×2", "o"], "{change}");
    }
}

#[test]
fn differences_within_noise() {
    let verdict = |firsts: &[f64], lasts: &[f64]| {
        let sides = |epochs, losses: &[f64]| -> Vec<Values> {
            let side = |(seed, loss): (u64, &f64)| seeded("a", seed, epochs, *loss, "");
            (1..).zip(losses).map(side).collect()
        };
        let all = [sides(10, firsts), sides(20, lasts)].concat();
        compare(&all, &rules()).metrics[0].verdict.unwrap()
    };
    use Verdict::{Better, Same, WithinNoise, Worse};
    for (firsts, lasts, expected) in [
        (&[1.0, 1.2][..], &[1.1, 1.3][..], WithinNoise),
        (&[1.0, 1.2], &[9.0, 9.2], Worse),
        (&[9.0, 9.2], &[1.0, 1.2], Better),
        // With more samples, a smaller difference counts.
        (&[1.0, 1.2, 1.0, 1.2, 1.0, 1.2], &[1.2, 1.4, 1.2, 1.4, 1.2, 1.4], Worse),
        // A single value has the noise of the other group.
        (&[1.0, 1.2, 1.1], &[1.4], WithinNoise),
        (&[1.0, 1.2, 1.1], &[9.0], Worse),
        // No noise.
        (&[1.0, 1.0], &[1.001], Worse),
        (&[1.0, 1.0], &[1.0], Same),
        (&[f64::NAN, 1.0], &[1.0], Better),
        (&[1.0, 1.0], &[f64::INFINITY], Worse),
    ] {
        assert_eq!(verdict(firsts, lasts), expected, "{firsts:?} {lasts:?}");
    }
}

#[test]
fn differences_within_intervals() {
    use Verdict::{Better, Changed, Same, WithinNoise, Worse};
    let one = |value: f64, interval: Option<[f64; 2]>| {
        let mut metrics = vec![("accuracy", value), ("val.accuracy", value), ("clips", value)];
        if let Some([low, high]) = interval {
            metrics.extend([
                ("interval.accuracy.low", low),
                ("interval.accuracy.high", high),
                ("val.interval.accuracy.low", low),
                ("val.interval.accuracy.high", high),
            ]);
        }
        side("a", &[], &metrics)
    };
    // 16 and 13 of 20 right, and 160 and 130 of 200, with Wilson's intervals.
    let (few, fewer) = ((0.80, Some([0.584, 0.919])), (0.65, Some([0.433, 0.819])));
    let (many, less) = ((0.80, Some([0.739, 0.850])), (0.65, Some([0.582, 0.713])));
    for (first, last, expected) in [
        (few, fewer, WithinNoise),
        (fewer, few, WithinNoise),
        (few, few, Same),
        (many, less, Worse),
        (less, many, Better),
        (few, (0.65, None), Worse),
        (few, (0.65, Some([f64::NAN; 2])), Worse),
        (few, (f64::NAN, few.1), Worse),
        // Bounds that do not enclose the value add nothing.
        ((0.80, Some([0.9, 0.7])), (0.65, Some([0.7, 0.6])), Worse),
    ] {
        let rows = compare(&[one(first.0, first.1), one(last.0, last.1)], &rules()).metrics;
        let verdict = |name: &str| rows.iter().find(|row| row.name == name).unwrap().verdict;
        for name in ["accuracy", "val.accuracy"] {
            assert_eq!(verdict(name), Some(expected), "{name} {first:?} {last:?}");
        }
        let plain = if expected == Same { Same } else { Changed };
        assert_eq!(verdict("clips"), Some(plain), "{first:?} {last:?}");
    }
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), (0.0..2.0), Just(f64::NAN), Just(f64::INFINITY), Just(0.0)]
}

proptest! {
    #[test]
    fn swapped_sides_swap_the_verdict(
        a in number(),
        b in number(),
        absolute in prop_oneof![Just(0.0), 0.0..1.0],
        key in prop_oneof![Just("loss"), Just("accuracy"), Just("clips")],
    ) {
        let rules = Rules { tolerance: Tolerance { absolute, relative: 0.0 }, ..rules() };
        let (forth, back) = (pair(key, a, b, &rules), pair(key, b, a, &rules));
        let swapped = match back.verdict {
            Some(Verdict::Better) => Some(Verdict::Worse),
            Some(Verdict::Worse) => Some(Verdict::Better),
            other => other,
        };
        prop_assert_eq!(forth.verdict, swapped);
        prop_assert_eq!(forth.differs, back.differs);
        let zero = Number::from(0.0);
        let negated = zero.minus(back.difference.unwrap());
        prop_assert!(forth.difference.unwrap().same(negated), "{:?} {:?}", forth, back);
    }

    #[test]
    fn swapped_groups_swap_the_verdict(
        firsts in proptest::collection::vec(0.0..2.0f64, 1..4),
        lasts in proptest::collection::vec(0.0..2.0f64, 1..4),
    ) {
        let verdict = |a: &[f64], b: &[f64]| {
            let numbers = |values: &[f64]| {
                Sample::of(&values.iter().map(|v| Number::from(*v)).collect::<Vec<_>>())
            };
            let key = (StageName::parse("train").unwrap(), "loss".to_owned());
            metric_row(&key, vec![numbers(a), numbers(b)], &rules()).verdict
        };
        let swapped = match verdict(&lasts, &firsts) {
            Some(Verdict::Better) => Some(Verdict::Worse),
            Some(Verdict::Worse) => Some(Verdict::Better),
            other => other,
        };
        prop_assert_eq!(verdict(&firsts, &lasts), swapped);
    }
}
