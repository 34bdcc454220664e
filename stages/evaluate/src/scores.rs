//! The numbers of a set of answers, and how far they could be off with other clips.
//!
//! The intervals are percentile bootstraps (Efron 1979): the clips are drawn anew, with repetition, as many
//! as there are, and the middle 95 % of the scores of such sets are the interval. They tell what the choice of
//! clips does, not what another training would. Knows nothing about files.

use model::random::{Purpose, Random};
use serde::Serialize;

use crate::answers::{Answer, confusion};

/// The share of resamples outside of an interval, half of it on each side.
const OUTSIDE: f64 = 0.05;
/// A clip counts for `top3_accuracy` when fewer classes than this are likelier than its own.
const TOP: usize = 3;

/// Shares of right answers, each its own way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scores<T> {
    /// Of all clips.
    pub(crate) accuracy: T,
    /// The mean over the classes.
    pub(crate) balanced_accuracy: T,
    /// The mean F1 of the classes.
    pub(crate) macro_f1: T,
    /// The clips whose class is among the three likeliest.
    pub(crate) top3_accuracy: T,
}

/// The middle 95 % of what a score is with clips drawn anew.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The scores of these answers.
pub(crate) fn scores<'a>(classes: usize, answers: &[&'a Answer<'a>]) -> Scores<f64> {
    let confusion = confusion(classes, answers.iter().copied());
    let top = answers.iter().filter(|answer| answer.rank < TOP).count();
    Scores {
        accuracy: confusion.accuracy(),
        balanced_accuracy: confusion.balanced_accuracy(),
        macro_f1: confusion.macro_f1(),
        top3_accuracy: top as f64 / answers.len().max(1) as f64,
    }
}

/// The intervals of [`scores`] by `resamples` draws, which `seed` determines.
pub(crate) fn intervals<'a>(
    classes: usize,
    answers: &[&'a Answer<'a>],
    resamples: u64,
    seed: u64,
) -> Scores<Interval> {
    let resample = |number| {
        let mut random = Random::new(seed, Purpose::Resample(number));
        let draw = |_: &&Answer<'a>| answers[random.below(answers.len() as u64) as usize];
        scores(classes, &answers.iter().map(draw).collect::<Vec<_>>())
    };
    let drawn: Vec<Scores<f64>> = (0..resamples).map(resample).collect();
    let interval = |of: fn(&Scores<f64>) -> f64| {
        let mut values: Vec<f64> = drawn.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        Interval {
            low: quantile(&values, OUTSIDE / 2.0),
            high: quantile(&values, 1.0 - OUTSIDE / 2.0),
        }
    };
    Scores {
        accuracy: interval(|it| it.accuracy),
        balanced_accuracy: interval(|it| it.balanced_accuracy),
        macro_f1: interval(|it| it.macro_f1),
        top3_accuracy: interval(|it| it.top3_accuracy),
    }
}

/// The value below which `share` of the sorted `values` lie, with a straight line between neighbours, as NumPy's
/// `quantile` has it; 0 of none.
fn quantile(values: &[f64], share: f64) -> f64 {
    let at = share * values.len().saturating_sub(1) as f64;
    let (below, above) = (values.get(at.floor() as usize), values.get(at.ceil() as usize));
    below.zip(above).map_or(0.0, |(below, above)| below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::answers;
    use model::dataset::Clip;

    /// Clips of the given labels, each with logits that put the classes into the given order.
    fn said(cases: &[(usize, [usize; 4])]) -> (Vec<Clip>, Vec<f32>) {
        let clips =
            cases.iter().map(|(label, _)| Clip { path: String::new(), label: *label }).collect();
        let logits = |order: &[usize; 4]| {
            let mut row = [0.0; 4];
            order.iter().zip([4.0, 3.0, 2.0, 1.0]).for_each(|(class, logit)| row[*class] = logit);
            row
        };
        (clips, cases.iter().flat_map(|(_, order)| logits(order)).collect())
    }

    #[test]
    fn scores_by_hand() {
        // Class 0: one right, one third. Class 1: last. Class 3: right.
        let (clips, logits) =
            said(&[(0, [0, 1, 2, 3]), (0, [1, 2, 0, 3]), (1, [0, 2, 3, 1]), (3, [3, 0, 1, 2])]);
        let answers = answers(&clips, &logits, 4);
        let found = scores(4, &answers.iter().collect::<Vec<_>>());
        assert_eq!(
            (found.accuracy, found.balanced_accuracy, found.top3_accuracy),
            (0.5, 0.5, 0.75)
        );
        // F1 of class 0: 2·1 / (2 + 2); of 1: 0; of 3: 1; class 2 does not occur.
        assert!((found.macro_f1 - 0.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn quantiles_are_those_of_numpy() {
        for (values, share, expected) in [
            (&[0.0, 1.0, 2.0, 3.0, 4.0][..], 0.5, 2.0),
            (&[0.0, 1.0, 2.0, 3.0, 4.0], 0.025, 0.1),
            (&[0.0, 10.0], 0.975, 9.75),
            (&[7.0], 0.3, 7.0),
            (&[], 0.5, 0.0),
        ] {
            assert!((quantile(values, share) - expected).abs() < 1e-12, "{values:?} {share}");
        }
    }

    #[test]
    fn intervals_are_as_wide_as_theory_has_them_and_follow_from_the_seed() {
        // Of a hundred clips half are right: the deviation of the share is √(0.5 · 0.5 / 100) = 0.05.
        let cases: Vec<_> = (0..100)
            .map(|clip| (0, if clip % 2 == 0 { [0, 1, 2, 3] } else { [1, 2, 3, 0] }))
            .collect();
        let (clips, logits) = said(&cases);
        let answers = answers(&clips, &logits, 4);
        let answers: Vec<_> = answers.iter().collect();
        let found = intervals(4, &answers, 2000, 1).accuracy;
        assert!(
            (found.low - 0.402).abs() < 0.015 && (found.high - 0.598).abs() < 0.015,
            "{found:?}"
        );
        assert_eq!(intervals(4, &answers, 200, 7), intervals(4, &answers, 200, 7));
        assert_ne!(
            intervals(4, &answers, 200, 7).macro_f1,
            intervals(4, &answers, 200, 8).macro_f1
        );

        let right: Vec<_> = answers.iter().copied().filter(|answer| answer.is_right()).collect();
        let found = intervals(4, &right, 100, 1);
        assert_eq!(found.accuracy, Interval { low: 1.0, high: 1.0 });
        assert_eq!(found.top3_accuracy, Interval { low: 1.0, high: 1.0 });
    }
}
