//! Renders bytes as text: different bytes give different texts, and most texts stay as they are.

use std::ffi::OsStr;
use std::fmt::Write as _;

/// Returns UTF-8 as it is. In other bytes, and in a text that looks like the result for others,
/// writes a byte that is not UTF-8 as `\xff` and a backslash as `\\`.
pub fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains("\\x") => text.to_owned(),
        _ => escaped(bytes),
    }
}

/// Returns the value of an environment variable; `None` if it is unset.
pub fn variable(name: impl AsRef<OsStr>) -> Option<String> {
    std::env::var_os(name).map(|value| text(value.as_encoded_bytes()))
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_of_bytes() {
        for (bytes, expected) in [
            (&b""[..], ""),
            ("gr\u{fc}n \\ \u{fffd}".as_bytes(), "gr\u{fc}n \\ \u{fffd}"),
            (b"\xff", "\\xff"),
            (b"\\xff", "\\\\xff"),
            (b"a\\b\xfe", "a\\\\b\\xfe"),
        ] {
            assert_eq!(text(bytes), expected);
        }
    }

    proptest! {
        #[test]
        fn texts_differ(
            a in proptest::collection::vec(prop::sample::select(&b"\\xf8\xff\xf8"[..]), 0..7),
            b in proptest::collection::vec(prop::sample::select(&b"\\xf8\xff\xf8"[..]), 0..7),
        ) {
            prop_assert_eq!(a == b, text(&a) == text(&b));
        }
    }
}
