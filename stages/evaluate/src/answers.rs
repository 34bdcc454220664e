//! What the model says of each clip, beside what is true.
//!
//! Knows nothing about where the logits come from.

use model::dataset::Clip;
use model::metrics::{Confusion, argmax, cross_entropy, probabilities, rank};

/// What the model says of one clip.
#[derive(Clone, Debug)]
pub(crate) struct Answer<'a> {
    /// The clip's path below the spectrograms.
    pub(crate) path: &'a str,
    /// The class that it is of.
    pub(crate) label: usize,
    /// The class that it is taken for.
    pub(crate) prediction: usize,
    /// How many classes are taken for likelier than its own.
    pub(crate) rank: usize,
    /// The cross entropy, in nats.
    pub(crate) loss: f64,
    probabilities: Vec<f64>,
}

impl Answer<'_> {
    /// How sure the model is of its prediction.
    pub(crate) fn confidence(&self) -> f64 {
        self.probabilities[self.prediction]
    }

    /// The probability of the class that the clip is of.
    pub(crate) fn label_probability(&self) -> f64 {
        self.probabilities[self.label]
    }

    pub(crate) fn is_right(&self) -> bool {
        self.label == self.prediction
    }
}

/// The answers of rows of `classes` logits, a row for each clip.
pub(crate) fn answers<'a>(clips: &'a [Clip], logits: &[f32], classes: usize) -> Vec<Answer<'a>> {
    let answer = |(clip, row): (&'a Clip, &[f32])| Answer {
        path: &clip.path,
        label: clip.label,
        prediction: argmax(row),
        rank: rank(row, clip.label),
        loss: cross_entropy(row, clip.label),
        probabilities: probabilities(row),
    };
    clips.iter().zip(logits.chunks_exact(classes)).map(answer).collect()
}

/// What was taken for what.
pub(crate) fn confusion<'a>(
    classes: usize,
    answers: impl IntoIterator<Item = &'a Answer<'a>>,
) -> Confusion {
    Confusion::of(classes, answers.into_iter().map(|answer| (answer.label, answer.prediction)))
}
