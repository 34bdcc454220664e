//! Classification metrics: loss, accuracy, precision, recall, F1.
//!
//! Pure functions of numbers. Averages and divisions by zero follow scikit-learn with
//! `zero_division=0`.

use serde::{Deserialize, Serialize};

/// Confusion matrix: counts by true class and predicted class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// `[label, prediction]` in C order.
    counts: Vec<u64>,
}

/// Scores of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClassScores {
    /// Share of the predictions of this class that are right; 0 if there are none.
    pub precision: f64,
    /// Share of the clips of this class that are predicted right; 0 if there are none.
    pub recall: f64,
    /// Harmonic mean of precision and recall; 0 if both are 0.
    pub f1: f64,
    /// Number of clips of this class.
    pub support: u64,
}

impl Confusion {
    /// Creates an empty matrix.
    pub fn new(classes: usize) -> Confusion {
        Confusion { classes, counts: vec![0; classes * classes] }
    }

    /// Counts pairs of label and prediction.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn of(classes: usize, pairs: impl IntoIterator<Item = (usize, usize)>) -> Confusion {
        let mut confusion = Confusion::new(classes);
        pairs.into_iter().for_each(|(label, prediction)| confusion.add(label, prediction));
        confusion
    }

    /// Counts one clip of class `label` that was predicted as `prediction`.
    ///
    /// # Panics
    /// If a class is out of range.
    pub fn add(&mut self, label: usize, prediction: usize) {
        assert!(label < self.classes && prediction < self.classes, "BUG: a class out of range");
        self.counts[label * self.classes + prediction] += 1;
    }

    /// Returns the number of clips of class `label` that were predicted as `prediction`.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        self.row(label).get(prediction).copied().unwrap_or_default()
    }

    /// Returns the counts of the clips of class `label` by predicted class.
    pub fn row(&self, label: usize) -> &[u64] {
        self.counts.get(label * self.classes..(label + 1) * self.classes).unwrap_or_default()
    }

    /// Returns the number of clips.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the share of right predictions; 0 if there are none.
    pub fn accuracy(&self) -> f64 {
        ratio((0..self.classes).map(|class| self.count(class, class)).sum(), self.total())
    }

    /// Returns the mean recall over the classes that have clips.
    ///
    /// This would be the accuracy if all classes had the same size.
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self
            .per_class()
            .iter()
            .filter(|class| class.support > 0)
            .map(|class| class.recall)
            .collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }

    /// Returns the scores of each class, in order.
    pub fn per_class(&self) -> Vec<ClassScores> {
        (0..self.classes)
            .map(|class| {
                let hits = self.count(class, class);
                let support = self.row(class).iter().sum();
                let predicted = (0..self.classes).map(|label| self.count(label, class)).sum();
                ClassScores {
                    precision: ratio(hits, predicted),
                    recall: ratio(hits, support),
                    f1: ratio(2 * hits, support + predicted),
                    support,
                }
            })
            .collect()
    }

    /// Returns the mean F1 over the classes that occur as label or prediction; 0 if none occur.
    pub fn macro_f1(&self) -> f64 {
        let scores = self.per_class();
        let occurs = |class: &usize| {
            scores[*class].support > 0
                || (0..self.classes).any(|label| self.count(label, *class) > 0)
        };
        let occurring: Vec<usize> = (0..self.classes).filter(occurs).collect();
        let sum: f64 = occurring.iter().map(|class| scores[*class].f1).sum();
        if occurring.is_empty() { 0.0 } else { sum / occurring.len() as f64 }
    }
}

/// Loss, accuracy and macro F1 of a set of clips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean cross entropy, in nats.
    pub loss: f64,
    /// Share of right predictions.
    pub accuracy: f64,
    /// Macro F1; see [`Confusion::macro_f1`].
    pub macro_f1: f64,
}

/// Accumulates scores over batches.
#[derive(Clone, Debug)]
pub struct Tally {
    confusion: Confusion,
    loss: f64,
}

impl Tally {
    /// Creates an empty tally.
    pub fn new(classes: usize) -> Tally {
        Tally { confusion: Confusion::new(classes), loss: 0.0 }
    }

    /// Adds clips by their logits, `[N, classes]` in C order, and their true classes.
    ///
    /// # Panics
    /// If a target is out of range.
    pub fn add(&mut self, logits: &[f32], targets: &[usize]) {
        for (row, target) in logits.chunks_exact(self.confusion.classes).zip(targets) {
            self.loss += cross_entropy(row, *target);
            self.confusion.add(*target, argmax(row));
        }
    }

    /// Returns the scores of the clips so far; all 0 if there are none.
    pub fn scores(&self) -> Scores {
        let clips = self.confusion.total().max(1) as f64;
        let (accuracy, macro_f1) = (self.confusion.accuracy(), self.confusion.macro_f1());
        Scores { loss: self.loss / clips, accuracy, macro_f1 }
    }

    /// Returns the confusion matrix.
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }
}

/// Returns the class with the largest logit; ties go to the first.
pub fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    best
}

/// Returns the number of classes that rank above `target`; 0 if it is the prediction.
///
/// Ties rank by index, as in [`argmax`].
///
/// # Panics
/// If `target` is out of range.
pub fn rank(logits: &[f32], target: usize) -> usize {
    let own = logits[target];
    let ranks_before =
        |(class, logit): (usize, &f32)| *logit > own || (*logit == own && class < target);
    logits.iter().enumerate().filter(|pair| ranks_before(*pair)).count()
}

