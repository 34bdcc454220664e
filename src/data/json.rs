//! JSON, with the numbers that JSON lacks as Python's `json` writes them: `NaN`, `Infinity` and
//! `-Infinity`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::value::{Fault, Value, not_finite};

/// Marks a name that stood without quotes; a JSON text cannot contain this character.
const BARE: char = '\u{0}';

pub(super) fn parse(text: &str) -> Result<Value, Fault> {
    serde_json::from_str(&quote_names(text, "\\u0000")).map_err(|err| {
        let message = err.to_string();
        let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
        Fault::new((err.line() > 0).then_some(err.line()), what)
    })
}

/// Makes strings of `NaN`, `Infinity` and `-Infinity` where they are not inside a string. Each
/// begins with `mark`.
pub(super) fn quote_names<'t>(text: &'t str, mark: &str) -> Cow<'t, str> {
    let mut out = String::new();
    let (mut copied, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at += string_length(&bytes[at..]),
            b'N' | b'I' | b'-' => {
                let rest = &bytes[at..];
                let name = ["NaN", "Infinity", "-Infinity"]
                    .into_iter()
                    .find(|name| rest.starts_with(name.as_bytes()));
                if let Some(name) = name {
                    out.push_str(&text[copied..at]);
                    out.push('"');
                    out.push_str(mark);
                    out.push_str(name);
                    out.push('"');
                    copied = at + name.len();
                }
                at += name.map_or(1, str::len);
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Returns the length of the string that begins here, with its quotes.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
        d.deserialize_any(Builder)
    }
}

/// Builds a value that keeps repeated keys.
struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Value, E> {
        Ok(Value::Integer(integer.into()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Value, E> {
        Ok(Value::Integer(integer.into()))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Value, E> {
        Ok(Value::Float(float))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        match text.strip_prefix(BARE) {
            Some(name) => {
                not_finite(name).map(Value::Float).ok_or_else(|| E::custom("invalid character"))
            }
            None => Ok(Value::Text(text.to_owned())),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if key.starts_with(BARE) {
                return Err(A::Error::custom("key must be a string"));
            }
            entries.push((key, value));
        }
        Ok(Value::Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names() {
        let Ok(Value::Table(entries)) =
            parse(r#"{"a": NaN, "b": [Infinity,-Infinity], "NaN \" Infinity": "-Infinity"}"#)
        else {
            panic!();
        };
        assert!(matches!(entries[0].1, Value::Float(nan) if nan.is_nan()));
        let infinities = [f64::INFINITY, f64::NEG_INFINITY].map(Value::Float);
        assert_eq!(entries[1].1, Value::List(infinities.into()));
        let text = Value::Text("-Infinity".to_owned());
        assert_eq!(entries[2], ("NaN \" Infinity".to_owned(), text));
        for text in ["{NaN: 1}", "[NaNa]", "[1NaN]", "\"open", "[\"\\", "{\"a\": nan}", "-"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn repeated_keys_are_kept() {
        let entries = [("a", 1), ("a", 2)].map(|(key, n)| (key.to_owned(), Value::Integer(n)));
        assert_eq!(parse(r#"{"a": 1, "a": 2}"#), Ok(Value::Table(entries.into())));
    }

    #[test]
    fn fault_names_the_line() {
        let fault = parse("{\n  \"a\": NaN,\n  \"b\": oops\n}").unwrap_err();
        assert_eq!((fault.line, fault.what.as_str()), (Some(3), "expected value"));
    }
}
