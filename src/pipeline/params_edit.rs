//! Edits one param in the text of a TOML file. Only the characters of the value are replaced, so
//! comments, order, layout, quoting and line ends are kept.
//!
//! Does not access files, and does not check whether the edited pipeline is valid.

use std::fmt;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::{ParamKey, ParamValue, REQUIRED};

/// A new value and its TOML spelling (`1e-4` stays `1e-4`).
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    value: ParamValue,
    toml: String,
}

/// Error: the text that a user typed is not a value of the param's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongType {
    expected: &'static str,
    found: String,
}

impl WrongType {
    /// Returns a remedy, if the text shows what was meant.
    pub fn hint(&self) -> Option<String> {
        not_toml(&self.found).or_else(|| {
            if self.expected == ARRAY && !self.found.starts_with('[') {
                return Some(format!("write a list: {}", list(&self.found)));
            }
            let several = self.found.contains(',') && !self.found.starts_with(['[', '{', '"']);
            several.then(|| "`repro sweep` runs each of several values".to_owned())
        })
    }
}

/// The reason that a text cannot be edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uneditable {
    /// The text is not TOML; holds the parser's message.
    NotToml(String),
    /// The table has no such key.
    Missing(ParamKey),
    /// The value is an array of `[[params.…]]` tables.
    ArrayOfTables(ParamKey),
}

/// Returns the text with the value of `key` in the table at `tables` replaced.
///
/// # Errors
/// The text is not TOML, or does not define the param in a single place.
pub fn set(
    text: &str,
    tables: &[&str],
    key: &ParamKey,
    literal: &Literal,
) -> Result<String, Uneditable> {
    let span = span(text, tables, key)?;
    Ok(format!("{}{}{}", &text[..span.start], literal.toml, &text[span.end..]))
}

impl Literal {
    /// Parses the text that a user typed as a new value for a param whose value is `old`.
    ///
    /// The param keeps its type:
    ///
    /// - A string accepts any text. Quotes are needed only if the text itself starts and ends with
    ///   them.
    /// - A float also accepts an integer, which is written as a float: `1` becomes `1.0`.
    /// - An integer, a boolean and an array accept only values of the same type, in TOML syntax.
    /// - `null`, which only JSON and YAML have, accepts anything.
    /// - A param without a value yet, `???`, accepts any value.
    ///
    /// # Errors
    /// The text has another type, or is not a finite number.
    pub fn typed(raw: &str, old: &ParamValue) -> Result<Literal, WrongType> {
        let trimmed = raw.trim();
        let parsed = bare(trimmed);
        let literal = match (old, parsed) {
            (ParamValue::String(old), Some(value)) if old == REQUIRED => match value {
                Value::Datetime(_) => Literal::new(Value::from(raw)),
                value => Literal::new(value),
            },
            (ParamValue::String(_), Some(value @ Value::String(_))) => Literal::new(value),
            (ParamValue::String(_) | ParamValue::Null, None) => Literal::new(Value::from(raw)),
            (ParamValue::Null, Some(value)) => Literal::new(value),
            (ParamValue::String(_), _) => Literal::new(Value::from(raw)),
            (ParamValue::Bool(_), Some(value @ Value::Boolean(_)))
            | (ParamValue::Array(_), Some(value @ Value::Array(_))) => Literal::new(value),
            (ParamValue::Number(old), Some(value)) if old.is_f64() => Literal::float(value),
            (ParamValue::Number(_), Some(value @ Value::Integer(_))) => Literal::new(value),
            _ => None,
        };
        literal.ok_or_else(|| WrongType { expected: type_name(old), found: trimmed.to_owned() })
    }

    /// Returns a value with its TOML spelling; `None` for `null`, which TOML lacks.
    pub fn of(value: &ParamValue) -> Option<Literal> {
        let toml = toml_of(value)?;
        Some(Literal { value: value.clone(), toml: toml.to_string().trim().to_owned() })
    }

    /// Returns the new value of the param.
    pub fn value(&self) -> &ParamValue {
        &self.value
    }