/// Softmax, e^logit / Σ e^logit, without overflow.
pub fn probabilities(logits: &[f32]) -> Vec<f64> {
    let shift = log_sum_exp(logits);
    logits.iter().map(|logit| (f64::from(*logit) - shift).exp()).collect()
}

/// Cross entropy of one clip in nats, `−ln softmax(logits)[target]`.
///
/// # Panics
/// If `target` is out of range.
pub fn cross_entropy(logits: &[f32], target: usize) -> f64 {
    log_sum_exp(logits) - f64::from(logits[target])
}

fn log_sum_exp(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    logits.iter().map(|logit| (f64::from(*logit) - largest).exp()).sum::<f64>().ln() + largest
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-9
    }

    /// Rows are labels, predictions, and scikit-learn's `accuracy_score` and
    /// `f1_score(average="macro", zero_division=0)`.
    #[test]
    fn accuracy_and_macro_f1_match_scikit_learn() {
        let table: [(&[usize], &[usize], f64, f64); 7] = [
            (&[0, 1, 2, 0, 1, 2], &[0, 2, 1, 0, 0, 1], 1.0 / 3.0, 0.8 / 3.0),
            (&[0, 0, 1, 1], &[0, 0, 1, 1], 1.0, 1.0),
            (&[0, 0, 1, 1], &[1, 1, 0, 0], 0.0, 0.0),
            (&[0, 0, 0, 0], &[0, 0, 0, 0], 1.0, 1.0),
            (&[0, 0, 0, 1], &[0, 0, 0, 0], 0.75, 0.428_571_428_571_428_55),
            (&[0, 1], &[2, 2], 0.0, 0.0),
            (&[], &[], 0.0, 0.0),
        ];
        for (labels, predictions, accuracy, macro_f1) in table {
            let confusion =
                Confusion::of(3, labels.iter().copied().zip(predictions.iter().copied()));
            assert!(close(confusion.accuracy(), accuracy), "{labels:?} {predictions:?}");
            assert!(close(confusion.macro_f1(), macro_f1), "{labels:?} {predictions:?}");
        }
    }

    /// Rows are labels, predictions, and scikit-learn's `balanced_accuracy_score`.
    #[test]
    fn balanced_accuracy_matches_scikit_learn() {
        let table: [(&[usize], &[usize], f64); 4] = [
            // Recalls 3/4, 1/1, 0/1.
            (&[0, 0, 0, 0, 1, 2], &[0, 0, 0, 1, 1, 0], 1.75 / 3.0),
            // Class 2 has no clips and occurs only as a prediction.
            (&[0, 0, 1, 1], &[0, 2, 1, 1], 0.75),
            (&[1, 1], &[0, 2], 0.0),
            (&[], &[], 0.0),
        ];
        for (labels, predictions, expected) in table {
            let confusion =
                Confusion::of(3, labels.iter().copied().zip(predictions.iter().copied()));
            assert!(close(confusion.balanced_accuracy(), expected), "{labels:?} {predictions:?}");
        }
    }

    #[test]
    fn rank_with_ties() {
        for (logits, expected) in [
            ([3.0, 2.0, 1.0], [0, 1, 2]),
            ([1.0, 5.0, 1.0], [1, 0, 2]),
            ([0.0, 0.0, 0.0], [0, 1, 2]),
        ] {
            assert_eq!([0, 1, 2].map(|target| rank(&logits, target)), expected, "{logits:?}");
            assert_eq!(rank(&logits, argmax(&logits)), 0);
        }
    }

    #[test]
    fn per_class_scores() {
        // Class 0: two right, one predicted as class 1. Class 1: one right. Class 2: no clips.
        let confusion = Confusion::of(3, [(0, 0), (0, 0), (0, 1), (1, 1)]);
        let scores = confusion.per_class();
        assert_eq!(
            scores[0],
            ClassScores { precision: 1.0, recall: 2.0 / 3.0, f1: 0.8, support: 3 }
        );
        assert_eq!(scores[1].precision, 0.5);
        assert_eq!(scores[1].recall, 1.0);
        assert!(close(scores[1].f1, 2.0 / 3.0));
        assert_eq!(scores[2], ClassScores { precision: 0.0, recall: 0.0, f1: 0.0, support: 0 });
        assert_eq!(confusion.row(0), [2, 1, 0]);
    }

    #[test]
    fn tally_averages_over_clips() {
        let mut tally = Tally::new(2);
        tally.add(&[0.0, 0.0, 9.0, 9.0], &[0, 1]);
        tally.add(&[0.0, 1000.0], &[1]);
        let scores = tally.scores();
        assert!(close(scores.loss, 2.0 * 2f64.ln() / 3.0), "{scores:?}");
        assert!(close(scores.accuracy, 2.0 / 3.0));
        assert_eq!(tally.confusion().row(1), [1, 1]);
        assert_eq!(Tally::new(2).scores(), Scores { loss: 0.0, accuracy: 0.0, macro_f1: 0.0 });
    }

    #[test]
    fn known_losses_and_probabilities() {
        assert!(close(cross_entropy(&[0.0, 0.0], 0), 2f64.ln()));
        assert!(close(cross_entropy(&[1000.0, 0.0], 0), 0.0));
        assert!(close(cross_entropy(&[1000.0, 0.0], 1), 1000.0));
        assert!(cross_entropy(&[f32::NAN, 0.0], 0).is_nan());
        let found = probabilities(&[0.0, 3f32.ln()]);
        assert!((found[0] - 0.25).abs() < 1e-7 && (found[1] - 0.75).abs() < 1e-7, "{found:?}");
        assert_eq!(argmax(&[0.5, 2.0, 2.0, -1.0]), 1);
    }
}
