//! Redraws lines at the bottom of a terminal, below lines that stay.
//! Does not know about runs and stages.
//!
//! The cursor rests at the start of an empty line below the drawn ones. Anything the terminal
//! echoes there, such as `^C`, is overwritten by the next drawing and moves nothing.

use std::fmt;
use std::io::Write;

use anstream::ColorChoice;

use super::text::{prefix, width};

/// Columns and rows.
pub(super) type Size = (usize, usize);

/// The drawing area. Without a size it draws nothing and only writes the lines that stay.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    size: fn() -> Option<Size>,
    colour: ColorChoice,
    /// Number of lines drawn now.
    drawn: usize,
}

/// Start of a drawing. With [`END`] it prevents half-done drawings from being seen, and wrapping
/// where a width was miscounted.
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

    /// Writes the whole lines of `text` to stay, and draws `lines` below in place of the former
    /// ones.
    pub(super) fn draw(&mut self, text: &str, lines: &[String]) {
        let Some((columns, rows)) = (self.size)() else {
            self.send(text);
            return;
        };
        // Each line overwrites the former one. Clearing all at once would flicker, and some
        // terminals keep a cleared screen in their history. In a window that became narrower,
        // former lines may have wrapped and leave remains: better than moving up too far, over
        // lines that stay.
        let mut frame = match self.drawn {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A"),
        };
        text.lines().for_each(|line| frame.push_str(&overwriting(line, columns)));
        let lines = fitting(lines, rows);
        if !lines.is_empty() {
            frame.push_str(BEGIN);
            lines
                .iter()
                .for_each(|line| frame.push_str(&format!("\x1b[K{}\n", prefix(line, columns).0)));
            frame.push_str(END);
        }
        if self.drawn > 0 {
            frame.push_str("\x1b[J");
        }
        self.drawn = lines.len();
        self.send(&frame);
    }

    /// Writes the frame in one call, so that no other writer interleaves. Errors are ignored: the
    /// terminal is gone, and nobody is left to read a message.
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

/// Returns the codes that write a line, which may wrap, over a former one.
///
/// The rest of its last row is cleared, unless the row is full: clearing would take its last
/// character.
fn overwriting(line: &str, columns: usize) -> String {
    let full = width(line).is_multiple_of(columns.max(1));
    let rest = if full { "" } else { "\x1b[K" };
    format!("\x1b[K{line}{rest}\n")
}

fn stderr_size() -> Option<Size> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    // On some serial lines and in some containers the terminal has no size.
    (size.ws_col > 0 && size.ws_row > 0)
        .then_some((usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Returns the lines that fit into `rows`. The last one, the summary, is always included.
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

/// Removes styles (`ESC [ … m`) and keeps the codes that move the cursor.
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

    /// A stream that can be read while it is being written.
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

        /// Returns the text that an endless terminal shows. It panics on codes not used here.
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

    /// Returns the rest of an escape code, after `ESC [` and including its final letter.
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
    fn kept_lines_above_drawn_lines() {
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
    fn low_window_keeps_summary() {
        let many = lines(&["a", "b", "c", "d", "sum"]);
        assert_eq!(fitting(&many, 6), many);
        assert_eq!(fitting(&many, 5), lines(&["a", "b", "  and 2 more", "sum"]));
        assert_eq!(fitting(&many, 2), lines(&["sum"]));
        assert_eq!(fitting(&many, 0), lines(&["sum"]));
    }

    /// Texts that stay and lines to draw, some too wide for the window, some too many.
    fn steps() -> impl Strategy<Value = Vec<(String, Vec<String>)>> {
        let drawn = proptest::collection::vec("[a-z ]{0,30}", 0..15);
        proptest::collection::vec(("[a-z]{0,3}", drawn), 0..12)
    }

    proptest! {
        /// The terminal shows the kept lines, the latest drawing below them, and nothing else.
        #[test]
        fn former_drawing_is_overwritten(steps in steps()) {
            let paper = Paper::default();
            let size = || Some((20, 10));
            let mut screen = Screen::new(Box::new(paper.clone()), size, ColorChoice::Always);
            let mut kept = String::new();
            for (text, drawn) in &steps {
                let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
                kept.push_str(&text);
                screen.draw(&text, drawn);
                let shown: String = fitting(drawn, 10)
                    .iter()
                    .map(|line| format!("{}\n", prefix(line, 20).0))
                    .collect();
                prop_assert_eq!(paper.seen(), format!("{kept}{shown}"));
            }
            screen.draw("", &[]);
            prop_assert_eq!(paper.seen(), kept);
        }
    }
}