    fn new(value: Value) -> Option<Literal> {
        Some(Literal { value: json(&value)?, toml: value.to_string() })
    }

    fn float(value: Value) -> Option<Literal> {
        match value {
            Value::Integer(integer) => {
                let spelled = integer.display_repr();
                // `0xff.0` is not a number.
                let decimal =
                    spelled.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'_'));
                let toml =
                    if decimal { format!("{spelled}.0") } else { format!("{}.0", integer.value()) };
                toml.parse::<Value>().ok().and_then(Literal::new)
            }
            Value::Float(_) => Literal::new(value),
            _ => None,
        }
    }
}

/// Parses a value of a param whose type is unknown, as TOML if possible and otherwise as a string.
///
/// # Errors
/// A message fragment and a hint: the value contains an infinity or NaN, which JSON lacks, or is
/// meant to be a list or table, but is not TOML.
pub fn parse_value(raw: &str) -> Result<ParamValue, (String, Option<String>)> {
    let trimmed = raw.trim();
    match bare(trimmed) {
        None if trimmed.starts_with(['[', '{']) => Err(malformed(trimmed)),
        // A date is kept as text, like a date in the file.
        None | Some(Value::Datetime(_)) => Ok(raw.into()),
        Some(value) => json(&value)
            .ok_or_else(|| (format!("`{trimmed}` contains a number that is not finite"), None)),
    }
}

/// Returns the message and the hint for a text that begins like a list or table and is not TOML.
fn malformed(text: &str) -> (String, Option<String>) {
    match unclosed(text) {
        Some((bracket, column)) => {
            let what = format!("in `{text}`, the `{bracket}` in column {column} is not closed");
            (what, Some("put the value in single quotes, as one argument".to_owned()))
        }
        None => (format!("`{text}` is not a TOML value"), not_toml(text)),
    }
}

/// Returns the last bracket that is not closed, with its column counted from 1.
fn unclosed(text: &str) -> Option<(char, usize)> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut quote = None;
    let mut chars = text.chars().zip(1..);
    while let Some((c, column)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => drop(chars.next()),
            (Some(end), _) if c == end => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '{') => open.push((c, column)),
            (None, ']' | '}') => drop(open.pop()),
            (None, _) => {}
        }
    }
    open.pop()
}

/// Returns the values in an inline table, each with the names that lead to it and its TOML text;
/// `None` if the text is not an inline table. An empty table is a value itself.
pub fn table(raw: &str) -> Option<Vec<(Vec<String>, String)>> {
    fn collect(value: Value, names: &[String], found: &mut Vec<(Vec<String>, String)>) {
        match value {
            Value::InlineTable(table) if !table.is_empty() => {
                for (name, value) in table {
                    collect(value, &[names, std::slice::from_ref(&name)].concat(), found);
                }
            }
            mut value => {
                value.decor_mut().clear();
                found.push((names.to_vec(), value.to_string()));
            }
        }
    }
    let value = bare(raw.trim()).filter(Value::is_inline_table)?;
    let mut found = Vec::new();
    collect(value, &[], &mut found);
    Some(found)
}

/// Writes a text as a TOML string.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// Returns a hint for a list or table that is not TOML, such as `[a, b]` or `{a: 1}`.
fn not_toml(text: &str) -> Option<String> {
    if bare(text).is_some() {
        return None;
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(format!("put texts in quotes: {}", list(inner)));
    }
    let is_table = text.starts_with('{') && text.ends_with('}');
    is_table.then(|| "write a table as `{a = 1, b = \"text\"}`".to_owned())
}

/// Writes entries without quotes, such as `a, b`, as a list.
fn list(entries: &str) -> String {
    let quoted = |entry: &str| match entry.trim() {
        entry if bare(entry).is_some() => entry.to_owned(),
        entry => format!("\"{entry}\""),
    };
    format!("[{}]", entries.split(',').map(quoted).collect::<Vec<_>>().join(", "))
}

