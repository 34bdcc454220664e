//! Signs and words that the live display, the plain lines and the summary share.
//! Pure.

use crate::event::{Millis, Outcome};
use crate::plan::Change;
use crate::terminal::size::size;
use crate::terminal::style::{DIM, ERROR, GOOD, LIVELY, Style, WARNING};

/// Returns `text` in a style, followed by a reset.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Formats the bytes of a download so far: `1.2 MB of 30 MB`.
pub(super) fn transferred(done: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {}", size(done), size(total)),
        None => size(done),
    }
}

/// Returns the sign before the name of an ended stage. The words after the name say the same.
pub(super) fn sign(outcome: &Outcome) -> (&'static str, Style) {
    match outcome {
        Outcome::Fresh => ("·", DIM),
        Outcome::Restored { .. } => ("↺", LIVELY),
        Outcome::Ran => ("✓", GOOD),
        Outcome::Failed(_) | Outcome::Unrecorded(_) => ("✗", ERROR),
        Outcome::Skipped { .. } => ("⊘", WARNING),
        Outcome::Interrupted => ("■", WARNING),
        Outcome::Accepted { .. } => ("≈", LIVELY),
    }
}

/// Describes how a stage ended: `ran in 1m02s`, `failed after 3.0s: exited with code 1`,
/// `skipped: needs train`.
pub(super) fn ended(outcome: &Outcome, took: Millis) -> String {
    // A stage that never started took no time.
    let after = if took.0 == 0 { String::new() } else { format!(" after {took}") };
    match outcome {
        Outcome::Fresh => "up to date".to_owned(),
        Outcome::Restored { from: None } => format!("restored in {took}"),
        Outcome::Restored { from: Some(remote) } => format!("restored from {remote} in {took}"),
        Outcome::Ran => format!("ran in {took}"),
        Outcome::Failed(failure) => format!("failed{after}: {}", failure.what),
        Outcome::Unrecorded(failure) => {
            format!("ran in {took}, but is not recorded: {}", failure.what)
        }
        Outcome::Skipped { because, is_needed: true } => format!("skipped: needs {because}"),
        Outcome::Skipped { because, is_needed: false } => {
            format!("skipped: {because} failed (-k runs it anyway)")
        }
        Outcome::Interrupted => format!("interrupted{after}"),
        Outcome::Accepted { reason, .. } => format!("accepted: {reason}"),
    }
}

/// Returns the word for people for an outcome, given the word of JSON and the run store.
pub fn outcome_word(word: &'static str) -> &'static str {
    match word {
        "fresh" => "up to date",
        "unrecorded" => "not recorded",
        word => word,
    }
}

/// Shown when the user interrupts the run.
pub(super) const STOPPING: &str = "stopping… (press Ctrl-C again to stop at once)";

/// Returns the most informative reason and the number of others; `None` without a reason.
pub(super) fn reasons(changes: &[Change]) -> Option<String> {
    // A param that is used in the command changes both. The param is what the user changed, and
    // it is shorter.
    let shown =
        changes.iter().find(|change| !matches!(change, Change::Cmd { .. })).or(changes.first())?;
    Some(match changes.len() {
        1 => shown.to_string(),
        count => format!("{shown}, and {} more", count - 1),
    })
}

/// Returns the visible part of an output line: the text after the last carriage return, without
/// colors and other control codes.
pub fn visible(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    let last = line.rsplit('\r').next().unwrap_or(line);
    let plain = anstream::adapter::strip_str(last).to_string();
    let shown: String = plain.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shown.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Failure;
    use crate::pipeline::{ParamKey, StageName};

    #[test]
    fn visible_lines() {
        let cases = [
            ("plain", "plain"),
            ("\u{1b}[1;32m   Compiling\u{1b}[0m kit\t1.0 ", "   Compiling kit 1.0"),
            (" 10 %\r 20 %\r 30 %", " 30 %"),
            (" 10 %\r\n", " 10 %"),
            ("a\u{8}b\u{7}", "ab"),
            ("\u{1b}]0;title\u{7}é ü", "é ü"),
            ("\u{1b}[2K\r", ""),
            ("\u{9b}2J", " 2J"),
        ];
        for (raw, shown) in cases {
            assert_eq!(visible(raw), shown, "{raw:?}");
        }
    }

    #[test]
    fn endings_and_reasons() {
        let failure = Failure { what: "exited with code 1".into(), causes: vec![], hint: None };
        let train = StageName::parse("train").unwrap();
        assert_eq!(
            ended(&Outcome::Failed(failure.clone()), Millis(3000)),
            "failed after 3.0s: exited with code 1"
        );
        assert_eq!(ended(&Outcome::Failed(failure), Millis(0)), "failed: exited with code 1");
        let skipped =
            |is_needed| ended(&Outcome::Skipped { because: train.clone(), is_needed }, Millis(0));
        assert_eq!(skipped(true), "skipped: needs train");
        assert_eq!(skipped(false), "skipped: train failed (-k runs it anyway)");
        let epochs = Change::Param {
            key: ParamKey::new("train.epochs"),
            old: Some(10.into()),
            new: Some(30.into()),
        };
        let cmd = Change::Cmd { old: Some("train 10".into()), new: Some("train 30".into()) };
        assert_eq!(reasons(&[]), None);
        assert_eq!(
            reasons(std::slice::from_ref(&cmd)).as_deref(),
            Some("cmd `train 10` → `train 30`")
        );
        assert_eq!(
            reasons(&[cmd, epochs.clone()]).as_deref(),
            Some("train.epochs 10 → 30, and 1 more")
        );
        assert_eq!(reasons(&[Change::NeverRan]).as_deref(), Some("never ran"));
        assert_eq!(
            reasons(&[epochs, Change::Forced, Change::Forced]).as_deref(),
            Some("train.epochs 10 → 30, and 2 more")
        );
    }
}
