//! Scores of a set of predictions, with 95 % intervals.
//!
//! An interval measures the effect of the choice of clips, not of another training run. Shares of
//! clips have Wilson's interval. The macro F1 and the calibration error are not shares: they have a
//! percentile bootstrap (Efron 1979), the middle 95 % of the values of sets that are drawn from the
//! clips with replacement. A bootstrap of faultless predictions has no width, so the one of the
//! macro F1 is widened to contain Wilson's interval, and the one of the calibration error by the
//! interval of the accuracy.

use model::random::{Purpose, Random};
use serde::Serialize;

use crate::calibration::{bins, expected_error};
use crate::predictions::{Prediction, confusion};
use crate::wilson::Interval;

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

/// Intervals of all scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Intervals {
    #[serde(flatten)]
    pub(crate) scores: Scores<Interval>,
    /// Expected calibration error.
    pub(crate) ece: Interval,
}

/// Settings of the bootstraps and of the calibration error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bootstrap {
    pub(crate) resamples: u64,
    pub(crate) seed: u64,
    /// Number of confidence bins.
    pub(crate) bins: usize,
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

/// Computes the intervals of [`scores`] and of the calibration error.
pub(crate) fn intervals<'a>(
    classes: usize,
    predictions: &[&'a Prediction<'a>],
    bootstrap: Bootstrap,
) -> Intervals {
    let found = scores(classes, predictions);
    let clips = predictions.len() as f64;
    let balanced = Interval::wilson(found.balanced_accuracy, effective(classes, predictions));
    let drawn = |number| {
        let mut random = Random::new(bootstrap.seed, Purpose::Resample(number));
        let draw =
            |_: &&Prediction<'a>| predictions[random.below(predictions.len() as u64) as usize];
        let sample: Vec<_> = predictions.iter().map(draw).collect();
        let macro_f1 = confusion(classes, sample.iter().copied()).macro_f1();
        let pairs = sample.iter().map(|it| (it.confidence(), it.is_correct()));
        (macro_f1, expected_error(&bins(pairs, bootstrap.bins)))
    };
    let (f1s, errors): (Vec<f64>, Vec<f64>) = (0..bootstrap.resamples).map(drawn).unzip();
    let macro_f1 = middle(f1s).hull(Interval::wilson(found.macro_f1, clips));
    let accuracy = Interval::wilson(found.accuracy, clips);
    let pairs = || predictions.iter().map(|it| (it.confidence(), it.is_correct()));
    let confidence = pairs().map(|(confidence, _)| confidence).sum::<f64>() / clips.max(1.0);
    let error = expected_error(&bins(pairs(), bootstrap.bins));
    Intervals {
        scores: Scores {
            accuracy,
            balanced_accuracy: balanced,
            macro_f1,
            top3_accuracy: Interval::wilson(found.top3_accuracy, clips),
        },
        ece: middle(errors)
            .hull(distances(confidence, accuracy))
            .hull(Interval { low: error, high: error }),
    }
}

/// Returns the distances of the mean confidence from the accuracies of an interval.
///
/// The calibration error is at least the distance of the mean confidence from the accuracy. Its
/// bootstrap is too narrow for few clips: all right at a confidence of 99 % gives 0.01 ± 0. It is
/// also too high, because the noise of a resample adds to that of the clips.
fn distances(confidence: f64, accuracy: Interval) -> Interval {
    let [one, other] = [accuracy.low, accuracy.high].map(|bound| (confidence - bound).abs());
    let is_inside = (accuracy.low..=accuracy.high).contains(&confidence);
    Interval { low: if is_inside { 0.0 } else { one.min(other) }, high: one.max(other) }
}

/// Returns the number of clips in a balanced set that determines the mean recall as well as these.
///
/// The variance of a mean of `k` recalls is Σ p (1 − p) / nᵢ / k², so nᵢ clips of class i count as
/// k² / Σ 1 / nᵢ.
fn effective<'a>(classes: usize, predictions: &[&'a Prediction<'a>]) -> f64 {
    let mut counts = vec![0u64; classes];
    predictions.iter().for_each(|prediction| counts[prediction.label] += 1);
    counts.retain(|count| *count > 0);
    let inverse: f64 = counts.iter().map(|count| 1.0 / *count as f64).sum();
    if counts.is_empty() { 0.0 } else { (counts.len() as f64).powi(2) / inverse }
}

/// Returns the middle 95 % of values.
fn middle(mut values: Vec<f64>) -> Interval {
    values.sort_by(f64::total_cmp);
    Interval { low: quantile(&values, OUTSIDE / 2.0), high: quantile(&values, 1.0 - OUTSIDE / 2.0) }
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
        let bootstrap = Bootstrap { resamples: 500, seed: 7, bins: 10 };
        let found = intervals(4, &predictions, bootstrap);
        let Interval { low, high } = found.scores.accuracy;
        assert!((low - 0.404).abs() < 0.001 && (high - 0.596).abs() < 0.001, "{found:?}");
        assert_eq!(found, intervals(4, &predictions, bootstrap));
        let other = intervals(4, &predictions, Bootstrap { seed: 8, ..bootstrap });
        assert_ne!(found.ece, other.ece);

        let correct =
            predictions.iter().copied().filter(|prediction| prediction.is_correct()).take(4);
        let found = intervals(4, &correct.collect::<Vec<_>>(), bootstrap);
        // The confidence is 0.644, and the accuracy may be anything from 0.510 to 1.
        assert!(found.ece.low == 0.0 && (found.ece.high - 0.356).abs() < 0.001, "{found:?}");
        let Scores { accuracy, balanced_accuracy, macro_f1, top3_accuracy } = found.scores;
        for found in [accuracy, balanced_accuracy, macro_f1, top3_accuracy] {
            assert!((found.low - 0.510).abs() < 0.001 && found.high == 1.0, "{found:?}");
        }
    }

    #[test]
    fn distances_of_confidence() {
        let accuracy = Interval { low: 0.5, high: 0.75 };
        for (confidence, low, high) in
            [(0.625, 0.0, 0.125), (0.5, 0.0, 0.25), (1.0, 0.25, 0.5), (0.25, 0.25, 0.5)]
        {
            assert_eq!(distances(confidence, accuracy), Interval { low, high }, "{confidence}");
        }
    }

    #[test]
    fn effective_clips_of_balanced_accuracy() {
        let order = [0, 1, 2, 3];
        for (labels, expected) in
            [(&[0, 0, 1, 1][..], 4.0), (&[0, 0, 0, 1], 3.0), (&[2, 2, 2], 3.0), (&[], 0.0)]
        {
            let cases: Vec<_> = labels.iter().map(|label| (*label, order)).collect();
            let (clips, logits) = ranked(&cases);
            let predictions = predictions(&clips, &logits, 4);
            let found = effective(4, &predictions.iter().collect::<Vec<_>>());
            assert!((found - expected).abs() < 1e-9, "{labels:?}: {found}");
        }
    }
}
