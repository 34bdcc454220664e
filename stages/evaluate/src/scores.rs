//! Scores of a set of predictions, with bootstrap intervals.
//!
//! The intervals are percentile bootstraps (Efron 1979): the clips are resampled with replacement
//! to sets of the same size, and the interval is the middle 95 % of the scores of these sets. It
//! measures the effect of the choice of clips, not of another training run.

use model::random::{Purpose, Random};
use serde::Serialize;

use crate::predictions::{Prediction, confusion};

/// Share of resamples outside the interval, half of it on each side.
const OUTSIDE: f64 = 0.05;
/// A clip counts for `top3_accuracy` if fewer classes than this are more likely than the true one.
const TOP: usize = 3;

/// Scores between 0 and 1, or their intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Scores<T> {
    /// Share of clips with a correct prediction.
    pub(crate) accuracy: T,
    /// Mean recall over the classes.
    pub(crate) balanced_accuracy: T,
    /// Mean F1 over the classes.
    pub(crate) macro_f1: T,
    /// Share of clips with the true class among the three most likely.
    pub(crate) top3_accuracy: T,
}

/// A 95 % bootstrap interval of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// Computes the scores of these predictions.
pub(crate) fn scores<'a>(classes: usize, predictions: &[&'a Prediction<'a>]) -> Scores<f64> {
    let confusion = confusion(classes, predictions.iter().copied());
    let top = predictions.iter().filter(|prediction| prediction.rank < TOP).count();
    Scores {
        accuracy: confusion.accuracy(),
        balanced_accuracy: confusion.balanced_accuracy(),
        macro_f1: confusion.macro_f1(),
        top3_accuracy: top as f64 / predictions.len().max(1) as f64,
    }
}

/// Computes intervals of [`scores`] from `resamples` draws, which `seed` determines.
pub(crate) fn intervals<'a>(
    classes: usize,
    predictions: &[&'a Prediction<'a>],
    resamples: u64,
    seed: u64,
) -> Scores<Interval> {
    let resample = |number| {
        let mut random = Random::new(seed, Purpose::Resample(number));
        let draw =
            |_: &&Prediction<'a>| predictions[random.below(predictions.len() as u64) as usize];
        scores(classes, &predictions.iter().map(draw).collect::<Vec<_>>())
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

/// Returns a quantile of sorted `values` with linear interpolation, like NumPy's `quantile`.
///
/// Returns 0 without values.
fn quantile(values: &[f64], share: f64) -> f64 {
    let at = share * values.len().saturating_sub(1) as f64;
    let (below, above) = (values.get(at.floor() as usize), values.get(at.ceil() as usize));
    below.zip(above).map_or(0.0, |(below, above)| below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::predictions;
    use model::dataset::Clip;

    /// Builds clips with the given labels, and logits that rank the classes in the given order.
    fn ranked(cases: &[(usize, [usize; 4])]) -> (Vec<Clip>, Vec<f32>) {
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
    fn computes_scores() {
        // Class 0: one correct, one ranked third. Class 1: ranked last. Class 3: correct.
        let (clips, logits) =
            ranked(&[(0, [0, 1, 2, 3]), (0, [1, 2, 0, 3]), (1, [0, 2, 3, 1]), (3, [3, 0, 1, 2])]);
        let predictions = predictions(&clips, &logits, 4);
        let found = scores(4, &predictions.iter().collect::<Vec<_>>());
        assert_eq!(
            (found.accuracy, found.balanced_accuracy, found.top3_accuracy),
            (0.5, 0.5, 0.75)
        );
        // F1 of class 0: 2·1 / (2 + 2); of 1: 0; of 3: 1; class 2 does not occur.
        assert!((found.macro_f1 - 0.5).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn quantiles_match_numpy() {
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
    fn interval_width_and_determinism() {
        // Half of 100 clips are correct: the standard error is √(0.5 · 0.5 / 100) = 0.05.
        let cases: Vec<_> = (0..100)
            .map(|clip| (0, if clip % 2 == 0 { [0, 1, 2, 3] } else { [1, 2, 3, 0] }))
            .collect();
        let (clips, logits) = ranked(&cases);
        let predictions = predictions(&clips, &logits, 4);
        let predictions: Vec<_> = predictions.iter().collect();
        let found = intervals(4, &predictions, 2000, 1).accuracy;
        assert!(
            (found.low - 0.402).abs() < 0.015 && (found.high - 0.598).abs() < 0.015,
            "{found:?}"
        );
        assert_eq!(intervals(4, &predictions, 200, 7), intervals(4, &predictions, 200, 7));
        assert_ne!(
            intervals(4, &predictions, 200, 7).macro_f1,
            intervals(4, &predictions, 200, 8).macro_f1
        );

        let correct: Vec<_> =
            predictions.iter().copied().filter(|prediction| prediction.is_correct()).collect();
        let found = intervals(4, &correct, 100, 1);
        assert_eq!(found.accuracy, Interval { low: 1.0, high: 1.0 });
        assert_eq!(found.top3_accuracy, Interval { low: 1.0, high: 1.0 });
    }
}
