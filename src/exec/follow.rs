//! Reading what a running stage writes: its log, line by line, and its event file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::process::Halt;

/// Something a stage's process said.
#[derive(Debug, Clone, PartialEq)]
pub enum StageMessage {
    Line(String),
    /// Lines came faster than they could be read; the log keeps them.
    Skipped,
    Metric {
        key: String,
        step: u64,
        value: f64,
    },
    Progress {
        done: u64,
        total: u64,
    },
    Artifact(String),
    /// The outs of an item are complete.
    Item(String),
    /// StageMessage by us, not by the process.
    Warning(String),
    /// A line of the event file that is no event.
    Malformed(String),
    /// It neither runs nor ends.
    Halted(Halt),
}

/// Follows the two files of one stage.
#[derive(Debug)]
pub struct Follower {
    log: Tail,
    events: Tail,
}

/// Whether there is more to read already.
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

    /// What was written since the last call, whole lines only, and of each file at most a piece.
    pub fn poll(&mut self) -> (Vec<StageMessage>, More) {
        let (lines, log) = self.log.lines(u64::MAX);
        let (events, more) = self.events.lines(u64::MAX);
        (messages(lines, events), log.or(more))
    }

    /// Hands over the rest, piece by piece, when the process has ended: also what lacks its line end. What others
    /// write from now on, as a job in the background may, is not part of it.
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

fn parse(line: &str) -> StageMessage {
    let event: Option<StageMessage> = serde_json::from_str(line).ok().and_then(|event: Value| {
        if let Some(key) = event.get("metric").and_then(Value::as_str) {
            let value = number(event.get("value")?)?;
            return Some(StageMessage::Metric {
                key: key.to_owned(),
                step: count(&event, "step")?,
                value,
            });
        }
        if let Some(done) = event.get("progress") {
            return Some(StageMessage::Progress {
                done: whole(done)?,
                total: count(&event, "total")?,
            });
        }
        if let Some(path) = event.get("item").and_then(Value::as_str) {
            return Some(StageMessage::Item(path.to_owned()));
        }
        event
            .get("artifact")
            .and_then(Value::as_str)
            .map(|path| StageMessage::Artifact(path.to_owned()))
    });
    event.unwrap_or_else(|| StageMessage::Malformed(line.to_owned()))
}

/// A count that is 0 unless it is given; `None` for one that is given as something else.
fn count(event: &Value, name: &str) -> Option<u64> {
    event.get(name).map_or(Some(0), whole)
}

/// `3`, and `3.0` as some languages write it.
fn whole(value: &Value) -> Option<u64> {
    // Beyond 2^53 a float stands for several whole numbers.
    let exact =
        |number: &f64| number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(number);
    value.as_u64().or_else(|| value.as_f64().filter(exact).map(|number| number as u64))
}

/// JSON has no `NaN` and no infinities; stages write `null`, or name them.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Null => Some(f64::NAN),
        Value::String(name) => match name.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        other => other.as_f64(),
    }
}

/// The growing end of a text file.
#[derive(Debug)]
struct Tail {
    path: PathBuf,
    file: Option<File>,
    on_lag: OnLag,
    /// How much was read.
    at: u64,
    /// A line that is not finished yet.
    partial: Vec<u8>,
    /// Its beginning was skipped, so it is not told.
    is_truncated: bool,
}

/// What to do when a file grows faster than it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnLag {
    /// Leave out what lies before the newest piece.
    Skip,
    KeepReading,
}

#[derive(Debug, PartialEq)]
enum Entry {
    Text(String),
    /// Lines were skipped here.
    Gap,
}

/// A line longer than this is shown cut; the file keeps it whole.
const MAX_LINE: usize = 64 << 10;
/// So much is read at a time.
const CHUNK: u64 = 1 << 20;
/// Who is further behind than this skips.
const MAX_LAG: u64 = 4 * CHUNK;

impl Tail {
    fn new(path: &Path, on_lag: OnLag) -> Tail {
        Tail {
            path: path.to_owned(),
            file: None,
            on_lag,
            at: 0,
            partial: Vec::new(),
            is_truncated: false,
        }
    }

