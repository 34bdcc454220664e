//! The signs, words and numbers that every face of a run shares, so that the live display, the plain lines
//! and the summary say the same thing in the same way. Pure; knows nothing of streams and widths.

use anstyle::{AnsiColor, Style};

use crate::event::{Millis, Outcome};
use crate::plan::Change;
use crate::terminal::style::{DIM, ERROR, GOOD, WARNING};

/// A restored stage's sign, a spinner, a bar.
pub(super) const LIVELY: Style = AnsiColor::Cyan.on_default();

/// `text` in a style, and back to none.
pub(super) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// What stands before an ended stage's name. The words after it say the same.
pub(super) fn sign(outcome: &Outcome) -> (&'static str, Style) {
    match outcome {
        Outcome::Fresh => ("·", DIM),
        Outcome::Restored => ("↺", LIVELY),
        Outcome::Ran => ("✓", GOOD),
        Outcome::Failed(_) => ("✗", ERROR),
        Outcome::Skipped { .. } => ("⊘", WARNING),
        Outcome::Interrupted => ("■", WARNING),
        Outcome::Accepted { .. } => ("≈", LIVELY),
    }
}

/// `ran in 1m02s`, `failed after 3.0s: exited with code 1`, `skipped: needs train`.
pub(super) fn ended(outcome: &Outcome, took: Millis) -> String {
    // What never began took no time.
    let after = if took.0 == 0 { String::new() } else { format!(" after {took}") };
    match outcome {
        Outcome::Fresh => "fresh".to_owned(),
        Outcome::Restored => format!("restored in {took}"),
        Outcome::Ran => format!("ran in {took}"),
        Outcome::Failed(failure) => format!("failed{after}: {}", failure.what),
        Outcome::Skipped { because } => format!("skipped: needs {because}"),
        Outcome::Interrupted => format!("interrupted{after}"),
        Outcome::Accepted { reason, .. } => format!("accepted: {reason}"),
    }
}

/// What is said when the user asks for the end.
pub(super) const STOPPING: &str = "stopping… (Ctrl-C again ends it at once)";

/// The most telling reason and how many more there are; `None` if there is none.
pub(super) fn reasons(changes: &[Change]) -> Option<String> {
    // A param that is filled into the command changes both: the param is what the user did, and shorter.
    let told =
        changes.iter().find(|change| !matches!(change, Change::Cmd { .. })).or(changes.first())?;
    let first = match told {
        Change::NeverRan => "for the first time".to_owned(),
        change => change.to_string(),
    };
    Some(match changes.len() {
        1 => first,
        count => format!("{first}, and {} more", count - 1),
    })
}

/// A number for people: four decimals at most, and an exponent where those would hide it.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string().to_lowercase();
    }
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e15).contains(&size) {
        let text = format!("{value:.3e}");
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", trimmed(digits)),
            None => text,
        };
    }
    trimmed(&format!("{value:.4}")).to_owned()
}

/// `1 stage`, `5 stages`.
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn trimmed(decimals: &str) -> &str {
    decimals.trim_end_matches('0').trim_end_matches('.')
}

/// What a terminal would show of a line that a process wrote: the text after the last carriage return,
/// without colours and other control codes.
pub(super) fn visible(line: &str) -> String {
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
    fn numbers() {
        let cases = [
            (0.0, "0"),
            (10.0, "10"),
            (0.55, "0.55"),
            (-0.123_456, "-0.1235"),
            (2e-4, "2e-4"),
            (1.234_56e-7, "1.235e-7"),
            (123_456.789, "123456.789"),
            (1e15, "1e15"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_line_is_what_a_terminal_would_show() {
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
        assert_eq!(ended(&Outcome::Skipped { because: train }, Millis(0)), "skipped: needs train");
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
        assert_eq!(reasons(&[Change::NeverRan]).as_deref(), Some("for the first time"));
        assert_eq!(
            reasons(&[epochs, Change::Forced, Change::Forced]).as_deref(),
            Some("train.epochs 10 → 30, and 2 more")
        );
    }
}
