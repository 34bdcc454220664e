//! Errors of the TOML parser in plain words, with the names that they are about.

use toml::Spanned;
use toml::de::{DeTable, Error};

use super::reader::Reader;
use crate::pipeline::Problem;
use crate::pipeline::problem::Place;

/// Parses the text of the reader's file.
///
/// # Errors
/// The problems of its syntax.
pub(super) fn parse<'t>(
    reader: &mut Reader,
    text: &'t str,
) -> Result<Spanned<DeTable<'t>>, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let conflicts = conflicts(text);
    if !errors.is_empty() && !conflicts.is_empty() {
        return Err(conflicts);
    }
    for error in errors {
        reader.problems.extend(problem(reader, text, &error));
    }
    if reader.problems.is_empty() { Ok(root) } else { Err(reader.sorted()) }
}

/// Returns a problem for each conflict that a merge has left in the text.
fn conflicts(text: &str) -> Vec<Problem> {
    let starts = text.lines().enumerate().filter(|(_, line)| line.starts_with("<<<<<<< "));
    let problem = |(at, _)| {
        Problem::new(at + 1, "a conflict of a merge begins here")
            .hint("keep one side, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`")
    };
    starts.map(problem).collect()
}

/// Converts an error of the TOML parser in `text`; `None` if it only follows from another one.
pub(super) fn problem(reader: &Reader, text: &str, error: &Error) -> Option<Problem> {
    let at = error.span().map_or(0, |span| span.start);
    let line = reader.line_at(at);
    let message = error.message().trim();
    let found = error.span().and_then(|span| text.get(span)).unwrap_or("").trim();
    if message == "duplicate key" {
        return duplicate(text, line, found, &reader.problems);
    }
    let value_expected = message.starts_with("string values must be quoted");
    let (what, hint) = match message.split_once(" string, expected `") {
        // Other invalid strings have a list of escapes or a description here.
        Some((start, "\"`" | "\"\"\"`" | "'`" | "'''`")) if start.starts_with("invalid") => {
            ("the string that begins here is not closed".to_owned(), None)
        }
        _ if value_expected && found.is_empty() => ("a value is missing".to_owned(), None),
        _ if value_expected => {
            let shown = found.lines().next().unwrap_or("").trim_end();
            let hint = format!("write \"{shown}\"");
            let is_plain = !shown.contains(['"', '\\']) && shown.len() <= 60;
            ("a string must be in quotes".to_owned(), is_plain.then_some(hint))
        }
        _ => (message.replace('\n', ", "), None),
    };
    Some(Problem { hint, ..Problem::new(line, what) })
}

/// Reports a second declaration of a key or a table on `line`, with the line of the first; `None`
/// for a key of a table with an earlier problem.
fn duplicate(text: &str, line: usize, key: &str, earlier: &[Problem]) -> Option<Problem> {
    let written = text.lines().nth(line - 1).unwrap_or("").trim();
    let before = || text.lines().enumerate().take(line - 1);
    let (name, first) = match header(written) {
        Some(name) => {
            let same = |other: &str| header(other.trim()) == Some(name);
            (name, before().find(|(_, other)| same(other)))
        }
        None => {
            let table = before().filter(|(_, other)| header(other.trim()).is_some()).last();
            let start = table.map_or(0, |(at, _)| at);
            if earlier.iter().any(|problem| problem.place == Place::Line(start + 1)) {
                return None;
            }
            let same = |other: &str| {
                let rest = other.trim_start().strip_prefix(key);
                rest.is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
            };
            (key, before().skip(start).find(|(_, other)| same(other)))
        }
    };
    Some(match first {
        Some((at, _)) => {
            let what = format!("`{name}` is already declared on line {}", at + 1);
            Problem::new(line, what).hint("rename or remove one of them")
        }
        None => Problem::new(line, format!("`{key}` is declared twice")),
    })
}

/// Returns the `[…]` at the start of a line.
fn header(line: &str) -> Option<&str> {
    line.starts_with('[').then(|| line.split_inclusive(']').next()).flatten()
}
