//! Lines at the bottom of a terminal that are drawn anew again and again, below lines that stay.
//! Knows nothing of runs and stages.
//!
//! The cursor rests at the start of an empty line below what was drawn. What the terminal itself echoes
//! there, such as `^C`, is wiped by the next drawing, and moves nothing.

use std::fmt;
use std::io::Write;

use anstream::ColorChoice;

/// Columns and rows.
pub(super) type Size = (usize, usize);

/// Draws nothing and only writes what stays when there is no size.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    size: fn() -> Option<Size>,
    colour: ColorChoice,
    /// How many lines are drawn now.
    drawn: usize,
}

/// Together they keep a drawing from being seen half done and from wrapping where widths were counted
/// wrongly.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";

impl Screen {
    pub(super) fn stderr() -> Screen {
        let colour = anstream::AutoStream::choice(&std::io::stderr());
        Screen::new(Box::new(std::io::stderr()), stderr_size, colour)
    }

    pub(super) fn new(
        out: Box<dyn Write + Send>,
        size: fn() -> Option<Size>,
        colour: ColorChoice,
    ) -> Screen {
        Screen { out, size, colour, drawn: 0 }
    }

    /// Writes `text`, whole lines, to stay, and draws `lines` below it in place of those drawn before.
    pub(super) fn draw(&mut self, text: &str, lines: &[String]) {
        let Some((columns, rows)) = (self.size)() else {
            self.send(text);
            return;
        };
        // Each line goes over the one that was there. To clear them all at once would flicker, and some
        // terminals keep a screen that is cleared in their history. In a window that has become narrower the
        // old lines may have been wrapped and some of them are left over: that is better than to go up too
        // far, over lines that stay.
        let mut frame = match self.drawn {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A"),
        };
        text.lines().for_each(|line| frame.push_str(&over_what_was_there(line, columns)));
        let lines = fitting(lines, rows);
        if !lines.is_empty() {
            frame.push_str(BEGIN);
            lines
                .iter()
                .for_each(|line| frame.push_str(&format!("\x1b[K{}\n", cut(line, columns).0)));
            frame.push_str(END);
        }
        if self.drawn > 0 {
            frame.push_str("\x1b[J");
        }
        self.drawn = lines.len();
        self.send(&frame);
    }

