//! Shows the content of a file in a form that a page can draw: a table, a text, a picture. Pure.
//!
//! Images and sounds are not read here: browsers decode them. What is not shown is stated.

mod npy;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;

pub use self::npy::Picture;
use super::values::json_of;
use crate::data::{self, Format, Grid, Value};
use crate::escape;

/// Number of bytes of a text that are shown.
const MOST_TEXT: usize = 1 << 18;
/// Number of bytes of a table that are read.
const MOST_TABLE: usize = 1 << 20;
/// Number of bytes of an array that are read.
const MOST_ARRAY: usize = 1 << 26;
const MOST_ROWS: usize = 500;
const MOST_COLUMNS: usize = 200;

/// A file as a page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviewReport {
    /// Size of the file.
    pub bytes: u64,
    #[serde(flatten)]
    pub preview: Preview,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Preview {
    /// Shown by the browser itself, from the content with this media type.
    Media {
        media: &'static str,
    },
    Table(Table),
    Text(Text),
    Array(Picture),
    /// The reason why there is nothing to show.
    Binary {
        why: String,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Number of all columns.
    pub width: usize,
    /// Number of all rows; `None` if only the head of the file was read.
    pub total: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Text {
    /// The language, by the extension: `md`, `json`, `rs`.
    pub format: String,
    pub text: String,
    /// The file is longer.
    pub cut: bool,
    /// The reason that a data file is shown as text.
    pub fault: Option<String>,
}

impl PreviewReport {
    /// Returns the number of bytes of a file that [`PreviewReport::new`] needs.
    pub fn needed(name: &str) -> usize {
        match media_type(name) {
            Some(_) => 0,
            None if extension(name) == "npy" => MOST_ARRAY,
            None => MOST_TABLE,
        }
    }

    /// Draws up the preview of the file `name`, of which `head` is the beginning.
    pub fn new(name: &str, head: &[u8], bytes: u64) -> PreviewReport {
        PreviewReport { bytes, preview: preview(name, head, bytes > head.len() as u64) }
    }
}

/// Returns the media type of a file that browsers show, by its extension; never one whose content
/// can run scripts, except SVG, which the server confines.
pub fn media_type(name: &str) -> Option<&'static str> {
    Some(match extension(name).as_str() {
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "svg" => "image/svg+xml",
        "wav" => "audio/wav",
        "mp3" => "audio/mpeg",
        "flac" => "audio/flac",
        "ogg" | "oga" | "opus" => "audio/ogg",
        "m4a" => "audio/mp4",
        _ => return None,
    })
}

fn extension(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

fn preview(name: &str, head: &[u8], is_cut: bool) -> Preview {
    if let Some(media) = media_type(name) {
        return Preview::Media { media };
    }
    if extension(name) == "npy" {
        let shown = npy::picture(head);
        return shown.map_or_else(|why| Preview::Binary { why }, Preview::Array);
    }
    let Some(text) = decode(head, is_cut) else {
        return Preview::Binary { why: "it is not a text".to_owned() };
    };
    let table = Format::of(name).map(|format| table(format, &text, is_cut));
    match table {
        Some(Ok(table)) => Preview::Table(table),
        Some(Err(fault)) => Preview::Text(shortened(name, &text, is_cut, Some(fault))),
        None => Preview::Text(shortened(name, &text, is_cut, None)),
    }
}

/// Decodes a text whose last character may be cut off.
fn decode(head: &[u8], is_cut: bool) -> Option<Cow<'_, str>> {
    if head.contains(&0) && !head.starts_with(&[0xff, 0xfe]) && !head.starts_with(&[0xfe, 0xff]) {
        return None;
    }
    let whole = match std::str::from_utf8(head) {
        Err(err) if is_cut && err.error_len().is_none() => &head[..err.valid_up_to()],
        _ => head,
    };
    data::decode(whole).ok()
}

fn shortened(name: &str, text: &str, is_cut: bool, fault: Option<String>) -> Text {
    let end = text.floor_char_boundary(MOST_TEXT.min(text.len()));
    Text {
        format: extension(name),
        text: escape::safe(&text[..end].replace("\r\n", "\n")).into_owned(),
        cut: is_cut || end < text.len(),
        fault,
    }
}

fn table(format: Format, text: &str, is_cut: bool) -> Result<Table, String> {
    let grid = match format {
        // Of a text that is cut off, the last line may be half a line.
        Format::Csv(_) if is_cut => {
            let end = text.rfind('\n').ok_or("its first line is too long")?;
            Grid::parse(format, &text[..end])
        }
        _ if is_cut => return Err(format!("it is too large to be read as {}", format.name())),
        Format::Csv(_) => Grid::parse(format, text),
        _ => {
            let value = data::parse(format, text).map_err(|fault| told(&fault))?;
            if columns_of(&value) > MOST_COLUMNS * 10 {
                return Err("its records have too many keys".to_owned());
            }
            Ok(Grid::from(value))
        }
    };
    let grid = grid.map_err(|fault| told(&fault))?;
    let cells = |row: &Vec<Value>| row.iter().take(MOST_COLUMNS).map(json_of).collect();
    Ok(Table {
        width: grid.columns.len(),
        total: (!is_cut).then_some(grid.rows.len()),
        rows: grid.rows.iter().take(MOST_ROWS).map(cells).collect(),
        columns: grid.columns.into_iter().take(MOST_COLUMNS).collect(),
    })
}

fn told(fault: &data::Fault) -> String {
    match fault.line {
        Some(line) => format!("line {line}: {}", fault.what),
        None => fault.what.clone(),
    }
}

/// Counts the keys of all records in a value, which could become columns.
fn columns_of(value: &Value) -> usize {
    let mut keys = BTreeSet::new();
    let lists = match value {
        Value::List(list) => vec![list],
        Value::Table(entries) => entries
            .iter()
            .filter_map(|(_, value)| match value {
                Value::List(list) => Some(list),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    let mut longest = 0;
    for record in lists.into_iter().flatten() {
        match record {
            Value::Table(entries) => keys.extend(entries.iter().map(|(key, _)| key)),
            Value::List(list) => longest = longest.max(list.len()),
            _ => {}
        }
    }
    keys.len().max(longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn shown(name: &str, text: &str, size: u64) -> Json {
        serde_json::to_value(PreviewReport::new(name, text.as_bytes(), size)).unwrap()
    }

    fn table(columns: [&str; 2], rows: &Json) -> Json {
        let total = rows.as_array().unwrap().len();
        json!({ "kind": "table", "columns": columns, "rows": rows, "width": 2, "total": total })
    }

    fn text(format: &str, text: &str, fault: Option<&str>) -> Json {
        json!({ "kind": "text", "format": format, "text": text, "cut": false, "fault": fault })
    }

    #[test]
    fn forms_of_files() {
        let no_text = json!({ "kind": "binary", "why": "it is not a text" });
        let no_array = json!({ "kind": "binary", "why": "it is not an array of NumPy" });
        let cases = [
            ("m/a.csv", "a,b\n1,x\n2,nan\n", table(["a", "b"], &json!([[1, "x"], [2, "NaN"]]))),
            ("a.json", r#"{"k":{"l":[1]}}"#, table(["key", "value"], &json!([["k.l.0", 1]]))),
            ("a.json", "{", text("json", "{", Some("line 1: EOF while parsing an object"))),
            ("README", "a\r\n\u{1b}[2J", text("", "a\n\\u{1b}[2J", None)),
            ("x.html", "<b>", text("html", "<b>", None)),
            ("x.SVG", "<svg>", json!({ "kind": "media", "media": "image/svg+xml" })),
            ("x.bin", "\0", no_text),
            ("x.npy", "x", no_array),
        ];
        for (name, text, mut expected) in cases {
            expected["bytes"] = text.len().into();
            assert_eq!(shown(name, text, text.len() as u64), expected, "{name}");
        }
    }

    #[test]
    fn cut_files_say_so() {
        let head = "a,b\n1,2\n3,";
        let Preview::Table(table) = PreviewReport::new("a.csv", head.as_bytes(), 99).preview else {
            panic!("not a table")
        };
        assert_eq!((table.rows.len(), table.total), (1, None));
        let report = PreviewReport::new("a.txt", &"é".as_bytes()[..1], 9);
        assert!(matches!(report.preview, Preview::Text(Text { cut: true, .. })));
        assert_eq!(shown("a.json", "[1", 9)["fault"], "it is too large to be read as JSON");
        let long = "x".repeat(MOST_TEXT + 5);
        assert_eq!(shown("a.txt", &long, long.len() as u64)["cut"], true);
    }

    #[test]
    fn wide_records_stay_small() {
        let records: Vec<String> = (0..20_000).map(|n| format!("{{\"k{n}\":1}}")).collect();
        let text = format!("[{}]", records.join(","));
        let fault = &shown("a.json", &text, text.len() as u64)["fault"];
        assert_eq!(fault, "its records have too many keys");
    }

    proptest! {
        #[test]
        fn any_content(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            text in "[\\[\\]{}\",:0-9a\n\u{1b}]{0,40}",
            name in prop::sample::select(vec!["a.json", "a.csv", "a.yaml", "a.toml", "a.md", "a"]),
            more in 0u64..2,
        ) {
            for content in [&bytes[..], text.as_bytes()] {
                let report = PreviewReport::new(name, content, content.len() as u64 + more);
                prop_assert!(serde_json::to_string(&report).is_ok());
            }
        }
    }
}
