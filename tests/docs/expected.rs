//! Compares the output of a command with the output that a page shows.
//!
//! A line that is `…` or `...` alone stands for any number of lines, `…` inside a line for any
//! text. Durations, times and digests are equal to any other, and so are runs of spaces. Bars of
//! a chart are ignored.

/// Reports whether the output matches what the page shows.
pub fn matches(expected: &str, actual: &str) -> bool {
    let expected: Vec<String> = expected.trim_end().lines().map(normalise).collect();
    let actual: Vec<String> = actual.trim_end().lines().map(normalise).collect();
    lines_match(&expected, &actual)
}

/// Returns the output as the page should show it. Lines that still match and elisions stay.
pub fn updated(expected: &str, actual: &str) -> String {
    let old: Vec<&str> = expected.trim_end().lines().collect();
    let new: Vec<&str> = actual.trim_end().lines().collect();
    let kept = |line: &str| {
        let same = old.iter().find(|old| !is_gap(old) && line_matches(&normalise(old), line));
        same.map_or_else(|| line.to_owned(), |old| (*old).to_owned())
    };
    let all: Vec<String> = new.iter().map(|line| kept(line)).collect();
    let gap = old.iter().position(|line| is_gap(line));
    let after = old.iter().rev().take_while(|line| !is_gap(line)).count();
    let lines = match gap {
        Some(before) if all.len() > before + after => {
            let mut lines = all[..before].to_vec();
            lines.push(old[before].to_owned());
            lines.extend_from_slice(&all[all.len() - after..]);
            lines
        }
        _ => all,
    };
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn is_gap(line: &str) -> bool {
    matches!(line.trim(), "…" | "...")
}

fn lines_match(expected: &[String], actual: &[String]) -> bool {
    match expected.split_first() {
        None => actual.is_empty(),
        Some((first, rest)) if is_gap(first) => {
            (0..=actual.len()).any(|skipped| lines_match(rest, &actual[skipped..]))
        }
        Some((first, rest)) => {
            actual.first().is_some_and(|line| line_matches(first, line))
                && lines_match(rest, &actual[1..])
        }
    }
}

/// Reports whether a line matches a normalised one, in which `…` stands for any text.
fn line_matches(expected: &str, actual: &str) -> bool {
    let actual = normalise(actual);
    let mut parts = expected.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = actual.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Replaces what differs from run to run, and collapses spaces.
fn normalise(line: &str) -> String {
    let mut words = Vec::new();
    let is_bar = |word: &&str| word.chars().all(|c| matches!(c, '━' | '╸' | '╺'));
    for word in line.split_whitespace().filter(|word| !is_bar(word)) {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | ':' | 'µ');
        let mut text = String::new();
        let mut token = String::new();
        for c in word.chars() {
            if is_part(c) || (c == '-' && is_date_start(&token)) {
                token.push(c);
            } else {
                text.push_str(&token_text(&token));
                token.clear();
                text.push(c);
            }
        }
        text.push_str(&token_text(&token));
        words.push(text);
    }
    words.join(" ")
}

fn is_date_start(token: &str) -> bool {
    (4..8).contains(&token.len()) && token.bytes().take(4).all(|b| b.is_ascii_digit())
}

fn token_text(token: &str) -> String {
    let (body, end) = match token.strip_suffix([':', '.']) {
        Some(body) => (body, &token[body.len()..]),
        None => (token, ""),
    };
    let shown = if is_duration(body) {
        "<duration>"
    } else if is_time(body) {
        "<time>"
    } else if is_digest(body) {
        "<digest>"
    } else {
        body
    };
    format!("{shown}{end}")
}

/// `12ms`, `1.5s`, `7m27s`, `2h3m`.
fn is_duration(token: &str) -> bool {
    let mut rest = token;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let unit = ["ms", "µs", "s", "m", "h", "d"]
            .into_iter()
            .find(|unit| rest[digits..].starts_with(unit));
        let (true, Some(unit)) = (digits > 0, unit) else { return false };
        rest = &rest[digits + unit.len()..];
        parts += 1;
    }
    parts > 0
}

/// `2026-11-30` or `05:11:09`.
fn is_time(token: &str) -> bool {
    let digits = token.bytes().filter(u8::is_ascii_digit).count();
    let separators = token.bytes().filter(|b| matches!(b, b'-' | b':')).count();
    digits + separators == token.len()
        && ((separators == 2 && (6..=8).contains(&digits)) || (separators == 1 && digits == 4))
}

/// Ten or more hexadecimal digits: digests and commits are never shown shorter.
fn is_digest(token: &str) -> bool {
    token.len() >= 10 && token.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn output_matching() {
    assert!(matches("done in 7m27s: 5 ran\n", "done in 31ms: 5 ran\n"));
    assert!(!matches("done in 31ms: 5 ran", "done in 31ms: 6 ran"));
    assert!(matches("a\n…\nd", "a\nb\nc\nd"));
    assert!(matches("a\n...\n", "a"));
    assert!(!matches("a\n…\nd", "a\nb"));
    assert!(matches("x … z", "x y z"));
    assert!(!matches("x … z", "x y"));
    assert!(matches("run-1  2026-11-30 05:11  ok", "run-1 2027-01-02 17:40 ok"));
    assert!(matches("out file 90ab12ef01", "out file 1c0a44f702"));
    assert!(!matches("rate 0.5", "rate 0.25"));
    assert!(!matches("a", ""));
    assert!(matches("", ""));
}

#[test]
fn output_update() {
    assert_eq!(updated("a … z\nb\n", "a y z\nc\n"), "a … z\nc\n");
    assert_eq!(updated("a\n…\nx\n", "a\nb\nc\nd\n"), "a\n…\nd\n");
    assert_eq!(updated("", "a\n"), "a\n");
    assert_eq!(updated("took 3ms\n", "took 5ms\nnew\n"), "took 3ms\nnew\n");
}
