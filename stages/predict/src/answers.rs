//! What is said of the files: lines for people, CSV and JSON for programs.
//!
//! Knows nothing about where answers come from.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::judge::{Shares, ranked};
use crate::segments::Span;

/// What is said of one file.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) path: PathBuf,
    pub(crate) label: Option<String>,
    /// The shares of the whole.
    pub(crate) shares: Shares,
    /// The shares of each part, where they were asked for.
    pub(crate) timeline: Vec<(Span, Shares)>,
}

/// A line for a file with its `top` genres, and below it a line for each part.
pub(crate) fn lines(answer: &Answer, labels: &[String], top: usize) -> String {
    let words = |shares: &Shares, top: usize| {
        let genres = ranked(labels, shares).into_iter().take(top);
        let words: Vec<String> =
            genres.map(|(genre, share)| format!("{genre} {:.1} %", share * 100.0)).collect();
        words.join(", ")
    };
    let mut text = format!("{}: {}\n", answer.path.display(), words(&answer.shares, top));
    for (span, shares) in &answer.timeline {
        let [start, end] = [span.start, span.end].map(clock);
        text.push_str(&format!("  {start:>7} – {end:>7}  {}\n", words(shares, 1)));
    }
    text
}

/// `path,prediction,label,probability`: a row a file.
pub(crate) const COLUMNS: [&str; 4] = ["path", "prediction", "label", "probability"];
/// `path,start,end,prediction,probability`: a row a part.
pub(crate) const TIMELINE_COLUMNS: [&str; 5] =
    ["path", "start", "end", "prediction", "probability"];

/// The rows under [`COLUMNS`].
pub(crate) fn rows(answers: &[Answer], labels: &[String]) -> Vec<Vec<String>> {
    let row = |answer: &Answer| {
        let (genre, probability) = best(labels, &answer.shares);
        let label = answer.label.clone().unwrap_or_default();
        vec![shown(&answer.path), genre, label, format!("{probability:.6}")]
    };
    answers.iter().map(row).collect()
}

/// The rows under [`TIMELINE_COLUMNS`].
pub(crate) fn timeline_rows(answers: &[Answer], labels: &[String]) -> Vec<Vec<String>> {
    let row = |answer: &Answer, span: &Span, shares: &Shares| {
        let (genre, probability) = best(labels, shares);
        let [start, end] = [span.start, span.end].map(|seconds| format!("{seconds:.3}"));
        vec![shown(&answer.path), start, end, genre, format!("{probability:.6}")]
    };
    let rows = answers.iter().flat_map(|answer| {
        answer.timeline.iter().map(move |(span, shares)| row(answer, span, shares))
    });
    rows.collect()
}

/// An object for a file.
pub(crate) fn json(answer: &Answer, labels: &[String]) -> Value {
    let (genre, probability) = best(labels, &answer.shares);
    let shares: Map<String, Value> = labels
        .iter()
        .cloned()
        .zip(answer.shares.iter().map(|share| json!(rounded(*share))))
        .collect();
    let mut object = json!({
        "path": shown(&answer.path),
        "prediction": genre,
        "probability": rounded(probability),
        "probabilities": shares,
    });
    if let Some(label) = &answer.label {
        object["label"] = json!(label);
    }
    if !answer.timeline.is_empty() {
        let part = |(span, shares): &(Span, Shares)| {
            let (genre, probability) = best(labels, shares);
            json!({ "start": span.start, "end": span.end, "prediction": genre, "probability": rounded(probability) })
        };
        object["timeline"] = answer.timeline.iter().map(part).collect();
    }
    object
}

/// Writes to stdout. Whoever read the first lines and left has seen enough; the tables are still wanted.
///
/// # Errors
/// Any other failure.
pub(crate) fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to stdout"),
    }
}

fn best(labels: &[String], shares: &Shares) -> (String, f32) {
    ranked(labels, shares)
        .first()
        .map(|(genre, share)| ((*genre).to_owned(), *share))
        .unwrap_or_default()
}

/// Six digits, as in the tables.
fn rounded(share: f32) -> f64 {
    (f64::from(share) * 1e6).round() / 1e6
}

fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// `1:02:03.5`, tenths only where there are some.
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
    fn times_are_those_of_players() {
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
    fn one_answer_in_every_form() {
        let labels = ["jazz".to_owned(), "rock".to_owned()];
        let timeline = vec![
            (Span { start: 0.0, end: 10.0 }, vec![0.25, 0.75]),
            (Span { start: 10.0, end: 12.5 }, vec![0.875, 0.125]),
        ];
        let answer = Answer {
            path: "a.mp3".into(),
            label: Some("jazz".to_owned()),
            shares: vec![0.5625, 0.4375],
            timeline,
        };
        let text = "a.mp3: jazz 56.2 %, rock 43.8 %\n     0:00 –    0:10  rock 75.0 %\n     0:10 –  0:12.5  jazz 87.5 %\n";
        assert_eq!(lines(&answer, &labels, 9), text);
        let json = json(&answer, &labels);
        assert_eq!(json["probabilities"]["rock"], 0.4375, "{json}");
        assert_eq!(
            json["timeline"][1],
            json!({ "start": 10.0, "end": 12.5, "prediction": "jazz", "probability": 0.875 })
        );
        let answers = [answer];
        assert_eq!(rows(&answers, &labels), [["a.mp3", "jazz", "jazz", "0.562500"]]);
        assert_eq!(
            timeline_rows(&answers, &labels)[1],
            ["a.mp3", "10.000", "12.500", "jazz", "0.875000"]
        );
    }
}
