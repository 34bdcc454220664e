//! Output: live progress, plain lines, JSON lines, tables. Subscribes to events and renders values;
//! decides nothing.

#[cfg(test)]
mod fixtures;
pub mod graph;
pub mod json;
pub mod live;
pub mod number;
pub mod plain;
pub mod read_progress;
mod row;
mod screen;
pub mod size;
pub mod stdout;
pub mod style;
pub mod summary;
pub mod sweep;
pub mod table;
pub mod text;
#[cfg(feature = "remote")]
pub mod transfer;
pub mod wording;

use std::io::IsTerminal as _;

use crate::error::Error;
use crate::escape;
use crate::event::Subscriber;
use crate::pipeline::StageName;

/// Format in which a command reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: a live display on a terminal, else plain lines.
    Text,
    /// Plain lines, also on a terminal.
    Plain,
    Json,
}

/// The display of a run.
#[derive(Debug)]
pub enum Reporter {
    Live(live::Live),
    Plain(plain::Plain),
    Json(json::JsonLines<std::io::Stdout>),
}

impl Reporter {
    /// Chooses the display; `stages` are those that the run selected.
    pub fn choose(format: Format, stages: &[StageName]) -> Reporter {
        if format == Format::Json {
            return Reporter::Json(json::JsonLines::new(std::io::stdout()));
        }
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if format == Format::Text && std::io::stderr().is_terminal() && !dumb {
            Reporter::Live(live::Live::new(stages))
        } else {
            Reporter::Plain(plain::Plain::stderr())
        }
    }

    pub fn subscriber(&mut self) -> &mut dyn Subscriber {
        match self {
            Reporter::Live(live) => live,
            Reporter::Plain(plain) => plain,
            Reporter::Json(json) => json,
        }
    }

    /// Returns a function for another thread that removes the live display.
    pub fn eraser(&self) -> Box<dyn Fn() + Send> {
        match self {
            Reporter::Live(live) => Box::new(live.eraser()),
            Reporter::Plain(_) | Reporter::Json(_) => Box::new(|| ()),
        }
    }

    /// Removes the live display from the terminal.
    pub fn close(self) {
        if let Reporter::Live(live) = self {
            live.close();
        }
    }
}

/// Returns `error: …`, its causes and its hint as lines.
pub fn error_text(what: &str, causes: &[String], hint: Option<&str>) -> String {
    let label = format!("{}error{:#}", style::ERROR, style::ERROR);
    labelled(&label, what, causes, hint)
}

fn labelled(label: &str, what: &str, causes: &[String], hint: Option<&str>) -> String {
    use std::fmt::Write as _;
    // A line feed in a name must not begin a line that looks like one of ours.
    let one_line = escape::on_one_line;
    let mut text = format!("{label}: {}\n", one_line(what));
    for cause in causes {
        let _ = writeln!(text, "  caused by: {}", one_line(cause));
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  {}hint{:#}: {}", style::HINT, style::HINT, one_line(hint));
    }
    text
}

pub fn warn(text: &str) {
    eprint(&labelled(&warning(), text, &[], None));
}

/// Shows an error that does not stop the command as a warning.
pub fn warn_of(error: &Error) {
    eprint(&labelled(&warning(), &error.what, &error.causes, error.hint.as_deref()));
}

fn warning() -> String {
    format!("{}warning{:#}", style::WARNING, style::WARNING)
}

/// Writes a dimmed remark to stderr.
pub fn note(text: &str) {
    eprint(&format!("{}{text}{:#}\n", style::DIM, style::DIM));
}

/// Writes to stderr. Errors are ignored: there is no other place to report them.
pub fn eprint(text: &str) {
    use std::io::Write as _;
    let _ = anstream::stderr().lock().write_all(escape::for_terminal(text).as_bytes());
}