/// Parses a TOML value and strips the surrounding white space and comments.
fn bare(text: &str) -> Option<Value> {
    let mut value = text.parse::<Value>().ok()?;
    value.decor_mut().clear();
    Some(value)
}

/// Converts a value to JSON; `None` for dates, infinities and NaN, which JSON lacks.
fn json(value: &Value) -> Option<ParamValue> {
    match value {
        Value::String(text) => Some(text.value().as_str().into()),
        Value::Integer(integer) => Some((*integer.value()).into()),
        Value::Float(float) => serde_json::Number::from_f64(*float.value()).map(ParamValue::Number),
        Value::Boolean(boolean) => Some((*boolean.value()).into()),
        Value::Datetime(_) => None,
        Value::Array(array) => {
            array.iter().map(json).collect::<Option<Vec<_>>>().map(ParamValue::Array)
        }
        Value::InlineTable(table) => {
            let entries = table.iter().map(|(key, value)| Some((key.to_owned(), json(value)?)));
            entries.collect::<Option<serde_json::Map<_, _>>>().map(ParamValue::Object)
        }
    }
}

/// Converts a value from JSON; `None` for `null` and numbers that TOML lacks.
fn toml_of(value: &ParamValue) -> Option<Value> {
    Some(match value {
        ParamValue::Null => return None,
        ParamValue::Bool(boolean) => Value::from(*boolean),
        ParamValue::String(text) => Value::from(text.as_str()),
        ParamValue::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None if number.is_f64() => Value::from(number.as_f64()?),
            None => return None,
        },
        ParamValue::Array(values) => {
            values.iter().map(toml_of).collect::<Option<toml_edit::Array>>()?.into()
        }
        ParamValue::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| Some((name, toml_of(value)?)));
            entries.collect::<Option<toml_edit::InlineTable>>()?.into()
        }
    })
}

const ARRAY: &str = "an array such as `[1, 2]`";

fn type_name(value: &ParamValue) -> &'static str {
    match value {
        ParamValue::String(_) => "text",
        ParamValue::Bool(_) => "`true` or `false`",
        ParamValue::Array(_) => ARRAY,
        ParamValue::Number(number) if number.is_f64() => "a finite number",
        ParamValue::Number(_) => "an integer",
        ParamValue::Object(_) | ParamValue::Null => "a table",
    }
}

fn span(text: &str, tables: &[&str], key: &ParamKey) -> Result<Range<usize>, Uneditable> {
    let document =
        Document::parse(text).map_err(|err| Uneditable::NotToml(err.message().to_owned()))?;
    let root: &dyn TableLike = document.as_table();
    let params =
        tables.iter().try_fold(root, |table, name| table.get(name).and_then(Item::as_table_like));
    match params.and_then(|params| find(params, key.as_str())) {
        Some(Item::Value(value)) => value.span().ok_or_else(|| Uneditable::Missing(key.clone())),
        Some(Item::ArrayOfTables(_)) => Err(Uneditable::ArrayOfTables(key.clone())),
        _ => Err(Uneditable::Missing(key.clone())),
    }
}

/// Finds the item at a dotted key. A quoted name in the file may contain dots itself, so every way
/// to split the key is tried.
fn find<'a>(table: &'a dyn TableLike, dotted: &str) -> Option<&'a Item> {
    table.iter().find_map(|(name, item)| {
        let rest = dotted.strip_prefix(name)?;
        match (rest.strip_prefix('.'), item.as_table_like()) {
            (Some(below), Some(inner)) => find(inner, below),
            _ => (rest.is_empty() && item.as_table_like().is_none()).then_some(item),
        }
    })
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}, not `{}`", self.expected, self.found)
    }
}

impl fmt::Display for Uneditable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uneditable::NotToml(why) => f.write_str(why),
            Uneditable::Missing(key) => write!(f, "there is no param `{key}`"),
            Uneditable::ArrayOfTables(key) => {
                write!(
                    f,
                    "param `{key}` is defined by `[[params.{key}]]` tables: edit them by hand"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
