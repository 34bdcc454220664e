//! Formats predictions: lines for people, CSV and JSON for programs.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::predictor::{Probabilities, ranked};
use crate::segments::Span;

/// The prediction for one file.
#[derive(Debug)]
pub(crate) struct Prediction {
    pub(crate) path: PathBuf,
    pub(crate) label: Option<String>,
    /// Probabilities of the whole file.
    pub(crate) probabilities: Probabilities,
    /// Probabilities of each segment, if requested.
    pub(crate) timeline: Vec<(Span, Probabilities)>,
    /// Why the file may have more sound than was decoded.
    pub(crate) doubt: Option<String>,
}

/// Formats a line for a file with its `top` genres, followed by a line per segment.
pub(crate) fn lines(prediction: &Prediction, labels: &[String], top: usize) -> String {
    let words = |probabilities: &Probabilities, top: usize| {
        let genres = ranked(labels, probabilities).into_iter().take(top);
        let words: Vec<String> = genres
            .map(|(genre, probability)| format!("{genre} {:.1} %", probability * 100.0))
            .collect();
        words.join(", ")
    };
    let mut text =
        format!("{}: {}\n", prediction.path.display(), words(&prediction.probabilities, top));
    for (span, probabilities) in &prediction.timeline {
        let [start, end] = [span.start, span.end].map(clock);
        text.push_str(&format!("  {start:>7} – {end:>7}  {}\n", words(probabilities, 1)));
    }
    text
}

/// Columns of the table with one row per file.
pub(crate) const COLUMNS: [&str; 4] = ["path", "prediction", "label", "probability"];
/// Columns of the table with one row per segment.
pub(crate) const TIMELINE_COLUMNS: [&str; 5] =
    ["path", "start", "end", "prediction", "probability"];

/// Returns the rows for [`COLUMNS`].
pub(crate) fn rows(predictions: &[Prediction], labels: &[String]) -> Vec<Vec<String>> {
    let row = |prediction: &Prediction| {
        let (genre, probability) = best(labels, &prediction.probabilities);
        let label = prediction.label.clone().unwrap_or_default();
        vec![shown(&prediction.path), genre, label, format!("{probability:.6}")]
    };
    predictions.iter().map(row).collect()
}

/// Returns the rows for [`TIMELINE_COLUMNS`].
pub(crate) fn timeline_rows(predictions: &[Prediction], labels: &[String]) -> Vec<Vec<String>> {
    let row = |prediction: &Prediction, span: &Span, probabilities: &Probabilities| {
        let (genre, probability) = best(labels, probabilities);
        let [start, end] = [span.start, span.end].map(|seconds| format!("{seconds:.3}"));
        vec![shown(&prediction.path), start, end, genre, format!("{probability:.6}")]
    };
    let rows = predictions.iter().flat_map(|prediction| {
        prediction
            .timeline
            .iter()
            .map(move |(span, probabilities)| row(prediction, span, probabilities))
    });
    rows.collect()
}

/// Returns the JSON object for a file.
pub(crate) fn json(prediction: &Prediction, labels: &[String]) -> Value {
    let (genre, probability) = best(labels, &prediction.probabilities);
    let probabilities: Map<String, Value> = labels
        .iter()
        .cloned()
        .zip(prediction.probabilities.iter().map(|probability| json!(rounded(*probability))))
        .collect();
    let mut object = json!({
        "path": shown(&prediction.path),
        "prediction": genre,
        "probability": rounded(probability),
        "probabilities": probabilities,
    });
    if let Some(label) = &prediction.label {
        object["label"] = json!(label);
    }
    if !prediction.timeline.is_empty() {
        let part = |(span, probabilities): &(Span, Probabilities)| {
            let (genre, probability) = best(labels, probabilities);
            let probability = rounded(probability);
            json!({
                "start": span.start,
                "end": span.end,
                "prediction": genre,
                "probability": probability,
            })
        };
        object["timeline"] = prediction.timeline.iter().map(part).collect();
    }
    object
}

/// Writes to stdout. A closed pipe is not an error, because the tables still have to be written.
///
/// # Errors
/// If writing fails for another reason.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

fn best(labels: &[String], probabilities: &Probabilities) -> (String, f32) {
    ranked(labels, probabilities)
        .first()
        .map(|(genre, probability)| ((*genre).to_owned(), *probability))
        .unwrap_or_default()
}

/// Rounds to six decimals, as in the tables.
fn rounded(probability: f32) -> f64 {
    (f64::from(probability) * 1e6).round() / 1e6
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Formats seconds as `1:02:03.5`, without the tenths if they are 0.
fn clock(seconds: f64) -> String {
    let tenths = (seconds * 10.0).round() as u64;
    let (hours, minutes, seconds, tenth) =
        (tenths / 36_000, tenths / 600 % 60, tenths / 10 % 60, tenths % 10);
    let fraction = if tenth > 0 { format!(".{tenth}") } else { String::new() };
    match hours {
        0 => format!("{minutes}:{seconds:02}{fraction}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_times() {
        for (seconds, expected) in [
            (0.0, "0:00"),
            (9.96, "0:10"),
            (61.5, "1:01.5"),
            (3600.0, "1:00:00"),
            (3723.04, "1:02:03"),
        ] {
            assert_eq!(clock(seconds), expected);
        }
    }

    #[test]
    fn all_formats() {
        let labels = ["jazz".to_owned(), "rock".to_owned()];
        let timeline = vec![
            (Span { start: 0.0, end: 10.0 }, vec![0.25, 0.75]),
            (Span { start: 10.0, end: 12.5 }, vec![0.875, 0.125]),
        ];
        let prediction = Prediction {
            path: "a.mp3".into(),
            label: Some("jazz".to_owned()),
            probabilities: vec![0.5625, 0.4375],
            timeline,
            doubt: None,
        };
        let text = "a.mp3: jazz 56.2 %, rock 43.8 %\n     0:00 –    0:10  rock 75.0 %\n     \
                    0:10 –  0:12.5  jazz 87.5 %\n";
        assert_eq!(lines(&prediction, &labels, 9), text);
        let json = json(&prediction, &labels);
        assert_eq!(json["probabilities"]["rock"], 0.4375, "{json}");
        assert_eq!(
            json["timeline"][1],
            json!({ "start": 10.0, "end": 12.5, "prediction": "jazz", "probability": 0.875 })
        );
        let predictions = [prediction];
        assert_eq!(rows(&predictions, &labels), [["a.mp3", "jazz", "jazz", "0.562500"]]);
        assert_eq!(
            timeline_rows(&predictions, &labels)[1],
            ["a.mp3", "10.000", "12.500", "jazz", "0.875000"]
        );
    }
}