    /// The lines of the next piece before `end`. A file that is not there yet, or cannot be read, has none.
    fn lines(&mut self, end: u64) -> (Vec<Entry>, More) {
        let mut lines = Vec::new();
        let end = end.min(self.end());
        if self.on_lag == OnLag::Skip && end.saturating_sub(self.at) > MAX_LAG {
            self.at = end - CHUNK;
            self.partial.clear();
            self.is_truncated = true;
            lines.push(Entry::Gap);
        }
        let Some(bytes) = self.read_chunk(end) else { return (lines, More::Later) };
        self.at += bytes.len() as u64;
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = MAX_LINE.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                lines.extend(self.take_partial().map(Entry::Text));
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

    /// How long the file is.
    fn end(&mut self) -> u64 {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |file| file.len())
    }

    /// What was read of the line so far, without its line end.
    fn take_partial(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.is_truncated) || bytes.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        Some(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn events_are_understood_or_passed_on() {
        let cases = [
            (
                r#"{"metric":"loss","step":3,"value":0.5}"#,
                StageMessage::Metric { key: "loss".into(), step: 3, value: 0.5 },
            ),
            (
                r#"{"metric":"loss","value":2}"#,
                StageMessage::Metric { key: "loss".into(), step: 0, value: 2.0 },
            ),
            (
                r#"{"metric":"loss","value":"Infinity"}"#,
                StageMessage::Metric { key: "loss".into(), step: 0, value: f64::INFINITY },
            ),
            (r#"{"progress":3,"total":50}"#, StageMessage::Progress { done: 3, total: 50 }),
            (r#"{"artifact":"plots/x.png"}"#, StageMessage::Artifact("plots/x.png".into())),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), expected);
        }
        for line in [
            "",
            "x",
            "{}",
            r#"{"metric":"loss"}"#,
            r#"{"metric":"loss","value":"x"}"#,
            "[1]",
            "null",
        ] {
            assert_eq!(parse(line), StageMessage::Malformed(line.to_owned()));
        }
    }

    #[test]
    fn a_step_or_a_total_that_is_no_whole_number_is_not_understood() {
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
        assert_eq!(whole, StageMessage::Metric { key: "loss".into(), step: 3, value: 1.0 });
    }

    fn texts(tail: &mut Tail) -> Vec<String> {
        let text = |entry| match entry {
            Entry::Text(text) => text,
            Entry::Gap => panic!("a gap"),
        };
        tail.lines(u64::MAX).0.into_iter().map(text).collect()
    }

    #[test]
    fn lines_come_once_and_whole() {
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

    /// Both files have more than may be behind; what is told of them, in as many pieces as it takes.
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
        let mut told = Vec::new();
        Follower::new(&log, &events).drain(|said| told.push(said));
        told
    }

    #[test]
    fn of_much_at_once_lines_are_skipped_and_events_never() {
        let told: Vec<StageMessage> = drain_large_files().concat();
        let steps = told.iter().filter_map(|said| match said {
            StageMessage::Metric { step, .. } => Some(*step),
            _ => None,
        });
        assert!(steps.eq(0..200_000));
        let lines: Vec<&str> = told
            .iter()
            .filter_map(|said| match said {
                StageMessage::Line(line) => Some(line.as_str()),
                _ => None,
            })
            .collect();
        assert!(lines.len() < 100_000, "{}", lines.len());
        assert_eq!(lines.last(), Some(&"the last"));
        // None begins in the middle.
        assert!(lines[..lines.len() - 1].iter().all(|line| *line == "a line of the log"));
        assert_eq!(told.iter().filter(|said| **said == StageMessage::Skipped).count(), 1);
    }

    #[test]
    fn much_is_handed_over_in_pieces() {
        let most = drain_large_files().iter().map(Vec::len).max().unwrap();
        // As many lines and events as two pieces hold.
        assert!(most <= 2 * CHUNK as usize / "a line of the log".len(), "{most}");
    }
}
