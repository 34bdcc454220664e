//! How people see it: live progress, plain lines, JSON lines, tables. Listens to events and renders values;
//! decides nothing.

pub mod graph;
pub mod json;
pub mod live;
mod wording;
pub mod plain;
pub mod read_progress;
mod row;
#[cfg(test)]
mod fixtures;
mod screen;
pub mod size;
pub mod stdout;
pub mod style;
pub mod summary;
pub mod table;

use std::io::IsTerminal as _;

use crate::error::Error;
use crate::event::Subscriber;

/// Who shows a run.
#[derive(Debug)]
pub enum Reporter {
    Live(live::Live),
    Plain(plain::Plain),
    Json(json::JsonLines<std::io::Stdout>),
}

impl Reporter {
    /// Live on a terminal, plain lines elsewhere, JSON when asked.
    pub fn choose(json: bool, stages: &[crate::pipeline::StageName]) -> Reporter {
        if json {
            return Reporter::Json(json::JsonLines::new(std::io::stdout()));
        }
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if std::io::stderr().is_terminal() && !dumb {
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

    /// Leaves the terminal as it was.
    pub fn close(self) {
        if let Reporter::Live(live) = self {
            live.close();
        }
    }
}

/// `error: …`, its causes and its hint, as lines.
pub fn error_text(what: &str, causes: &[String], hint: Option<&str>) -> String {
    let label = format!("{}error{:#}", style::ERROR, style::ERROR);
    labelled(&label, what, causes, hint)
}

fn labelled(label: &str, what: &str, causes: &[String], hint: Option<&str>) -> String {
    use std::fmt::Write as _;
    let mut text = format!("{label}: {what}\n");
    for cause in causes {
        let _ = writeln!(text, "  caused by: {cause}");
    }
    if let Some(hint) = hint {
        let _ = writeln!(text, "  {}hint{:#}: {hint}", style::HINT, style::HINT);
    }
    text
}

pub fn warn(text: &str) {
    tell(&labelled(&warning(), text, &[], None));
}

/// An error that stopped nothing.
pub fn warn_of(error: &Error) {
    tell(&labelled(&warning(), &error.what, &error.causes, error.hint.as_deref()));
}

fn warning() -> String {
    format!("{}warning{:#}", style::WARNING, style::WARNING)
}

/// What goes on beside the work.
pub fn note(text: &str) {
    tell(&format!("{}{text}{:#}\n", style::DIM, style::DIM));
}

/// Writes to stderr. Where that cannot be written there is nobody to tell.
pub fn tell(text: &str) {
    use std::io::Write as _;
    let _ = anstream::stderr().lock().write_all(text.as_bytes());
}
