//! JSON with the bare tokens `NaN`, `Infinity` and `-Infinity`, as Python writes it.

use std::borrow::Cow;

use serde_json::Value;

/// The tokens, longest first.
const BARE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Parses JSON; the tokens become texts. `None` if it is not JSON.
pub(super) fn parse(bytes: &[u8]) -> Option<Value> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Some(value);
    }
    match quoted(std::str::from_utf8(bytes).ok()?) {
        Cow::Borrowed(_) => None,
        Cow::Owned(text) => serde_json::from_str(&text).ok(),
    }
}

/// Puts quotes around the tokens outside of texts.
fn quoted(text: &str) -> Cow<'_, str> {
    if !BARE.iter().any(|token| text.contains(token)) {
        return Cow::Borrowed(text);
    }
    let mut result = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' => text_length(rest),
            _ => match BARE.iter().find(|token| rest.starts_with(**token)) {
                Some(token) => {
                    result.extend(["\"", token, "\""]);
                    rest = &rest[token.len()..];
                    continue;
                }
                None => next.len_utf8(),
            },
        };
        result.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    Cow::Owned(result)
}

/// Returns the length of the text in quotes at the start of `rest`.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bare_tokens() {
        for (text, expected) in [
            (r#"[NaN, -Infinity,Infinity]"#, json!(["NaN", "-Infinity", "Infinity"])),
            (r#"{"NaN": "a \" NaN", "b": NaN}"#, json!({"NaN": "a \" NaN", "b": "NaN"})),
            (r#"{"é\\": NaN}"#, json!({"é\\": "NaN"})),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["{NaN", "NaNNaN", "\"NaN", "x"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