    /// One write, so that nothing of another writer falls in between. A terminal that has gone away has
    /// nobody to tell.
    fn send(&mut self, frame: &str) {
        let frame = match self.colour {
            ColorChoice::Never => uncoloured(frame),
            _ => frame.to_owned(),
        };
        let _ = self.out.write_all(frame.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("drawn", &self.drawn).finish_non_exhaustive()
    }
}

/// A line that may wrap. Its last row is cleared behind it, unless it is full: then that would take its last
/// character.
fn over_what_was_there(line: &str, columns: usize) -> String {
    let full = cut(line, usize::MAX).1.is_multiple_of(columns.max(1));
    let rest = if full { "" } else { "\x1b[K" };
    format!("\x1b[K{line}{rest}\n")
}

fn stderr_size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    // Some serial lines and containers have a terminal without a size.
    (size.ws_col > 0 && size.ws_row > 0)
        .then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// The lines that a window of that height has room for. The last one, which sums up, is always among them.
fn fitting(lines: &[String], rows: usize) -> Vec<String> {
    let room = rows.saturating_sub(1).max(1);
    match lines.split_last() {
        Some((last, others)) if lines.len() > room => {
            let shown = room.saturating_sub(2);
            let mut fitting = others[..shown].to_vec();
            if room > 1 {
                fitting.push(format!("  and {} more", others.len() - shown));
            }
            fitting.push(last.clone());
            fitting
        }
        _ => lines.to_vec(),
    }
}

/// The part of a styled line that fits into so many columns, and how many it takes. Styles beyond it are
/// kept: they end what began before.
fn cut(line: &str, columns: usize) -> (String, usize) {
    let mut shown = String::new();
    let mut width = 0;
    let mut full = false;
    let mut in_escape = false;
    for c in line.chars() {
        if in_escape || c == '\x1b' {
            in_escape = c == '\x1b' || !c.is_ascii_alphabetic();
            shown.push(c);
            continue;
        }
        full = full || width + columns_of(c) > columns;
        if !full {
            width += columns_of(c);
            shown.push(c);
        }
    }
    (shown, width)
}

/// How wide a terminal draws a character: marks that combine have no width, East Asian characters and emoji
/// have two columns (the blocks of Unicode's EastAsianWidth.txt, coarsely). Where that is wrong, a line is
/// cut a little early or late.
fn columns_of(c: char) -> usize {
    match u32::from(c) {
        0x300..=0x36f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f => {
            2
        }
        0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Takes styles (`ESC [ … m`) away and leaves the codes that move the cursor.
fn uncoloured(frame: &str) -> String {
    let mut pieces = frame.split("\x1b[");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match piece.find(|c: char| c.is_ascii_alphabetic()) {
            Some(end) if piece[end..].starts_with('m') => text.push_str(&piece[end + 1..]),
            _ => text.push_str(&format!("\x1b[{piece}")),
        }
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::{Arc, Mutex};

    /// A stream that can be read while it is written.
    #[derive(Clone, Default)]
    pub(in crate::terminal) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Paper {
        pub(in crate::terminal) fn raw(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        /// What a terminal without an end shows: it understands the codes that are used here and no others.
        pub(in crate::terminal) fn seen(&self) -> String {
            let raw = self.raw();
            let (mut rows, mut row, mut column): (Vec<Vec<char>>, usize, usize) =
                (vec![vec![]], 0, 0);
            let mut chars = raw.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\n' => (row, column) = (row + 1, 0),
                    '\r' => column = 0,
                    '\x1b' => {
                        let code = code(&mut chars);
                        match code.split_at(code.len() - 1) {
                            (up, "A") => row -= up.parse::<usize>().unwrap(),
                            ("", "J") => {
                                rows.truncate(row + 1);
                                rows[row].truncate(column);
                            }
                            ("", "K") => rows[row].truncate(column),
                            (_, "m") | ("?7" | "?2026", "l" | "h") => {}
                            _ => panic!("{code:?}"),
                        }
                    }
                    c => {
                        let width = rows[row].len().max(column + 1);
                        rows[row].resize(width, ' ');
                        rows[row][column] = c;
                        column += 1;
                    }
                }
                rows.resize(rows.len().max(row + 1), vec![]);
            }
            rows.iter().map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
        }
    }

    /// What stands between `ESC [` and the letter that ends a code, and that letter.
    fn code(chars: &mut impl Iterator<Item = char>) -> String {
        let mut code = String::new();
        for c in chars.skip(1) {
            code.push(c);
            if c.is_ascii_alphabetic() {
                break;
            }
        }
        code
    }

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn lines_that_stay_stand_above_the_drawn_ones() {
        let paper = Paper::default();
        let mut screen =
            Screen::new(Box::new(paper.clone()), || Some((20, 10)), ColorChoice::Never);
        screen.draw("", &lines(&["one", "two"]));
        assert_eq!(paper.seen(), "one\ntwo\n");
        screen.draw("kept\n", &lines(&["\x1b[1mone again\x1b[0m, longer than that"]));
        assert_eq!(paper.seen(), "kept\none again, longer th\n");
        screen.draw("kept, too\nfull to the last one\n", &[]);
        assert_eq!(paper.seen(), "kept\nkept, too\nfull to the last one\n");
        assert!(!paper.raw().contains("\x1b[1m"));
    }

    #[test]
    fn a_line_is_cut_by_what_is_seen_of_it() {
        assert_eq!(cut("\x1b[2mabc\x1b[0mdef", 4), ("\x1b[2mabc\x1b[0md".into(), 4));
        assert_eq!(cut("\x1b[2mabcdef\x1b[0m", 4), ("\x1b[2mabcd\x1b[0m".into(), 4));
        assert_eq!(cut("日本語", 5), ("日本".into(), 4));
        assert_eq!(cut("e\u{301}a", 2), ("e\u{301}a".into(), 2));
        assert_eq!(cut("", 5), (String::new(), 0));
    }

    #[test]
    fn a_low_window_shows_some_and_the_last() {
        let many = lines(&["a", "b", "c", "d", "sum"]);
        assert_eq!(fitting(&many, 6), many);
        assert_eq!(fitting(&many, 5), lines(&["a", "b", "  and 2 more", "sum"]));
        assert_eq!(fitting(&many, 2), lines(&["sum"]));
        assert_eq!(fitting(&many, 0), lines(&["sum"]));
    }

    /// A text to stay and lines to draw, some wider than the window and more than it has room for.
    fn steps() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
        let drawn = proptest::collection::vec("[a-z ]{0,30}", 0..15);
        proptest::collection::vec(("[a-z]{0,3}", drawn), 0..12)
    }

    proptest! {
        /// What is seen is what was to stay, below it what was drawn last, and nothing that was drawn before.
        #[test]
        fn nothing_drawn_is_left_behind(steps in steps()) {
            let paper = Paper::default();
            let mut screen = Screen::new(Box::new(paper.clone()), || Some((20, 10)), ColorChoice::Always);
            let mut kept = String::new();
            for (text, drawn) in &steps {
                let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
                kept.push_str(&text);
                screen.draw(&text, drawn);
                let shown: String = fitting(drawn, 10).iter().map(|line| format!("{}\n", cut(line, 20).0)).collect();
                prop_assert_eq!(paper.seen(), format!("{kept}{shown}"));
            }
            screen.draw("", &[]);
            prop_assert_eq!(paper.seen(), kept);
        }
    }
}
