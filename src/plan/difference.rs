//! Shows two different texts so that they look different. Unaware of their meaning.

/// Number of characters shown before the first difference.
const BEFORE: usize = 20;
/// Maximum number of characters of an excerpt.
const MOST: usize = 60;

/// Returns both texts as `shorten` shows them. If they then look equal, returns the parts around
/// the first difference instead, with what cannot be seen escaped.
pub fn distinct(old: &str, new: &str, shorten: impl Fn(&str) -> String) -> (String, String) {
    let short = (shorten(old), shorten(new));
    if looks(&short.0) != looks(&short.1) {
        return short;
    }
    let same = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    let excerpt = |text: &str| {
        let start = same.saturating_sub(BEFORE);
        let part: String = text.chars().skip(start).take(MOST).flat_map(visible).collect();
        let before = if start > 0 { "…" } else { "" };
        let after = if text.chars().count() > start + MOST { "…" } else { "" };
        format!("{before}{part}{after}")
    };
    (excerpt(old), excerpt(new))
}

/// Returns the text with equal characters where a reader sees no difference.
fn looks(text: &str) -> String {
    let seen = text.chars().filter(|c| !is_invisible(*c));
    seen.map(|c| if c.is_whitespace() { ' ' } else { c }).collect::<String>().trim_end().to_owned()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Escapes a character that cannot be seen or told from a space.
fn visible(c: char) -> impl Iterator<Item = char> {
    let is_hidden = c != ' ' && (c.is_whitespace() || c.is_control() || is_invisible(c));
    let escaped = is_hidden.then(|| c.escape_default());
    escaped.into_iter().flatten().chain((!is_hidden).then_some(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_that_look_equal() {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let long = |end: &str| format!("{}{end}", "x".repeat(30));
        for (old, new, expected) in [
            ("a b", "a c", ("a b", "a c")),
            ("a  b", "a b", ("a  b", "a b")),
            ("a b ", "a b", ("a b ", "a b")),
            ("a\nb", "a b", ("a\\nb", "a b")),
            ("a\u{a0}b", "a b", ("a\\u{a0}b", "a b")),
            ("a\u{200b}b", "ab", ("a\\u{200b}b", "ab")),
            (&long("\t"), &long(""), ("…xxxxxxxxxxxxxxxxxxxx\\t", "…xxxxxxxxxxxxxxxxxxxx")),
        ] {
            let (old, new) = distinct(old, new, flat);
            assert_eq!((old.as_str(), new.as_str()), expected);
        }
    }

    #[test]
    fn difference_behind_the_cut() {
        let text = |end: &str| format!("{}{end}", "a".repeat(100));
        let cut = |text: &str| text[..10].to_owned();
        let (old, new) = distinct(&text("1"), &text("2"), cut);
        assert_eq!(old, format!("…{}1", "a".repeat(20)));
        assert_eq!(new, format!("…{}2", "a".repeat(20)));
    }

    proptest! {
        #[test]
        fn different_texts_look_different(
            old in "[ab \t\n\u{a0}\u{200b}]{0,90}",
            new in "[ab \t\n\u{a0}\u{200b}]{0,90}",
        ) {
            let (shown, other) = distinct(&old, &new, |text| text.trim().to_owned());
            prop_assert_eq!(shown == other, old == new);
        }
    }
}
