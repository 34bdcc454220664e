//! Reads the values in files of params and metrics: JSON, YAML, TOML and CSV, as one type.
//!
//! Pure: bytes and texts come in, values or faults go out. Does not know what the values mean.

mod csv;
mod grid;
mod json;
mod toml;
mod value;
mod yaml;

use std::borrow::Cow;

pub use self::csv::rows as csv_rows;
pub use self::grid::Grid;
pub use self::value::{Fault, Value, not_finite};
use self::value::{MAX_DEPTH, depth, too_deep};

/// The format of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Yaml,
    Toml,
    /// With this character between the cells.
    Csv(char),
}

impl Format {
    /// Returns the format of a file by the extension of its name.
    pub fn of(name: &str) -> Option<Format> {
        let (_, extension) = name.rsplit_once('.')?;
        match extension.to_ascii_lowercase().as_str() {
            "json" => Some(Format::Json),
            "yaml" | "yml" => Some(Format::Yaml),
            "toml" => Some(Format::Toml),
            "csv" => Some(Format::Csv(',')),
            "tsv" => Some(Format::Csv('\t')),
            _ => None,
        }
    }

    /// Returns the name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "JSON",
            Format::Yaml => "YAML",
            Format::Toml => "TOML",
            Format::Csv('\t') => "TSV",
            Format::Csv(_) => "CSV",
        }
    }
}

/// Parses a text.
///
/// # Errors
/// The text is not valid, or its values are nested too deeply.
pub fn parse(format: Format, text: &str) -> Result<Value, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value = match format {
        Format::Json => json::parse(text),
        Format::Yaml => yaml::parse(text),
        Format::Toml => toml::parse(text),
        Format::Csv(separator) => csv::parse(text, separator),
    }?;
    if depth(&value) > MAX_DEPTH { Err(too_deep(None)) } else { Ok(value) }
}

/// Makes strings of `NaN`, `Infinity` and `-Infinity` in a JSON text, which Python writes without
/// quotes.
pub fn quote_not_finite(json: &str) -> Cow<'_, str> {
    json::quote_names(json, "")
}

/// Decodes a file as UTF-8, or as UTF-16 if it begins with a byte order mark.
///
/// # Errors
/// The file has neither encoding.
pub fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, Fault> {
    let units = |unit: fn([u8; 2]) -> u16| {
        let pairs = bytes[2..].chunks_exact(2);
        let is_whole = pairs.remainder().is_empty();
        let text =
            String::from_utf16(&pairs.map(|pair| unit([pair[0], pair[1]])).collect::<Vec<_>>());
        text.ok().filter(|_| is_whole).map(Cow::Owned)
    };
    let text = match bytes {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
    };
    text.ok_or_else(|| Fault::new(None, "is not a text").hint("write it as UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encodings() {
        let utf16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}{\"ä\": 1}".encode_utf16().flat_map(unit).collect()
        };
        let table = Value::Table(vec![("ä".to_owned(), Value::Integer(1))]);
        for bytes in [utf16(u16::to_le_bytes), utf16(u16::to_be_bytes), "{\"ä\": 1}".into()] {
            assert_eq!(parse(Format::Json, &decode(&bytes).unwrap()), Ok(table.clone()));
        }
        for bytes in [&b"\xff\xfe{"[..], b"\xff\xfe\x00\xd8", b"\xfe\xff\xd8\x00", b"caf\xe9"] {
            assert_eq!(decode(bytes).unwrap_err().what, "is not a text", "{bytes:?}");
        }
    }

    #[test]
    fn same_values_in_all_formats() {
        let table = |entries: &[(&str, Value)]| {
            Value::Table(
                entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
            )
        };
        let expected = table(&[
            ("a", Value::Integer(9_007_199_254_740_993)),
            ("b", Value::Float(0.25)),
            ("c", table(&[("d", Value::Bool(true)), ("e", Value::Text("x: y".to_owned()))])),
            ("f", Value::List(vec![Value::Float(f64::NEG_INFINITY), Value::Integer(-1)])),
        ]);
        for (format, text) in [
            (
                Format::Json,
                r#"{"a": 9007199254740993, "b": 0.25, "c": {"d": true, "e": "x: y"},
                    "f": [-Infinity, -1]}"#,
            ),
            (
                Format::Yaml,
                "a: 9007199254740993\nb: 0.25\nc:\n  d: true\n  e: 'x: y'\nf:\n- -.inf\n- -1\n",
            ),
            (
                Format::Toml,
                "a = 9007199254740993\nb = 0.25\nf = [-inf, -1]\n[c]\nd = true\ne = 'x: y'\n",
            ),
        ] {
            let Value::Table(mut entries) = parse(format, text).unwrap() else { panic!("{text}") };
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(Value::Table(entries), expected, "{text}");
        }
    }

    #[test]
    fn names_of_numbers() {
        for (name, value) in
            [("inf", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY), ("+INF", f64::INFINITY)]
        {
            assert_eq!(not_finite(name), Some(value), "{name}");
        }
        assert!(["NaN", "nan", "-nan"].iter().all(|name| not_finite(name).unwrap().is_nan()));
        assert!(
            ["", "infin", "nano", "--inf", "info"].iter().all(|name| not_finite(name).is_none())
        );
    }

    proptest! {
        #[test]
        fn any_text_is_handled(
            text in r#"([-a1.0:,\[\]{}"'\n &*!|>#<e+~\t]|NaN|Infinity|<<|\PC){0,40}"#,
        ) {
            for format in [Format::Json, Format::Yaml, Format::Toml, Format::Csv(',')] {
                let _ = parse(format, &text);
            }
        }

        #[test]
        fn depth_is_limited(depth in 1usize..3000) {
            for format in [Format::Json, Format::Yaml, Format::Toml] {
                let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                let text = if format == Format::Toml { format!("a = {text}") } else { text };
                let limit = MAX_DEPTH - usize::from(format == Format::Toml);
                prop_assert_eq!(parse(format, &text).is_ok(), depth <= limit);
            }
        }
    }
}
