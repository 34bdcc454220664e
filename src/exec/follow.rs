//! Reads the output of a running stage as it grows: its log, line by line, and its event file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::process::Halt;
use crate::data;
use crate::event::ChangedDep;
use crate::number::Number;
use crate::regular_file;

/// A message from a stage's process or about it.
#[derive(Debug, Clone, PartialEq)]
pub enum StageMessage {
    Line(String),
    /// The present text of a line that the process redraws, such as a progress bar.
    Redrawn(String),
    /// Lines were skipped because they came faster than they were read; the log keeps them.
    Skipped,
    Metric {
        key: String,
        step: u64,
        value: Number,
    },
    Progress {
        done: u64,
        total: u64,
    },
    /// Bytes of a download so far. Not from the process, like a warning.
    Transferred {
        done: u64,
        total: Option<u64>,
    },
    Artifact(String),
    /// The outs of an item are complete.
    Item(String),
    /// Files of a dep changed while the process runs. Not from the process, like a warning.
    DepChanged(ChangedDep),
    /// A warning of this program, not of the process.
    Warning(String),
    /// A line of the event file that is not an event.
    Malformed(String),
    /// The process is suspended by a signal.
    Halted(Halt),
}

/// Follows the log and the event file of one stage.
#[derive(Debug)]
pub struct Follower {
    log: Tail,
    events: Tail,
}

/// Availability of more data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum More {
    Now,
    Later,
}

impl More {
    fn or(self, other: More) -> More {
        if self == More::Now { self } else { other }
    }
}

impl Follower {
    pub fn new(log: &Path, events: &Path) -> Follower {
        Follower { log: Tail::new(log, OnLag::Skip), events: Tail::new(events, OnLag::KeepReading) }
    }

    /// Returns the complete lines written since the last call, from at most one chunk per file.
    pub fn poll(&mut self) -> (Vec<StageMessage>, More) {
        let (lines, log) = self.log.lines(u64::MAX);
        let (events, more) = self.events.lines(u64::MAX);
        let mut messages = messages(lines, events);
        if log == More::Later {
            messages.extend(self.log.redrawn().map(StageMessage::Redrawn));
        }
        (messages, log.or(more))
    }

    /// Delivers the rest in chunks after the process has ended, including a last line without a
    /// newline.
    ///
    /// Stops at the current end of the files: a background job may go on writing.
    pub fn drain(&mut self, mut deliver: impl FnMut(Vec<StageMessage>)) {
        let (log_end, events_end) = (self.log.end(), self.events.end());
        loop {
            let (lines, log) = self.log.lines(log_end);
            let (events, more) = self.events.lines(events_end);
            deliver(messages(lines, events));
            if log.or(more) == More::Later {
                break;
            }
        }
        let text = |last: Option<String>| last.into_iter().map(Entry::Text).collect();
        deliver(messages(text(self.log.take_partial()), text(self.events.take_partial())));
    }
}

fn messages(log: Vec<Entry>, events: Vec<Entry>) -> Vec<StageMessage> {
    let lines = log.into_iter().map(|entry| match entry {
        Entry::Text(line) => StageMessage::Line(line),
        Entry::Gap => StageMessage::Skipped,
    });
    let events = events.into_iter().filter_map(|entry| match entry {
        Entry::Text(line) => (!line.trim().is_empty()).then(|| parse(&line)),
        Entry::Gap => None,
    });
    lines.chain(events).collect()
}

pub(super) fn parse(line: &str) -> StageMessage {
    let json = data::quote_not_finite(line);
    // A list would be taken for the fields in their order.
    let is_object = json.trim_start().starts_with('{');
    let fields = serde_json::from_str(&json).ok().filter(|_| is_object);
    let event = fields.and_then(Fields::message);
    event.unwrap_or_else(|| StageMessage::Malformed(line.to_owned()))
}

/// The fields of an event. A stage may write a million: a map for each would take longer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(deserialize_with = "present")]
    metric: Option<Value>,
    #[serde(deserialize_with = "present")]
    value: Option<Value>,
    #[serde(deserialize_with = "present")]
    step: Option<Value>,
    #[serde(deserialize_with = "present")]
    progress: Option<Value>,
    #[serde(deserialize_with = "present")]
    total: Option<Value>,
    #[serde(deserialize_with = "present")]
    item: Option<Value>,
    #[serde(deserialize_with = "present")]
    artifact: Option<Value>,
}

