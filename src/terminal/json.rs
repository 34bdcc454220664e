//! Writes events as JSON lines, for programs that follow a run.

use std::io::Write;

use crate::escape;
use crate::event::{Event, Subscriber};

/// Version of the stream format, which `docs/reference/events.md` describes.
const VERSION: u64 = 1;

/// Writes each event when it happens and flushes, so that a reader of a pipe never lags behind.
///
/// JSON has no NaN and no infinities: such values are `null`.
#[derive(Debug)]
pub struct JsonLines<W> {
    /// `None` once the reader has closed the pipe; the run continues without it.
    out: Option<W>,
    header: Header,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    Pending,
    Written,
}

impl<W: Write> JsonLines<W> {
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines { out: Some(out), header: Header::Pending }
    }
}

impl<W: Write> Subscriber for JsonLines<W> {
    fn on_event(&mut self, event: &Event) {
        // The stream has whole lines only.
        if !matches!(event, Event::Redrawn { .. }) {
            self.write(event);
        }
    }
}

impl<W: Write> JsonLines<W> {
    /// Writes an event, after the header of the stream.
    pub(super) fn write(&mut self, event: &impl serde::Serialize) {
        if std::mem::replace(&mut self.header, Header::Written) == Header::Pending {
            self.line(&serde_json::json!({ "event": "stream_started", "version": VERSION }));
        }
        self.line(event);
    }

    fn line(&mut self, value: &impl serde::Serialize) {
        let Some(out) = &mut self.out else { return };
        // One write per line, so that lines of another writer to the same stream do not interleave.
        let written = serde_json::to_string(value).map_err(std::io::Error::from).and_then(|line| {
            out.write_all(format!("{}\n", escape::json(&line)).as_bytes())?;
            out.flush()
        });
        if written.is_err() {
            self.out = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;
    use crate::terminal::fixtures;

    #[test]
    fn one_event_per_line() {
        let mut bytes = Vec::new();
        let mut lines = JsonLines::new(&mut bytes);
        fixtures::failing_run().iter().for_each(|event| lines.on_event(event));
        let text = String::from_utf8(bytes).unwrap();
        let names: Vec<String> = text
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["event"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(names.len(), 1 + fixtures::failing_run().len());
        assert_eq!(names[..3], ["stream_started", "run_started", "stage_started"]);
        assert_eq!(
            text.lines().nth(2).unwrap(),
            concat!(
                r#"{"event":"stage_started","stage":"download","at":0,"work":"restore","#,
                r#""reasons":[{"change":"never_ran"}]}"#
            )
        );
    }

    #[test]
    fn outcome_json() {
        let json = |outcome| {
            let mut bytes = Vec::new();
            JsonLines::new(&mut bytes).on_event(&fixtures::ended("train", outcome, 5));
            String::from_utf8(bytes).unwrap().lines().nth(1).unwrap().to_owned()
        };
        let line = |outcome: &str| {
            let start = r#"{"event":"stage_ended","stage":"train","at":0,"outcome":"#;
            format!(r#"{start}{outcome},"took":5,"outs":{{}}}}"#)
        };
        assert_eq!(json(Outcome::Ran), line(r#""ran""#));
        let skipped = Outcome::Skipped { because: fixtures::stage("x"), is_needed: true };
        assert_eq!(json(skipped), line(r#""skipped","because":"x""#));
        let failure = r#""failure":{"what":"exited with code 1","causes":[],"hint":null}"#;
        assert_eq!(json(fixtures::exited()), line(&format!(r#""failed",{failure}"#)));
    }

    #[test]
    fn closed_pipe_is_ignored() {
        let mut short = [0; 10];
        let mut lines = JsonLines::new(&mut short[..]);
        fixtures::failing_run().iter().for_each(|event| lines.on_event(event));
        assert!(lines.out.is_none());
    }
}
