//! The model's prediction for each clip, next to the true class.

use model::dataset::Clip;
use model::metrics::{Confusion, argmax, cross_entropy, probabilities, rank};

/// The prediction for one clip.
#[derive(Clone, Debug)]
pub(crate) struct Prediction<'a> {
    /// Path of the clip below the folder of spectrograms.
    pub(crate) path: &'a str,
    /// True class.
    pub(crate) label: usize,
    /// Predicted class.
    pub(crate) predicted: usize,
    /// Number of classes that rank above the true class; see [`model::metrics::rank`].
    pub(crate) rank: usize,
    /// Cross entropy, in nats.
    pub(crate) loss: f64,
    probabilities: Vec<f64>,
}

impl Prediction<'_> {
    /// Returns the probability of the predicted class.
    pub(crate) fn confidence(&self) -> f64 {
        self.probabilities[self.predicted]
    }

    /// Returns the probability of the true class.
    pub(crate) fn label_probability(&self) -> f64 {
        self.probabilities[self.label]
    }

    pub(crate) fn is_correct(&self) -> bool {
        self.label == self.predicted
    }
}

/// Converts logits, one row of `classes` values per clip, to predictions.
pub(crate) fn predictions<'a>(
    clips: &'a [Clip],
    logits: &[f32],
    classes: usize,
) -> Vec<Prediction<'a>> {
    let prediction = |(clip, row): (&'a Clip, &[f32])| Prediction {
        path: &clip.path,
        label: clip.label,
        predicted: argmax(row),
        rank: rank(row, clip.label),
        loss: cross_entropy(row, clip.label),
        probabilities: probabilities(row),
    };
    clips.iter().zip(logits.chunks_exact(classes)).map(prediction).collect()
}

/// Builds the confusion matrix.
pub(crate) fn confusion<'a>(
    classes: usize,
    predictions: impl IntoIterator<Item = &'a Prediction<'a>>,
) -> Confusion {
    Confusion::of(
        classes,
        predictions.into_iter().map(|prediction| (prediction.label, prediction.predicted)),
    )
}