/// Reads a field that is present, also as `null`.
fn present<'d, D: Deserializer<'d>>(from: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(from).map(Some)
}

impl Fields {
    fn message(self) -> Option<StageMessage> {
        if let Some(Value::String(key)) = self.metric {
            let value = number(&self.value?)?;
            return Some(StageMessage::Metric { key, step: count(self.step.as_ref())?, value });
        }
        if let Some(done) = self.progress {
            return Some(StageMessage::Progress {
                done: whole(&done)?,
                total: count(self.total.as_ref())?,
            });
        }
        match (self.item, self.artifact) {
            (Some(Value::String(path)), _) => Some(StageMessage::Item(path)),
            (_, Some(Value::String(path))) => Some(StageMessage::Artifact(path)),
            _ => None,
        }
    }
}

/// Reads an optional count, 0 by default; `None` if it is not a whole number.
fn count(value: Option<&Value>) -> Option<u64> {
    value.map_or(Some(0), whole)
}

/// Reads a whole number: `3`, or `3.0` as some languages write it.
fn whole(value: &Value) -> Option<u64> {
    // Above 2^53 a float no longer represents a single whole number.
    let exact =
        |number: &f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(exact).map(|number| number as u64))
}

/// Reads a metric's value. JSON has no NaN and no infinities: stages write `null`, or their names.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Null => Some(Number::NAN),
        Value::String(name) => data::not_finite(name).map(Number::from),
        Value::Number(number) => match number.as_i128() {
            Some(integer) => Some(Number::from(integer)),
            None => number.as_f64().map(Number::from),
        },
        _ => None,
    }
}

/// Reader of a growing text file.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<File>,
    on_lag: OnLag,
    /// Offset of the next byte to read.
    at: u64,
    /// Bytes of the current line, without a newline so far. What follows a carriage return
    /// replaces what came before it, as on a terminal.
    partial: Vec<u8>,
    /// The last byte was a carriage return, so the next text replaces the line.
    is_returned: bool,
    /// The current line has been redrawn, and its text was not returned since.
    is_redrawn: bool,
    /// The beginning of the current line was skipped, so the line is dropped.
    is_truncated: bool,
}

/// Behaviour when a file grows faster than it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnLag {
    /// Skip everything before the newest chunk.
    Skip,
    KeepReading,
}

#[derive(Debug, PartialEq)]
enum Entry {
    Text(String),
    /// Lines were skipped here.
    Gap,
}

/// Maximum bytes shown of a line; the file keeps all of it.
const MAX_LINE: usize = 64 << 10;
/// Bytes read at a time.
const CHUNK: u64 = 1 << 20;
/// Lag in bytes beyond which [`OnLag::Skip`] applies.
const MAX_LAG: u64 = 4 * CHUNK;

impl Tail {
    fn new(path: &Path, on_lag: OnLag) -> Tail {
        Tail {
            path: path.to_owned(),
            file: None,
            on_lag,
            at: 0,
            partial: Vec::new(),
            is_returned: false,
            is_redrawn: false,
            is_truncated: false,
        }
    }

