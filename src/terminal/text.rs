//! Text measured in terminal columns: width, padding, truncation.

use unicode_width::UnicodeWidthChar as _;

use crate::escape::STYLE_MARK;

/// The side on which padding is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pad {
    Left,
    Right,
}

/// Returns the number of columns that `text` takes on a terminal. Styles take none.
///
/// Sums the widths of the characters: combining marks take no column, East Asian characters and
/// emoji take two. An emoji sequence is therefore as wide as its parts, as on most terminals.
pub fn width(text: &str) -> usize {
    prefix(text, usize::MAX).1
}

/// Returns the largest width among `texts`.
pub fn widest<'a>(texts: impl IntoIterator<Item = &'a str>) -> usize {
    texts.into_iter().map(width).max().unwrap_or(0)
}

/// Fills `text` with spaces up to `columns`. A wider text is returned unchanged.
pub fn pad(text: &str, columns: usize, side: Pad) -> String {
    let gap = " ".repeat(columns.saturating_sub(width(text)));
    match side {
        Pad::Left => gap + text,
        Pad::Right => text.to_owned() + &gap,
    }
}

/// Shortens `text` to at most `columns`; a shortened text ends in `…`.
pub fn truncate(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut shown = prefix(text, columns.saturating_sub(1)).0;
    shown.push('…');
    shown
}

/// Returns the part of `text` that fits into `columns`, and its width.
///
/// All styles are kept, also those after the cut: they end styles that began before it.
pub fn prefix(text: &str, columns: usize) -> (String, usize) {
    let mut shown = String::with_capacity(text.len());
    let mut taken = 0;
    let mut is_full = false;
    let mut in_style = false;
    for c in text.chars() {
        if in_style || c == STYLE_MARK {
            in_style = c == STYLE_MARK || !c.is_ascii_alphabetic();
            shown.push(c);
            continue;
        }
        let wide = c.width().unwrap_or(0);
        is_full = is_full || taken + wide > columns;
        if !is_full {
            taken += wide;
            shown.push(c);
        }
    }
    (shown, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_keeps_escapes() {
        assert_eq!(
            prefix("\u{fdd0}[2mabc\u{fdd0}[0mdef", 4),
            ("\u{fdd0}[2mabc\u{fdd0}[0md".into(), 4)
        );
        assert_eq!(
            prefix("\u{fdd0}[2mabcdef\u{fdd0}[0m", 4),
            ("\u{fdd0}[2mabcd\u{fdd0}[0m".into(), 4)
        );
        assert_eq!(prefix("日本語", 5), ("日本".into(), 4));
        assert_eq!(prefix("e\u{301}a", 2), ("e\u{301}a".into(), 2));
        assert_eq!(prefix("", 5), (String::new(), 0));
    }

    #[test]
    fn width_pad_truncate() {
        assert_eq!(width("\u{fdd0}[1m精度\u{fdd0}[0m.f1"), 7);
        assert_eq!(widest(["a", "日本", "abc"]), 4);
        assert_eq!(pad("日本", 6, Pad::Right), "日本  ");
        assert_eq!(pad("日本", 6, Pad::Left), "  日本");
        assert_eq!(pad("longer", 3, Pad::Right), "longer");
        assert_eq!(truncate("日本語", 6), "日本語");
        assert_eq!(truncate("日本語", 5), "日本…");
        assert_eq!(truncate("abcdef", 4), "abc…");
    }
}
