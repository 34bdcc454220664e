//! Events as JSON, one a line, for programs that follow a run. Knows nothing of how people see it.

use std::io::Write;

use crate::event::{Event, Subscriber};

/// The version of the stream: `docs/reference/events.md`.
const VERSION: u64 = 1;

/// Writes each event as it happens and flushes, so that a reader of a pipe is never behind.
/// JSON has no NaN and no infinity: such values are `null`.
#[derive(Debug)]
pub struct JsonLines<W> {
    /// Gone once the reader has hung up: the run goes on without it.
    out: Option<W>,
    beginning: Beginning,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Due,
    Written,
}

impl<W: Write> JsonLines<W> {
    pub fn new(out: W) -> JsonLines<W> {
        JsonLines { out: Some(out), beginning: Beginning::Due }
    }
}

impl<W: Write> Subscriber for JsonLines<W> {
    fn on_event(&mut self, event: &Event) {
        if std::mem::replace(&mut self.beginning, Beginning::Written) == Beginning::Due {
            self.line(&serde_json::json!({ "event": "stream_started", "version": VERSION }));
        }
        self.line(event);
    }
}

impl<W: Write> JsonLines<W> {
    fn line(&mut self, value: &impl serde::Serialize) {
        let Some(out) = &mut self.out else { return };
        // One write a line: lines of another writer to the same stream cannot fall in between.
        let written =
            serde_json::to_vec(value).map_err(std::io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                out.write_all(&line)?;
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
    fn one_event_a_line() {
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
        insta::assert_snapshot!(text.lines().nth(2).unwrap(), @r#"{"event":"stage_started","stage":"download","at":0,"work":"restore","reasons":[{"change":"never_ran"}]}"#);
    }

    #[test]
    fn an_outcome_is_a_word_with_its_details_beside_it() {
        let told = |outcome| {
            let mut bytes = Vec::new();
            JsonLines::new(&mut bytes).on_event(&fixtures::ended("train", outcome, 5));
            String::from_utf8(bytes).unwrap().lines().nth(1).unwrap().to_owned()
        };
        insta::assert_snapshot!(told(Outcome::Ran), @r#"{"event":"stage_ended","stage":"train","at":0,"outcome":"ran","took":5,"outs":{}}"#);
        insta::assert_snapshot!(told(Outcome::Skipped { because: fixtures::stage("x") }), @r#"{"event":"stage_ended","stage":"train","at":0,"outcome":"skipped","because":"x","took":5,"outs":{}}"#);
        insta::assert_snapshot!(told(fixtures::exited()), @r#"{"event":"stage_ended","stage":"train","at":0,"outcome":"failed","failure":{"what":"exited with code 1","causes":[],"hint":null},"took":5,"outs":{}}"#);
    }

    #[test]
    fn a_reader_that_hung_up_stops_nothing() {
        let mut short = [0; 10];
        let mut lines = JsonLines::new(&mut short[..]);
        fixtures::failing_run().iter().for_each(|event| lines.on_event(event));
        assert!(lines.out.is_none());
    }
}
