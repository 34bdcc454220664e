//! The values of a comparison, by the type of the field.

use super::dialect::{Dialect, Form, Type};
use super::expression::Value;
use super::fault::Fault;
use crate::error::did_you_mean;
use crate::pipeline::parse_duration;

/// Statuses: our word, then MLflow's.
pub const STATUSES: [(&str, &str); 5] = [
    ("running", "RUNNING"),
    ("ok", "FINISHED"),
    ("failed", "FAILED"),
    ("interrupted", "KILLED"),
    ("scheduled", "SCHEDULED"),
];

const KINDS: [&str; 5] = ["pipeline", "sweep", "trial", "external", "accept"];

/// Checks a text in quotes as the value of a field.
pub(super) fn text(
    at: usize,
    text: String,
    of: Type,
    form: Form,
    dialect: Dialect,
) -> Result<Value, Fault> {
    match of {
        Type::Text | Type::Id | Type::Param | Type::Tag | Type::Dataset if form != Form::Order => {
            Ok(Value::Text(text))
        }
        Type::Text | Type::Id | Type::Param | Type::Tag | Type::Dataset => {
            let fault = Fault::new(at, format!("`{text}` is a text, which has no order"));
            Err(match text.parse::<f64>() {
                Ok(_) => fault.hint(format!("write the number without quotes: {text}")),
                Err(_) => fault.hint("compare a text with `=`, `!=`, `LIKE` or `IN`"),
            })
        }
        Type::Number => {
            let fault = Fault::new(at, format!("expected a number, found the text `{text}`"));
            Err(match text.parse::<f64>() {
                Ok(number) if number.is_finite() => {
                    fault.hint(format!("write it without quotes: {text}"))
                }
                _ => fault,
            })
        }
        Type::Integer => match text.parse::<i64>() {
            Ok(number) => Ok(Value::Text(number.to_string())),
            Err(_) => Err(Fault::new(at, format!("`{text}` is not an integer"))),
        },
        Type::Status if dialect == Dialect::Models => Ok(Value::Text(model_status(text))),
        // MLflow compares its word with any text.
        Type::Status if dialect == Dialect::Mlflow => Ok(Value::Text(text)),
        Type::Status => status(at, text),
        Type::Kind if KINDS.contains(&text.as_str()) => Ok(Value::Text(text)),
        Type::Kind => Err(unknown(at, "kind", &text, KINDS.into_iter())),
        Type::Time if dialect.is_mlflow() => Err(Fault::new(at, "expected a number")),
        Type::Time => time(at, text, form),
        Type::Duration => match parse_duration(&text) {
            Some(duration) => Ok(Value::Duration(duration)),
            None => Err(Fault::new(at, format!("`{text}` is not a duration")).hint(DURATIONS)),
        },
    }
}

/// Checks a number as the value of a field.
pub(super) fn number(
    at: usize,
    number: f64,
    written: &str,
    of: Type,
    dialect: Dialect,
) -> Result<Value, Fault> {
    let fault = || Fault::new(at, format!("expected a text, found the number {written}"));
    match of {
        Type::Number | Type::Time => Ok(Value::Number(number)),
        Type::Param if dialect == Dialect::Repro => Ok(Value::Number(number)),
        Type::Duration => Err(Fault::new(at, "a duration needs a unit").hint(DURATIONS)),
        // MLflow compares texts of logged models with numbers as they are written.
        _ if dialect == Dialect::Models => {
            text(at, written.to_owned(), of, Form::Equality, dialect)
        }
        Type::Text | Type::Id | Type::Integer | Type::Param | Type::Tag | Type::Dataset => {
            Err(fault().hint(format!("put it in quotes: '{written}'")))
        }
        Type::Status | Type::Kind => Err(fault()),
    }
}

const DURATIONS: &str = "write a number and a unit: '90s', '30m', '2h' or '1d'";

fn status(at: usize, text: String) -> Result<Value, Fault> {
    let is_word = |(ours, theirs): &&(&str, &str)| {
        [ours, theirs].iter().any(|word| word.eq_ignore_ascii_case(&text))
    };
    if let Some((ours, _)) = STATUSES.iter().find(is_word) {
        return Ok(Value::Text((*ours).to_owned()));
    }
    let lower = text.to_lowercase();
    let ours = STATUSES[..4].iter().map(|(ours, _)| *ours);
    let theirs = STATUSES.iter().map(|(_, theirs)| *theirs);
    let fault = unknown(at, "status", &text, ours.clone());
    let meant = did_you_mean(&lower, ours).or_else(|| did_you_mean(&text, theirs));
    Err(match meant {
        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
        None => fault,
    })
}

/// Returns the number by which MLflow compares the status of a logged model, for its word as well.
fn model_status(text: String) -> String {
    const WORDS: [&str; 4] = ["UNSPECIFIED", "PENDING", "READY", "UPLOAD_FAILED"];
    let short = text.strip_prefix("LOGGED_MODEL_").unwrap_or(&text);
    match WORDS.iter().position(|word| *word == short) {
        Some(number) => number.to_string(),
        None => text,
    }
}

fn unknown<'w>(
    at: usize,
    what: &str,
    word: &str,
    words: impl Iterator<Item = &'w str> + Clone,
) -> Fault {
    let fault = Fault::new(at, format!("there is no {what} `{word}`"));
    match did_you_mean(word, words.clone()) {
        Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
        None => {
            let all = words.collect::<Vec<_>>().join(", ");
            fault.hint(format!("expected one of {all}"))
        }
    }
}

/// Checks a day, or a day and a time: `2026-05-09`, `2026-05-09 14:03`, `2026-05-09T14:03:22`.
fn time(at: usize, text: String, form: Form) -> Result<Value, Fault> {
    if !is_time(&text) {
        return Err(Fault::new(at, format!("`{text}` is not a time")).hint(
            "write a day, '2026-05-09', a day and a time, '2026-05-09 14:03', or milliseconds \
             since 1970",
        ));
    }
    if form == Form::Equality {
        return Err(Fault::new(at, "a day or a time has a length, so nothing equals it")
            .hint("compare it with `>=` and `<`"));
    }
    Ok(Value::Time(text))
}

fn is_time(text: &str) -> bool {
    let (day, time) = match text.split_once([' ', 'T']) {
        Some((day, time)) => (day, Some(time)),
        None => (text, None),
    };
    let numbers = |text: &str, between: char, widths: &[usize]| -> Option<Vec<u32>> {
        let parts: Vec<&str> = text.split(between).collect();
        let fits = parts.len() == widths.len()
            && parts.iter().zip(widths).all(|(part, wide)| part.len() == *wide)
            && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
        fits.then(|| parts.iter().filter_map(|part| part.parse().ok()).collect())
    };
    let is_day = matches!(numbers(day, '-', &[4, 2, 2]).as_deref(), Some([_, 1..=12, 1..=31]));
    let is_clock = |time: &str| {
        let found = numbers(time, ':', &[2, 2]).or_else(|| numbers(time, ':', &[2, 2, 2]));
        matches!(found.as_deref(), Some([0..=23, 0..=59] | [0..=23, 0..=59, 0..=59]))
    };
    is_day && time.is_none_or(is_clock)
}
