//! Parts of a log for a page. Each line is a text, or a list of pieces with the names of their
//! styles. Nothing in it can control a page or a terminal.

use serde::Serialize;

use crate::escape;
use crate::runs::log::{Line, Lines, Matches};

/// Consecutive lines of a log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogReport {
    /// Number of the first line, from 1; `null` when lines follow those that the client has.
    pub first: Option<u64>,
    pub lines: Vec<LogLine>,
    /// Byte from which to ask for what is added.
    pub end: u64,
    /// The last line may grow, and comes again.
    pub open: bool,
    /// Number of lines of the log, if it was counted.
    pub total: Option<u64>,
    /// Size of the log in bytes.
    pub size: u64,
}

/// Lines that contain a text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogMatches {
    /// Number of all matching lines.
    pub total: u64,
    /// The first of them: number and line.
    pub lines: Vec<(u64, LogLine)>,
}

/// A line as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LogLine {
    Plain(String),
    /// Texts, each with the names of its styles, separated by spaces.
    Styled(Vec<(String, String)>),
}

impl LogReport {
    pub fn new(lines: &Lines, total: Option<u64>, size: u64) -> LogReport {
        LogReport {
            first: total.map(|_| lines.first),
            lines: lines.lines.iter().map(LogLine::from).collect(),
            end: lines.end,
            open: lines.ends_open,
            total,
            size,
        }
    }
}

impl From<Matches> for LogMatches {
    fn from(matches: Matches) -> LogMatches {
        let lines = matches.lines.iter().map(|(number, line)| (*number, LogLine::from(line)));
        LogMatches { total: matches.total, lines: lines.collect() }
    }
}

/// Keeps the text after the last carriage return, and colors as styles. Other sequences that
/// control terminals are left out, and other control characters are escaped. Two styles say what is
/// not shown: `cut` and `redrawn`.
impl From<&Line> for LogLine {
    fn from(line: &Line) -> LogLine {
        let text = String::from_utf8_lossy(&line.bytes);
        let text = text.trim_end_matches('\r');
        let (before, last) = text.rsplit_once('\r').unwrap_or(("", text));
        let mut pieces = Pieces::default();
        pieces.read(last);
        let redrawn = before.split('\r').filter(|state| !state.is_empty()).count();
        if redrawn > 0 {
            pieces.mark("redrawn", format!("redrawn {redrawn}×"));
        }
        if line.cut > 0 {
            pieces.mark("cut", format!("… {} more bytes", line.cut));
        }
        match &mut pieces.done[..] {
            [] => LogLine::Plain(String::new()),
            [(text, style)] if style.is_empty() => LogLine::Plain(std::mem::take(text)),
            _ => LogLine::Styled(pieces.done),
        }
    }
}

#[derive(Default)]
struct Pieces {
    done: Vec<(String, String)>,
    style: Style,
}

impl Pieces {
    fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = rest.find('\u{1b}') {
            self.add(&rest[..at]);
            rest = match sequence(&rest[at..]) {
                Some((codes, after)) => {
                    codes.into_iter().for_each(|codes| self.style.apply(codes));
                    after
                }
                None => {
                    self.add("\u{1b}");
                    &rest[at + 1..]
                }
            };
        }
        self.add(rest);
    }

    fn add(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        let (text, names) = (escape::safe(text), self.style.names());
        match self.done.last_mut() {
            Some((last, style)) if *style == names => last.push_str(&text),
            _ => self.done.push((text.into_owned(), names)),
        }
    }

    fn mark(&mut self, name: &str, text: String) {
        self.done.push((text, name.to_owned()));
    }
}

/// Reads a complete escape sequence. Returns the codes of one that sets styles, and what follows.
fn sequence(text: &str) -> Option<(Option<&str>, &str)> {
    let body = text.strip_prefix('\u{1b}')?;
    if let Some(codes) = body.strip_prefix('[') {
        let end = codes.find(|c: char| !(' '..='?').contains(&c))?;
        let last = codes[end..].chars().next().filter(|c| ('@'..='~').contains(c))?;
        return Some(((last == 'm').then_some(&codes[..end]), &codes[end + 1..]));
    }
    // A title or a link.
    let title = body.strip_prefix(']')?;
    let (end, length) = match (title.find('\u{7}'), title.find("\u{1b}\\")) {
        (Some(bell), Some(string)) if string < bell => (string, 2),
        (Some(bell), _) => (bell, 1),
        (None, string) => (string?, 2),
    };
    Some((None, &title[end + length..]))
}

