//! Texts and numbers in SVG documents.

/// Returns the approximate width of a text whose characters are `char` pixels wide.
pub fn width(text: &str, char: f64) -> f64 {
    unicode_width::UnicodeWidthStr::width(text) as f64 * char
}

/// Cuts a text in the middle to at most `most` characters: its end often matters.
pub fn cut(text: &str, most: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= most {
        return text.to_owned();
    }
    let (head, tail) = (most / 2, most - most / 2 - 1);
    let (head, tail) = (&chars[..head], &chars[chars.len() - tail..]);
    format!("{}…{}", String::from_iter(head), String::from_iter(tail))
}

/// Formats a coordinate with two decimals at most.
pub fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// Escapes a text for XML, and leaves out characters that XML does not allow.
pub fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_in_the_middle() {
        assert_eq!(cut("train@seed=1", 12), "train@seed=1");
        assert_eq!(cut("train@seed=123", 12), "train@…d=123");
        assert_eq!(cut("日本語日本語", 4), "日本…語");
    }

    #[test]
    fn escaped_for_text_and_attribute() {
        assert_eq!(escaped("a<b & \"c\">\u{0}\u{1b}d"), "a&lt;b &amp; &quot;c&quot;&gt;d");
    }

    #[test]
    fn short_coordinates() {
        let cases = [(1.0, "1"), (1.005, "1"), (0.25, "0.25"), (-0.001, "0"), (10.0, "10")];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }
}
