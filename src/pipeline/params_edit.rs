//! Edits one param in the text of a TOML file. Only the characters of the value are replaced, so
//! comments, order, layout, quoting and line ends are kept.
//!
//! Does not access files, and does not check whether the edited pipeline is valid.

use std::fmt;
use std::ops::Range;

use toml_edit::{Document, Item, TableLike, Value};

use super::{ParamKey, ParamValue};

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
    ///
    /// # Errors
    /// The text has another type, or is not a finite number.
    pub fn typed(raw: &str, old: &ParamValue) -> Result<Literal, WrongType> {
        let trimmed = raw.trim();
        let parsed = bare(trimmed);
        let literal = match (old, parsed) {
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
/// A message fragment: the value contains an infinity or NaN, which JSON lacks.
pub fn parse_value(raw: &str) -> Result<ParamValue, String> {
    match bare(raw.trim()) {
        // A date is kept as text, like a date in the file.
        None | Some(Value::Datetime(_)) => Ok(raw.into()),
        Some(value) => json(&value)
            .ok_or_else(|| format!("`{}` contains a number that is not finite", raw.trim())),
    }
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

fn type_name(value: &ParamValue) -> &'static str {
    match value {
        ParamValue::String(_) => "text",
        ParamValue::Bool(_) => "`true` or `false`",
        ParamValue::Array(_) => "an array such as `[1, 2]`",
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const FILE: &str = r#"# top
title = "10"            # not a param

[params]
seed = 42
"odd.name" = 'x'        # quoted
inline = { a = 1, b = { c = [1, 2] } }  # inline
train.epochs = 10       # how often
text = """
many
lines"""

[params.fine]
lr = 2e-4    # learning rate
resize = true
sizes = [
  1, # one
  2,
]

[stages.train]
cmd = "train --epochs 10"
"#;

    fn value_at(text: &str, key: &str) -> ParamValue {
        let document = Document::parse(text).unwrap();
        let params = document.get("params").and_then(Item::as_table_like).unwrap();
        json(find(params, key).unwrap().as_value().unwrap()).unwrap()
    }

    fn edited(text: &str, key: &str, raw: &str) -> String {
        let literal = Literal::typed(raw, &value_at(text, key)).unwrap();
        set(text, &["params"], &ParamKey::new(key), &literal).unwrap()
    }

    #[test]
    fn set_replaces_only_the_value() {
        let cases = [
            ("seed", "7", "seed = 42\n", "seed = 7\n"),
            ("odd.name", "a b", "'x'        # quoted", "\"a b\"        # quoted"),
            ("inline.a", "-3", "{ a = 1,", "{ a = -3,"),
            ("inline.b.c", "[]", "c = [1, 2] }", "c = [] }"),
            ("train.epochs", "30", "epochs = 10       #", "epochs = 30       #"),
            ("text", "short", "\"\"\"\nmany\nlines\"\"\"", "\"short\""),
            ("fine.lr", "1e-4", "lr = 2e-4    #", "lr = 1e-4    #"),
            ("fine.lr", "1", "lr = 2e-4    #", "lr = 1.0    #"),
            ("fine.resize", "false", "resize = true", "resize = false"),
            ("fine.sizes", "[3, 4]", "[\n  1, # one\n  2,\n]", "[3, 4]"),
        ];
        for (key, raw, before, after) in cases {
            assert!(FILE.contains(before), "{before}");
            assert_eq!(edited(FILE, key, raw), FILE.replacen(before, after, 1), "{key}={raw}");
        }
    }

    #[test]
    fn set_keeps_crlf_and_bom() {
        let crlf = "\u{feff}[params]\r\n# é\r\na = 1  # x\r\nb = \"y\"";
        assert_eq!(edited(crlf, "a", "22"), crlf.replace("a = 1", "a = 22"));
        assert_eq!(edited(crlf, "b", "long text"), crlf.replace("\"y\"", "\"long text\""));
        let dotted = "params.a.b = 1";
        assert_eq!(edited(dotted, "a.b", "2"), "params.a.b = 2");
    }

    #[test]
    fn typed_value_keeps_type() {
        let typed =
            |raw, old: ParamValue| Literal::typed(raw, &old).map(|l| (l.value, l.toml)).ok();
        let same = |value: ParamValue, toml: &str| Some((value, toml.to_owned()));
        assert_eq!(typed("synth", json!("x")), same(json!("synth"), "\"synth\""));
        assert_eq!(typed("30", json!("x")), same(json!("30"), "\"30\""));
        assert_eq!(typed("nan", json!("x")), same(json!("nan"), "\"nan\""));
        assert_eq!(typed("'a'", json!("x")), same(json!("a"), "'a'"));
        assert_eq!(typed("", json!("x")), same(json!(""), "\"\""));
        assert_eq!(typed("a\nb = 1", json!("x")).map(|l| l.0), Some(json!("a\nb = 1")));
        assert_eq!(typed(" 30 ", json!(1)), same(json!(30), "30"));
        assert_eq!(typed("1_000", json!(1)), same(json!(1000), "1_000"));
        assert_eq!(typed("1_000", json!(1.0)), same(json!(1000.0), "1_000.0"));
        assert_eq!(typed("0xff", json!(1.0)), same(json!(255.0), "255.0"));
        assert_eq!(typed("1e-4", json!(1.0)), same(json!(1e-4), "1e-4"));
        assert_eq!(typed("[ 1,'b' ]", json!([])), same(json!([1, "b"]), "[ 1,'b' ]"));
        for (raw, old) in [
            ("30.0", json!(1)),
            ("ten", json!(1)),
            ("", json!(1)),
            ("9223372036854775808", json!(1)),
            ("1\nb = 2", json!(1)),
            ("1 # x", json!(true)),
            ("nan", json!(1.0)),
            ("inf", json!(1.0)),
            ("yes", json!(true)),
            ("1", json!(true)),
            ("1", json!([1])),
            ("[nan]", json!([1])),
            ("[1], b = 2", json!([1])),
        ] {
            assert_eq!(typed(raw, old.clone()), None, "{raw:?} for {old}");
        }
    }

    #[test]
    fn value_of_unknown_type() {
        let cases = [
            ("30", json!(30)),
            ("1e-4", json!(1e-4)),
            ("true", json!(true)),
            ("\"30\"", json!("30")),
            ("synth", json!("synth")),
            ("", json!("")),
            ("a = 1", json!("a = 1")),
            ("[1, 'b']", json!([1, "b"])),
            ("2024-05-01", json!("2024-05-01")),
            ("http://x/a.zip#b", json!("http://x/a.zip#b")),
        ];
        for (raw, value) in cases {
            assert_eq!(parse_value(raw), Ok(value), "{raw}");
        }
        assert_eq!(parse_value("nan"), Err("`nan` contains a number that is not finite".into()));
        assert!(parse_value("[inf]").is_err());
    }

    #[test]
    fn set_errors() {
        let literal = Literal::typed("1", &json!(1)).unwrap();
        let error = |text, key: &str| {
            set(text, &["params"], &ParamKey::new(key), &literal).unwrap_err().to_string()
        };
        assert_eq!(error(FILE, "train"), "there is no param `train`");
        assert_eq!(error(FILE, "seed.x"), "there is no param `seed.x`");
        assert_eq!(error("", "seed"), "there is no param `seed`");
        assert_eq!(error("params = 1", "seed"), "there is no param `seed`");
        assert_eq!(
            error("[[params.layers]]\nsize = 1", "layers"),
            "param `layers` is defined by `[[params.layers]]` tables: edit them by hand"
        );
        assert!(!error("[params", "seed").is_empty());
    }

    fn strategy() -> impl Strategy<Value = (&'static str, String)> {
        let text = prop_oneof!["\\PC{0,12}", "[\"'\\\\\n\r\t#=\\[\\]]{0,6}"];
        prop_oneof![
            (prop_oneof![Just("odd.name"), Just("text")], text),
            (
                prop_oneof![Just("seed"), Just("inline.a"), Just("train.epochs")],
                any::<i64>().prop_map(|i| i.to_string())
            ),
            (Just("fine.lr"), any::<f64>().prop_map(|f| format!("{f:?}"))),
            (Just("fine.resize"), any::<bool>().prop_map(|b| b.to_string())),
            (
                prop_oneof![Just("inline.b.c"), Just("fine.sizes")],
                any::<Vec<i32>>().prop_map(|v| format!("{v:?}"))
            ),
        ]
    }

    proptest! {
        /// After any edit the file parses, has the new value, and is otherwise unchanged.
        #[test]
        fn set_value_round_trip((key, raw) in strategy()) {
            let Ok(literal) = Literal::typed(&raw, &value_at(FILE, key)) else { return Ok(()) };
            let text = set(FILE, &["params"], &ParamKey::new(key), &literal).unwrap();
            prop_assert_eq!(&value_at(&text, key), literal.value());
            let zero = Literal { value: ParamValue::Null, toml: "0".into() };
            let restored = set(&text, &["params"], &ParamKey::new(key), &zero).unwrap();
            let expected = set(FILE, &["params"], &ParamKey::new(key), &zero).unwrap();
            prop_assert_eq!(restored, expected);
        }
    }
}
