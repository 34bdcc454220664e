//! The confusion matrix as data: JSON for programs, CSV for spreadsheets and `repro plots`.
//!
//! Knows nothing about how it is drawn.

use std::path::Path;

use anyhow::Result;
use model::metrics::Confusion;
use serde_json::json;

/// Writes `{labels, matrix}`; `matrix[i][j]` counts the clips of class i that were predicted as class j.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn write_json(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let matrix: Vec<&[u64]> = (0..labels.len()).map(|label| confusion.row(label)).collect();
    kit::files::write_json(path, &json!({ "labels": labels, "matrix": matrix }))
}

/// Writes `label,prediction,count`, a row for each pair, zeros included.
///
/// # Errors
/// Any failure of the file system.
pub(crate) fn write_csv(path: &Path, labels: &[String], confusion: &Confusion) -> Result<()> {
    let pairs = labels.iter().enumerate().flat_map(|(label, name)| {
        labels.iter().enumerate().map(move |(prediction, other)| {
            [name.clone(), other.clone(), confusion.count(label, prediction).to_string()]
        })
    });
    kit::csv::write(path, &["label", "prediction", "count"], pairs)
}