/// Styles of text that terminals know and a page shows.
#[derive(Clone, Copy, Default)]
struct Style {
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
    color: Option<u16>,
}

/// Names of the eight colors of terminals. The bright ones have `bright-` before their name.
const COLORS: [&str; 8] = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

impl Style {
    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| match code {
            "" => Some(0),
            code => code.parse::<u16>().ok(),
        });
        while let Some(code) = codes.next() {
            match code {
                Some(0) => *self = Style::default(),
                Some(1) => self.bold = true,
                Some(2) => self.dim = true,
                Some(3) => self.italic = true,
                Some(4) => self.underline = true,
                Some(22) => (self.bold, self.dim) = (false, false),
                Some(23) => self.italic = false,
                Some(24) => self.underline = false,
                Some(code @ 30..=37) => self.color = Some(code - 30),
                Some(code @ 90..=97) => self.color = Some(code - 90 + 8),
                Some(39) => self.color = None,
                // Of 256 colors the first 16 are these; a page shows no others.
                Some(code @ (38 | 48)) => {
                    let color = match codes.next() {
                        Some(Some(5)) => codes.next().flatten().filter(|color| *color < 16),
                        Some(Some(2)) => codes.by_ref().take(3).last().and(None),
                        _ => None,
                    };
                    self.color = if code == 38 { color } else { self.color };
                }
                _ => {}
            }
        }
    }

    fn names(self) -> String {
        let flags = [
            (self.bold, "bold"),
            (self.dim, "dim"),
            (self.italic, "italic"),
            (self.underline, "underline"),
        ];
        let mut names: Vec<String> =
            flags.iter().filter(|(on, _)| *on).map(|(_, name)| (*name).to_owned()).collect();
        names.extend(self.color.map(|color| {
            let name = COLORS[usize::from(color % 8)];
            if color < 8 { name.to_owned() } else { format!("bright-{name}") }
        }));
        names.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let line = Line { bytes: text.into(), cut: 0 };
        serde_json::to_string(&LogLine::from(&line)).unwrap()
    }

    #[test]
    fn styles_and_controls() {
        let cases = [
            ("plain\té", r#""plain\té""#),
            ("", r#""""#),
            ("\u{1b}[1;31merror\u{1b}[0m: no", r#"[["error","bold red"],[": no",""]]"#),
            ("\u{1b}[38;5;9ma\u{1b}[38;5;99mb", r#"[["a","bright-red"],["b",""]]"#),
            ("\u{1b}[38;2;1;2;31ma\u{1b}[48;5;1mb", r#""ab""#),
            ("\u{1b}[94m\u{1b}[2Ka\u{1b}[?25l", r#"[["a","bright-blue"]]"#),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{7}.", r#""link.""#),
            ("a\u{1b}b\u{7}\u{202e}c", r#""a\\u{1b}b\\u{7}\\u{202e}c""#),
            ("\u{1b}[31", r#""\\u{1b}[31""#),
            ("\u{1b}]0;open", r#""\\u{1b}]0;open""#),
            (" 10 %\r 20 %\r 30 %", r#"[[" 30 %",""],["redrawn 2×","redrawn"]]"#),
            ("dos\r", r#""dos""#),
        ];
        for (text, json) in cases {
            assert_eq!(shown(text), json, "{text:?}");
        }
        let cut = Line { bytes: vec![b'x', 0xff], cut: 7 };
        let json = serde_json::to_string(&LogLine::from(&cut)).unwrap();
        assert_eq!(json, "[[\"x\u{fffd}\",\"\"],[\"… 7 more bytes\",\"cut\"]]");
    }

    proptest! {
        #[test]
        fn no_control_is_left(text in "[\u{1b}\\[\\]0-9;:mKé\u{7}\u{9b}\r\\\\ a]{0,40}") {
            let line = Line { bytes: text.into_bytes(), cut: 0 };
            let texts = match LogLine::from(&line) {
                LogLine::Plain(text) => text,
                LogLine::Styled(pieces) => pieces.into_iter().map(|(text, _)| text).collect(),
            };
            prop_assert!(!texts.chars().any(|c| c.is_control() && c != '\t'), "{texts:?}");
        }
    }
}
