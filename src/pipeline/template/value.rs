//! The text of values in templates.

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::pipeline::shell::{self, Scanner};
use crate::pipeline::variables::references;
use crate::pipeline::{ParamKey, ParamValue, Params, REQUIRED, items};

/// Delimiter around the number of a value; users cannot write it.
pub(super) const MARK: char = '\u{2}';

/// Error: a template cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::pipeline) struct Unrendered {
    pub(in crate::pipeline) why: String,
    pub(in crate::pipeline) hint: String,
}

/// A value as it is written into a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Written {
    /// Any text, which is quoted in a command.
    Text(String),
    /// A list: a word for each entry, or one text within quotes.
    List { words: Vec<String>, text: String },
    /// A text that needs no quotes, or must not get any.
    Raw(String),
}

impl Written {
    pub(super) fn of(value: &Value) -> Result<Written, Error> {
        let written = match value.kind() {
            ValueKind::None => {
                let why = "the value is null";
                return Err(Error::new(ErrorKind::InvalidOperation, why));
            }
            ValueKind::Bool | ValueKind::Number => Written::Raw(text(value)),
            ValueKind::Seq | ValueKind::Iterable => {
                let words = value.try_iter()?.map(|entry| text(&entry)).collect();
                Written::List { words, text: text(value) }
            }
            _ if value.is_safe() => Written::Raw(text(value)),
            _ if value.as_str().is_some_and(items::is_placeholder) => Written::Raw(text(value)),
            _ => Written::Text(text(value)),
        };
        // The marks of items and values, which are not to be confused with a text.
        let is_mark = |text: &str| text.contains([MARK, items::MARK]);
        match &written {
            Written::Text(text) | Written::List { text, .. } if is_mark(text) => {
                let why = "the value contains the control character U+0001 or U+0002";
                Err(Error::new(ErrorKind::InvalidOperation, why))
            }
            _ => Ok(written),
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Written::Text(text) | Written::List { text, .. } | Written::Raw(text) => text,
        }
    }

    /// Returns the value as the shell has to read it at the scanner's place.
    ///
    /// `strings` are the strings in the template itself. A value that equals one is the author's
    /// own text, such as `--fast --amp` in `{{ '--fast --amp' if params.fast else '' }}`.
    pub(super) fn quoted(
        &self,
        scanner: &mut Scanner,
        strings: &[String],
    ) -> Result<String, Unrendered> {
        let special = |string: &&String| !string.is_empty() && !shell::is_plain(string);
        let cannot = |place: &'static str| Unrendered {
            why: format!("`{}` has characters that cannot be quoted {place}", shown(self.text())),
            hint: "put the value elsewhere, or insert it as it is: `{{ … | raw }}`".to_owned(),
        };
        let text = match self {
            Written::List { words, .. } if scanner.is_in_word() => {
                let mut quoted = String::new();
                for (at, word) in words.iter().enumerate() {
                    if at > 0 {
                        scanner.read(" ");
                        quoted.push(' ');
                    }
                    quoted.push_str(&scanner.value(word).map_err(cannot)?);
                }
                return Ok(quoted);
            }
            Written::List { text, .. } => text,
            Written::Text(text) if strings.contains(text) => {
                scanner.read(text);
                return Ok(text.clone());
            }
            Written::Text(text) => text,
            Written::Raw(text) => {
                scanner.read(text);
                return Ok(text.clone());
            }
        };
        let mixed = strings.iter().filter(special).find(|string| text.contains(string.as_str()));
        if let (Some(string), true) = (mixed, scanner.is_in_word()) {
            return Err(Unrendered {
                why: format!("`{}` joins a value and the text \"{string}\"", shown(text)),
                hint: "write the text outside of the braces, or add `| quote` for one word or \
                       `| raw` for the text as it is"
                    .to_owned(),
            });
        }
        scanner.value(text).map_err(cannot)
    }
}

/// Returns the start of a value on one line.
fn shown(text: &str) -> String {
    const LENGTH: usize = 60;
    let text = text.escape_debug().to_string();
    match text.char_indices().nth(LENGTH) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Returns the text of a value: lists and tables as in JSON, with spaces.
fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => nested_text(value),
        _ => value.to_string(),
    }
}

fn nested_text(value: &Value) -> String {
    let entries = || value.try_iter().into_iter().flatten();
    match value.kind() {
        ValueKind::Map => {
            let entry = |key: Value| {
                let inner = value.get_item(&key).unwrap_or_default();
                format!("{}: {}", nested_text(&key), nested_text(&inner))
            };
            format!("{{{}}}", entries().map(entry).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let entries: Vec<String> = entries().map(|entry| nested_text(&entry)).collect();
            format!("[{}]", entries.join(", "))
        }
        ValueKind::None => "null".to_owned(),
        ValueKind::Number => format!("{value:?}"),
        ValueKind::Bool => text(value),
        _ => ParamValue::from(value.to_string()).to_string(),
    }
}

/// Filter: one word for the shell, or one for each entry of a list.
pub(super) fn quote(value: &Value) -> Result<Value, Error> {
    let word = |text: &str| match text {
        "" => "''".to_owned(),
        text => shell::quote(text),
    };
    Ok(Value::from_safe_string(match Written::of(value)? {
        Written::List { words, .. } => {
            words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
        }
        Written::Text(text) | Written::Raw(text) => word(&text),
    }))
}

/// Filter: the text of the value, which is not quoted.
pub(super) fn raw(value: &Value) -> Result<Value, Error> {
    Written::of(value).map(|written| Value::from_safe_string(written.text().to_owned()))
}

/// Reports whether the value is still required: the param has none yet.
pub(super) fn is_required(value: &ParamValue) -> bool {
    match value {
        ParamValue::String(text) => text == REQUIRED,
        ParamValue::Array(entries) => entries.iter().any(is_required),
        _ => false,
    }
}

/// Returns the reason that no stage can use a param with this value.
pub(super) fn unusable(key: &ParamKey, value: &ParamValue, params: &Params) -> Option<Unrendered> {
    match value {
        ParamValue::String(text) => reference(text, params).map(|found| Unrendered {
            why: format!("the value of param `{key}` contains `{found}`, which is not replaced"),
            hint: "params cannot refer to each other: write the value, or join them in the `cmd` \
                   of a stage"
                .to_owned(),
        }),
        ParamValue::Array(entries) => entries.iter().find_map(|entry| unusable(key, entry, params)),
        _ => None,
    }
}

/// Finds a reference to a param, as in templates or in Hydra.
fn reference<'t>(text: &'t str, params: &Params) -> Option<&'t str> {
    let template = text.match_indices("{{").find_map(|(at, _)| {
        let inner = text[at + 2..].trim_start();
        let refers = ["params.", "matrix.", "item."].iter().any(|name| inner.starts_with(name));
        let end = text[at..].find("}}")? + at + 2;
        refers.then(|| &text[at..end])
    });
    template.or_else(|| {
        let mut found = references(text);
        found.find(|found| !params.named(found.name).is_empty()).map(|found| &text[found.range])
    })
}