    /// Returns the lines of the next chunk before offset `end`; none if the file is missing or
    /// unreadable.
    fn lines(&mut self, end: u64) -> (Vec<Entry>, More) {
        let mut lines = Vec::new();
        let end = end.min(self.end());
        if self.on_lag == OnLag::Skip && end.saturating_sub(self.at) > MAX_LAG {
            self.at = end - CHUNK;
            self.partial.clear();
            (self.is_returned, self.is_redrawn) = (false, false);
            self.is_truncated = true;
            lines.push(Entry::Gap);
        }
        let Some(bytes) = self.read_chunk(end) else { return (lines, More::Later) };
        self.at += bytes.len() as u64;
        for part in bytes.split_inclusive(|&byte| matches!(byte, b'\n' | b'\r')) {
            let text = part.strip_suffix(b"\n").or(part.strip_suffix(b"\r")).unwrap_or(part);
            if !text.is_empty() && std::mem::take(&mut self.is_returned) {
                self.partial.clear();
            }
            let room = MAX_LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&text[..text.len().min(room)]);
            if part.ends_with(b"\n") {
                lines.extend(self.take_line().map(Entry::Text));
            } else if part.ends_with(b"\r") {
                (self.is_returned, self.is_redrawn) = (true, true);
            }
        }
        let more = !bytes.is_empty() && self.at < end;
        (lines, if more { More::Now } else { More::Later })
    }

    fn read_chunk(&mut self, end: u64) -> Option<Vec<u8>> {
        let file = self.file.as_mut()?;
        file.seek(SeekFrom::Start(self.at)).ok()?;
        let mut bytes = Vec::new();
        file.take(CHUNK.min(end.saturating_sub(self.at))).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Returns the length of the file; 0 if it is missing.
    fn end(&mut self) -> u64 {
        if self.file.is_none() {
            // The stage may have put a FIFO or a link in its place.
            self.file = regular_file::open(&self.path).ok();
        }
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |file| file.len())
    }

    /// Returns the current line if it was redrawn since the last call.
    fn redrawn(&mut self) -> Option<String> {
        let is_redrawn = std::mem::take(&mut self.is_redrawn) && !self.is_truncated;
        is_redrawn.then(|| String::from_utf8_lossy(&self.partial).into_owned())
    }

    /// Takes a last line that has no newline; `None` if it is empty.
    fn take_partial(&mut self) -> Option<String> {
        self.take_line().filter(|line| !line.is_empty())
    }

    /// Takes the current line without its newline; `None` if its beginning was skipped.
    fn take_line(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.partial);
        (self.is_returned, self.is_redrawn) = (false, false);
        let is_whole = !std::mem::take(&mut self.is_truncated);
        is_whole.then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn parse_events() {
        let cases = [
            (
                r#"{"metric":"loss","step":3,"value":0.5}"#,
                StageMessage::Metric { key: "loss".into(), step: 3, value: 0.5.into() },
            ),
            (
                r#"{"metric":"loss","value":2}"#,
                StageMessage::Metric { key: "loss".into(), step: 0, value: 2.0.into() },
            ),
            (
                r#"{"metric":"loss","value":"Infinity"}"#,
                StageMessage::Metric { key: "loss".into(), step: 0, value: f64::INFINITY.into() },
            ),
            (
                r#"{"metric":"loss","value":-Infinity}"#,
                StageMessage::Metric {
                    key: "loss".into(),
                    step: 0,
                    value: f64::NEG_INFINITY.into(),
                },
            ),
            (
                r#"{"metric":"seen","value":9007199254740993}"#,
                StageMessage::Metric {
                    key: "seen".into(),
                    step: 0,
                    value: 9_007_199_254_740_993_i128.into(),
                },
            ),
            (
                r#" {"value":"-Infinity","metric":"loss","step":2.0,"by":[1,{"metric":5}]}"#,
                StageMessage::Metric {
                    key: "loss".into(),
                    step: 2,
                    value: f64::NEG_INFINITY.into(),
                },
            ),
            (r#"{"progress":3,"total":50}"#, StageMessage::Progress { done: 3, total: 50 }),
            (r#"{"metric":5,"item":null,"artifact":"a"}"#, StageMessage::Artifact("a".into())),
            (r#"{"artifact":"plots/x.png"}"#, StageMessage::Artifact("plots/x.png".into())),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected);
        }
        let nan = parse(r#"{"metric":"loss","value":null}"#);
        assert!(matches!(nan, StageMessage::Metric { value, .. } if value.is_nan()), "{nan:?}");
        for line in [
            "",
            "x",
            "{}",
            r#"{"metric":"loss"}"#,
            r#"{"metric":"loss","value":"x"}"#,
            "[1]",
            r#"["loss",0.5,3]"#,
            r#"{"metric":"loss","value":1,"step":-1}"#,
            "null",
        ] {
            assert_eq!(parse(line), StageMessage::Malformed(line.to_owned()));
        }
    }

    #[test]
    fn fractional_counts_are_malformed() {
        for step in ["-1", "1.5", "\"3\"", "null", "1e300", "[]"] {
            for line in [
                format!(r#"{{"metric":"loss","step":{step},"value":1}}"#),
                format!(r#"{{"progress":1,"total":{step}}}"#),
                format!(r#"{{"progress":{step},"total":9}}"#),
            ] {
                assert_eq!(parse(&line), StageMessage::Malformed(line.clone()));
            }
        }
        let whole = parse(r#"{"metric":"loss","step":3.0,"value":1}"#);
        assert_eq!(whole, StageMessage::Metric { key: "loss".into(), step: 3, value: 1.0.into() });
    }

    fn texts(tail: &mut Tail) -> Vec<String> {
        let text = |entry| match entry {
            Entry::Text(text) => text,
            Entry::Gap => panic!("a gap"),
        };
        tail.lines(u64::MAX).0.into_iter().map(text).collect()
    }

    #[test]
    fn tail_returns_complete_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(&path, OnLag::Skip);
        assert!(texts(&mut tail).is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(texts(&mut tail), ["one"]);
        file.write_all(b"o\r\n\xff\n").unwrap();
        assert_eq!(texts(&mut tail), ["two", "\u{fffd}"]);
        file.write_all(b"end").unwrap();
        assert!(texts(&mut tail).is_empty());
        assert_eq!(tail.take_partial().as_deref(), Some("end"));
        file.write_all(&vec![b'x'; 2 * MAX_LINE]).unwrap();
        file.write_all(b"\nlast\n").unwrap();
        assert_eq!(texts(&mut tail).iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 4]);
    }

    #[test]
    fn redrawn_line_is_live() {
        let dir = tempfile::tempdir().unwrap();
        let (log, events) = (dir.path().join("log"), dir.path().join("events"));
        let mut file = File::create(&log).unwrap();
        let mut follower = Follower::new(&log, &events);
        let mut poll = |text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            follower.poll().0
        };
        let line = |text: &str| StageMessage::Line(text.into());
        let redrawn = |text: &str| StageMessage::Redrawn(text.into());
        assert_eq!(poll("start\n\r 10%"), [line("start"), redrawn(" 10%")]);
        assert_eq!(poll(""), []);
        assert_eq!(poll("\r 20%\r 30%"), [redrawn(" 30%")]);
        assert_eq!(poll("\r 40%\r"), [redrawn(" 40%")]);
        assert_eq!(poll("\r100%\r\nnext\r\n"), [line("100%"), line("next")]);
        assert_eq!(poll("\n"), [line("")]);
        assert_eq!(poll("no newline"), []);
        assert_eq!(poll("\n"), [line("no newline")]);
    }

    /// Drains a log and an event file that both exceed the maximum lag, and returns the deliveries.
    fn drain_large_files() -> Vec<Vec<StageMessage>> {
        let dir = tempfile::tempdir().unwrap();
        let (log, events) = (dir.path().join("log"), dir.path().join("events"));
        let mut lines = "a line of the log\n".repeat(400_000);
        lines.push_str("the last");
        std::fs::write(&log, lines).unwrap();
        let points =
            (0..200_000).map(|step| format!("{{\"metric\":\"m\",\"step\":{step},\"value\":1}}\n"));
        std::fs::write(&events, points.collect::<String>()).unwrap();
        let sizes = [&log, &events].map(|path| path.metadata().unwrap().len());
        assert!(sizes.iter().all(|&size| size > MAX_LAG), "{sizes:?}");
        let mut deliveries = Vec::new();
        Follower::new(&log, &events).drain(|messages| deliveries.push(messages));
        deliveries
    }

    #[test]
    fn lag_skips_only_lines() {
        let messages: Vec<StageMessage> = drain_large_files().concat();
        let steps = messages.iter().filter_map(|message| match message {
            StageMessage::Metric { step, .. } => Some(*step),
            _ => None,
        });
        assert!(steps.eq(0..200_000));
        let lines: Vec<&str> = messages
            .iter()
            .filter_map(|message| match message {
                StageMessage::Line(line) => Some(line.as_str()),
                _ => None,
            })
            .collect();
        assert!(lines.len() < 100_000, "{}", lines.len());
        assert_eq!(lines.last(), Some(&"the last"));
        // No line is truncated at its beginning.
        assert!(lines[..lines.len() - 1].iter().all(|line| *line == "a line of the log"));
        let gaps = messages.iter().filter(|message| **message == StageMessage::Skipped).count();
        assert_eq!(gaps, 1);
    }

    #[test]
    fn drain_delivers_in_chunks() {
        let most = drain_large_files().iter().map(Vec::len).max().unwrap();
        // As many lines and events as fit in two chunks.
        assert!(most <= 2 * CHUNK as usize / "a line of the log".len(), "{most}");
    }
}
