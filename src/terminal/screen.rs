//! Redraws lines at the bottom of a terminal, below lines that stay.
//! Does not know about runs and stages.
//!
//! The cursor rests at the start of an empty line below the drawn ones. Anything the terminal
//! echoes there, such as `^C`, is overwritten by the next drawing and moves nothing.

use std::fmt;
use std::io::Write;

use anstream::ColorChoice;

use super::text::{truncate, width};
use crate::escape::{on_one_line, safe, with_ansi};

/// Columns and rows.
pub(super) type Size = (usize, usize);

/// The drawing area. Without a size it draws nothing and only writes the lines that stay.
pub(super) struct Screen {
    out: Box<dyn Write + Send>,
    size: fn() -> Option<Size>,
    color: ColorChoice,
    /// Widths of the lines drawn now, in columns.
    drawn: Vec<usize>,
}

/// Start of a drawing. With [`END`] it prevents half-done drawings from being seen, and wrapping
/// where a width was miscounted.
const BEGIN: &str = "\x1b[?2026h\x1b[?7l";
const END: &str = "\x1b[?7h\x1b[?2026l";

impl Screen {
    pub(super) fn stderr() -> Screen {
        let color = anstream::AutoStream::choice(&std::io::stderr());
        Screen::new(Box::new(std::io::stderr()), stderr_size, color)
    }

    pub(super) fn new(
        out: Box<dyn Write + Send>,
        size: fn() -> Option<Size>,
        color: ColorChoice,
    ) -> Screen {
        Screen { out, size, color, drawn: Vec::new() }
    }

    /// Writes the whole lines of `text` to stay, and draws `lines` below in place of the former
    /// ones.
    pub(super) fn draw(&mut self, text: &str, lines: &[String]) {
        let Some((columns, rows)) = (self.size)() else {
            self.send(&safe(text));
            return;
        };
        // Each line overwrites the former one. Clearing all at once would flicker, and some
        // terminals keep a cleared screen in their history. In a window that became narrower, most
        // terminals wrap the former lines; a terminal that cuts them
        // instead loses a row above.
        let rows_of = |wide: &usize| wide.div_ceil(columns.max(1)).max(1);
        let mut frame = match self.drawn.iter().map(rows_of).sum::<usize>() {
            0 => String::new(),
            above => format!("\r\x1b[{}A", above.min(rows)),
        };
        safe(text).lines().for_each(|line| frame.push_str(&overwriting(line, columns)));
        let lines: Vec<String> =
            fitting(lines, rows).iter().map(|line| truncate(&on_one_line(line), columns)).collect();
        if !lines.is_empty() {
            frame.push_str(BEGIN);
            lines.iter().for_each(|line| frame.push_str(&format!("\x1b[K{line}\n")));
            frame.push_str(END);
        }
        if !self.drawn.is_empty() {
            frame.push_str("\x1b[J");
        }
        self.drawn = lines.iter().map(|line| width(line)).collect();
        self.send(&frame);
    }

    /// Writes the frame in one call, so that no other writer interleaves. Errors are ignored: the
    /// terminal is gone, and nobody is left to read a message.
    fn send(&mut self, frame: &str) {
        let frame = match self.color {
            ColorChoice::Never => without_styles(&with_ansi(frame)),
            _ => with_ansi(frame),
        };
        let _ = self.out.write_all(frame.as_bytes()).and_then(|()| self.out.flush());
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("drawn", &self.drawn.len()).finish_non_exhaustive()
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
fn without_styles(frame: &str) -> String {
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
mod tests {
    use super::*;
    use crate::terminal::fixtures::TestTerminal;
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn kept_lines_above_drawn_lines() {
        let terminal = TestTerminal::default();
        let mut screen =
            Screen::new(Box::new(terminal.clone()), || Some((20, 10)), ColorChoice::Never);
        screen.draw("", &lines(&["one", "two"]));
        assert_eq!(terminal.seen(), "one\ntwo\n");
        screen.draw("kept\n", &lines(&["\u{fdd0}[1mone again\u{fdd0}[0m, longer than that"]));
        assert_eq!(terminal.seen(), "kept\none again, longer t…\n");
        screen.draw("kept, too\nfull to the last one\n", &[]);
        assert_eq!(terminal.seen(), "kept\nkept, too\nfull to the last one\n");
        assert!(!terminal.raw().contains("\x1b[1m"));
    }

    #[test]
    fn low_window_keeps_summary() {
        let many = lines(&["a", "b", "c", "d", "sum"]);
        assert_eq!(fitting(&many, 6), many);
        assert_eq!(fitting(&many, 5), lines(&["a", "b", "  and 2 more", "sum"]));
        assert_eq!(fitting(&many, 2), lines(&["sum"]));
        assert_eq!(fitting(&many, 0), lines(&["sum"]));
    }

    #[test]
    fn narrower_window() {
        let columns = || Some((COLUMNS.load(Ordering::Relaxed), 10));
        static COLUMNS: AtomicUsize = AtomicUsize::new(20);
        let terminal = TestTerminal::default();
        let mut screen = Screen::new(Box::new(terminal.clone()), columns, ColorChoice::Never);
        screen.draw("", &lines(&["fifteen columns", "five!"]));
        COLUMNS.store(10, Ordering::Relaxed);
        let before = terminal.raw().len();
        screen.draw("", &lines(&["x"]));
        // The first line now takes two rows.
        assert!(terminal.raw()[before..].starts_with("\r\x1b[3A"), "{:?}", terminal.raw());
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
            let terminal = TestTerminal::default();
            let size = || Some((20, 10));
            let mut screen = Screen::new(Box::new(terminal.clone()), size, ColorChoice::Always);
            let mut kept = String::new();
            for (text, drawn) in &steps {
                let text = if text.is_empty() { String::new() } else { format!("{text}\n") };
                kept.push_str(&text);
                screen.draw(&text, drawn);
                let shown: String = fitting(drawn, 10)
                    .iter()
                    .map(|line| format!("{}\n", truncate(line, 20)))
                    .collect();
                prop_assert_eq!(terminal.seen(), format!("{kept}{shown}"));
            }
            screen.draw("", &[]);
            prop_assert_eq!(terminal.seen(), kept);
        }
    }
}
