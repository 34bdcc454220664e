//! Makes text safe to show: the only way from a text to a terminal or a log.
//!
//! Names, params, descriptions and stage output may contain control characters, which could move
//! the cursor, retitle the window, fill the clipboard or reorder the text. Whatever writes for
//! people passes its text through [`for_terminal`], which escapes them. Styles of this program are
//! marked by [`STYLE_MARK`] instead of the escape character, so that no foreign text needs to be
//! trusted.
//!
//! Known limit: a text that imitates a mark can change colors, and nothing else.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Stands for the escape character in the styles of `terminal::style`: a code point that Unicode
/// reserves for internal use.
pub const STYLE_MARK: char = '\u{fdd0}';

/// Returns `text` as it may be written to a terminal: own styles as ANSI escapes, and everything
/// else that could control the terminal escaped. Line feeds and tabs are kept.
pub fn for_terminal(text: &str) -> String {
    with_ansi(&safe(text))
}

/// Escapes what could control a terminal, except line feeds, tabs and the marks of styles.
pub fn safe(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_unsafe(c) && !matches!(c, '\n' | '\t'))
}

/// Escapes what could control a terminal, with line feeds and tabs; keeps the marks of styles.
pub fn on_one_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Replaces the marks of styles by ANSI escapes. A mark that starts no style is escaped.
pub fn with_ansi(text: &str) -> String {
    let mut pieces = text.split(STYLE_MARK);
    let mut shown = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        if is_style(piece) {
            shown.push('\x1b');
        } else {
            shown.extend(STYLE_MARK.escape_default());
        }
        shown.push_str(piece);
    }
    shown
}

/// Escapes the characters of a JSON text that JSON allows in strings and terminals obey.
/// They occur in strings only, so the text keeps its meaning.
pub fn json(text: &str) -> Cow<'_, str> {
    let kept = |c: char| c == '\n' || !is_unsafe(c);
    if text.chars().all(kept) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        // All of them are in the first plane, so each is one code unit.
        let _ =
            if kept(c) { write!(escaped, "{c}") } else { write!(escaped, "\\u{:04x}", c as u32) };
    }
    Cow::Owned(escaped)
}

/// Removes the styles of a text, for texts that are pasted elsewhere.
pub fn without_styles(text: &str) -> String {
    anstream::adapter::strip_str(&for_terminal(text)).to_string()
}

/// Reports whether a terminal may obey `c` instead of showing it: C0 and C1 controls, line and
/// paragraph separators, and the controls of bidirectional text.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reports whether `rest` begins with the rest of a style: `[`, digits and semicolons, `m`.
fn is_style(rest: &str) -> bool {
    let codes = rest.strip_prefix('[').unwrap_or_default();
    codes.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::style;
    use proptest::prelude::*;

    #[test]
    fn hostile_texts() {
        let cases = [
            ("plain é 日本 👩‍🔬", "plain é 日本 👩‍🔬"),
            ("a\n\tb", "a\n\tb"),
            ("\x1b]52;c;cHduZWQ=\x07", "\\u{1b}]52;c;cHduZWQ=\\u{7}"),
            ("\u{9b}2J\u{7f}\r", "\\u{9b}2J\\u{7f}\\r"),
            ("a\u{202e}txt.exe\u{2066}\u{61c}", "a\\u{202e}txt.exe\\u{2066}\\u{61c}"),
            ("\u{fdd0}[2J\u{fdd0}", "\\u{fdd0}[2J\\u{fdd0}"),
        ];
        for (text, shown) in cases {
            assert_eq!(for_terminal(text), shown);
        }
        assert_eq!(on_one_line("a\n\tb\x1b"), "a\\n\\tb\\u{1b}");
        assert_eq!(
            json("{\"a\":\"\u{9b}\u{202e}\u{7f}é\"}\n"),
            "{\"a\":\"\\u009b\\u202e\\u007fé\"}\n"
        );
    }

    #[test]
    fn own_styles() {
        let text = format!("{}bad{:#}", style::ERROR, style::ERROR);
        assert_eq!(for_terminal(&text), "\x1b[1m\x1b[31mbad\x1b[0m");
        assert_eq!(format!("{}x{:#}", style::Style::new(), style::Style::new()), "x");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(
            text in r"\PC*|[\x00-\x{9f}\x{200e}-\x{202e}\x{fdd0}\[m]*"
        ) {
            let shown = for_terminal(&text).replace("\x1b[m", "").replace(['\n', '\t'], "");
            prop_assert!(!shown.chars().any(is_unsafe), "{shown:?}");
            prop_assert!(!on_one_line(&text).chars().any(is_unsafe));
            let encoded = serde_json::to_string(&text).unwrap();
            let value: String = serde_json::from_str(&json(&encoded)).unwrap();
            prop_assert_eq!(value, text);
        }
    }
}
