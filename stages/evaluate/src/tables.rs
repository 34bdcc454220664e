//! The answers as tables: CSV for spreadsheets and `repro plots`, JSON for programs.
//!
//! Knows nothing about how they are drawn.

use std::path::Path;

use anyhow::Result;
use model::metrics::Confusion;
use serde_json::json;

use crate::answers::Answer;
use crate::calibration::Bin;

/// `path,prediction,label,probability`: a row a clip, the probability that of the prediction.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn predictions(path: &Path, labels: &[String], answers: &[Answer<'_>]) -> Result<()> {
    let rows = answers.iter().map(|answer| {
        [
            answer.path,
            &labels[answer.prediction],
            &labels[answer.label],
            &share(answer.confidence()),
        ]
        .map(str::to_owned)
    });
    kit::csv::write(path, &["path", "prediction", "label", "probability"], rows)
}

/// `path,label,prediction,probability,label_probability`: the clips that were taken for another class, those
/// first of which the model was surest.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn mistakes(path: &Path, labels: &[String], answers: &[Answer<'_>]) -> Result<()> {
    let mut wrong: Vec<&Answer<'_>> = answers.iter().filter(|answer| !answer.is_right()).collect();
    wrong.sort_by(|one, other| {
        other.confidence().total_cmp(&one.confidence()).then(one.path.cmp(other.path))
    });
    let rows = wrong.into_iter().map(|answer| {
        let (probability, own) = (share(answer.confidence()), share(answer.label_probability()));
        [answer.path, &labels[answer.label], &labels[answer.prediction], &probability, &own]
            .map(str::to_owned)
    });
    kit::csv::write(
        path,
        &["path", "label", "prediction", "probability", "label_probability"],
        rows,
    )
}

/// `class,precision,recall,f1,support`.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn per_class(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let rows = labels.iter().zip(confusion.per_class()).map(|(label, scores)| {
        let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(share);
        [label.clone(), precision, recall, f1, scores.support.to_string()]
    });
    kit::csv::write(path, &["class", "precision", "recall", "f1", "support"], rows)
}

/// `from,to,clips,confidence,accuracy`: a row a bin; both means are empty where there is no clip.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn calibration(path: &Path, bins: &[Bin]) -> Result<()> {
    let rows = bins.iter().map(|bin| {
        let mean = |value| if bin.clips == 0 { String::new() } else { share(value) };
        let (from, to) = (bin.from.to_string(), bin.to.to_string());
        [from, to, bin.clips.to_string(), mean(bin.confidence), mean(bin.accuracy)]
    });
    kit::csv::write(path, &["from", "to", "clips", "confidence", "accuracy"], rows)
}

/// `{labels, matrix}`; `matrix[i][j]` counts the clips of class i that were predicted as class j.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn confusion_json(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let matrix: Vec<&[u64]> = (0..labels.len()).map(|label| confusion.row(label)).collect();
    kit::files::write_json(path, &json!({ "labels": labels, "matrix": matrix }))
}

/// `label,prediction,count`, a row for each pair, zeros included.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn confusion_csv(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let pairs = labels.iter().enumerate().flat_map(|(label, name)| {
        labels.iter().enumerate().map(move |(prediction, other)| {
            [name.clone(), other.clone(), confusion.count(label, prediction).to_string()]
        })
    });
    kit::csv::write(path, &["label", "prediction", "count"], pairs)
}

fn share(value: f64) -> String {
    format!("{value:.6}")
}
