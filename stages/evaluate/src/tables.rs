//! Writes the results as tables: CSV for spreadsheets and `repro plots`, JSON for programs.

use std::path::Path;

use anyhow::Result;
use model::metrics::Confusion;
use serde_json::json;

use crate::calibration::Bin;
use crate::predictions::Prediction;

/// Writes `path,prediction,label,probability,calibrated`, one row per clip.
///
/// The probability is that of the predicted class. The last column is empty if no temperature could
/// be fitted.
///
/// # Errors
/// If the file system fails.
pub(crate) fn predictions(
    path: &Path,
    labels: &[String],
    predictions: &[Prediction<'_>],
    calibrated: Option<&[f64]>,
) -> Result<()> {
    let rows = predictions.iter().enumerate().map(|(clip, prediction)| {
        let scaled = calibrated.and_then(|all| all.get(clip)).map(|value| share(*value));
        [
            prediction.path,
            &labels[prediction.predicted],
            &labels[prediction.label],
            &share(prediction.confidence()),
            &scaled.unwrap_or_default(),
        ]
        .map(str::to_owned)
    });
    kit::csv::write(path, &["path", "prediction", "label", "probability", "calibrated"], rows)
}

/// Writes `path,label,prediction,probability,label_probability`, one row per wrong prediction.
///
/// The most confident mistakes come first.
///
/// # Errors
/// If the file system fails.
pub(crate) fn mistakes(
    path: &Path,
    labels: &[String],
    predictions: &[Prediction<'_>],
) -> Result<()> {
    let mut wrong: Vec<&Prediction<'_>> =
        predictions.iter().filter(|prediction| !prediction.is_correct()).collect();
    wrong.sort_by(|one, other| {
        other.confidence().total_cmp(&one.confidence()).then(one.path.cmp(other.path))
    });
    let rows = wrong.into_iter().map(|prediction| {
        let (probability, own) =
            (share(prediction.confidence()), share(prediction.label_probability()));
        [
            prediction.path,
            &labels[prediction.label],
            &labels[prediction.predicted],
            &probability,
            &own,
        ]
        .map(str::to_owned)
    });
    kit::csv::write(
        path,
        &["path", "label", "prediction", "probability", "label_probability"],
        rows,
    )
}

/// Writes `class,precision,recall,f1,support`, one row per class.
///
/// # Errors
/// If the file system fails.
pub(crate) fn per_class(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let rows = labels.iter().zip(confusion.per_class()).map(|(label, scores)| {
        let [precision, recall, f1] = [scores.precision, scores.recall, scores.f1].map(share);
        [label.clone(), precision, recall, f1, scores.support.to_string()]
    });
    kit::csv::write(path, &["class", "precision", "recall", "f1", "support"], rows)
}

/// Writes `from,to,clips,confidence,accuracy`, one row per bin; both means are empty without clips.
///
/// # Errors
/// If the file system fails.
pub(crate) fn calibration(path: &Path, bins: &[Bin]) -> Result<()> {
    let rows = bins.iter().map(|bin| {
        let mean = |value| if bin.clips == 0 { String::new() } else { share(value) };
        let (from, to) = (bin.from.to_string(), bin.to.to_string());
        [from, to, bin.clips.to_string(), mean(bin.confidence), mean(bin.accuracy)]
    });
    kit::csv::write(path, &["from", "to", "clips", "confidence", "accuracy"], rows)
}

/// Writes `{labels, matrix}`; `matrix[i][j]` counts clips of class i predicted as class j.
///
/// # Errors
/// If the file system fails.
pub(crate) fn confusion_json(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let matrix: Vec<&[u64]> = (0..labels.len()).map(|label| confusion.row(label)).collect();
    kit::files::write_json(path, &json!({ "labels": labels, "matrix": matrix }))
}

/// Writes `label,prediction,count`, one row for each pair of classes, including zeros.
///
/// # Errors
/// If the file system fails.
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
