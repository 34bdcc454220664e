//! Reading what a running stage writes: its log, line by line, and its event file.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Something a stage's process said.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    Line(String),
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
    /// Said by us, not by the process.
    Warning(String),
    /// A line of the event file that is no event.
    NotUnderstood(String),
}

/// Follows the two files of one stage.
#[derive(Debug)]
pub struct Follower {
    log: Tail,
    events: Tail,
}

impl Follower {
    pub fn new(log: &Path, events: &Path) -> Follower {
        Follower { log: Tail::new(log), events: Tail::new(events) }
    }

    /// What was written since the last call, whole lines only.
    pub fn news(&mut self) -> Vec<Said> {
        let mut said: Vec<Said> = self.log.lines().into_iter().map(Said::Line).collect();
        said.extend(
            self.events.lines().iter().filter(|line| !line.trim().is_empty()).map(|line| understand(line)),
        );
        said
    }

    /// The rest, when the process has ended: also what lacks its line end.
    pub fn rest(&mut self) -> Vec<Said> {
        let mut said = self.news();
        said.extend(self.log.unfinished().map(Said::Line));
        said.extend(self.events.unfinished().map(|line| understand(&line)));
        said
    }
}

fn understand(line: &str) -> Said {
    let event: Option<Said> = serde_json::from_str(line).ok().and_then(|event: Value| {
        if let Some(key) = event.get("metric").and_then(Value::as_str) {
            let value = number(event.get("value")?)?;
            let step = event.get("step").and_then(Value::as_u64).unwrap_or(0);
            return Some(Said::Metric { key: key.to_owned(), step, value });
        }
        if let Some(done) = event.get("progress").and_then(Value::as_u64) {
            return Some(Said::Progress {
                done,
                total: event.get("total").and_then(Value::as_u64).unwrap_or(0),
            });
        }
        if let Some(path) = event.get("item").and_then(Value::as_str) {
            return Some(Said::Item(path.to_owned()));
        }
        event.get("artifact").and_then(Value::as_str).map(|path| Said::Artifact(path.to_owned()))
    });
    event.unwrap_or_else(|| Said::NotUnderstood(line.to_owned()))
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
    /// A line that is not finished yet.
    partial: Vec<u8>,
}

/// A line longer than this is shown cut; the file keeps it whole.
const LONGEST: usize = 64 << 10;
/// Of more than this at once only the end is shown; the file keeps it all.
const MOST_AT_ONCE: u64 = 4 << 20;

impl Tail {
    fn new(path: &Path) -> Tail {
        Tail { path: path.to_owned(), file: None, partial: Vec::new() }
    }

    /// A file that is not there yet, or cannot be read, has no lines.
    fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(fresh) = self.fresh_bytes() else {
            return lines;
        };
        for piece in fresh.split_inclusive(|&byte| byte == b'\n') {
            let room = LONGEST.saturating_sub(self.partial.len());
            self.partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                lines.extend(self.unfinished());
            }
        }
        lines
    }

    fn fresh_bytes(&mut self) -> Option<Vec<u8>> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let file = self.file.as_mut()?;
        let at = file.stream_position().ok()?;
        let end = file.metadata().ok()?.len();
        if end.saturating_sub(at) > MOST_AT_ONCE {
            file.seek(SeekFrom::Start(end - MOST_AT_ONCE)).ok()?;
            self.partial.clear();
        }
        let mut fresh = Vec::new();
        file.take(MOST_AT_ONCE).read_to_end(&mut fresh).ok()?;
        Some(fresh)
    }

    /// What was read of the line so far, without its line end.
    fn unfinished(&mut self) -> Option<String> {
        if self.partial.is_empty() {
            return None;
        }
        let bytes = std::mem::take(&mut self.partial);
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
                Said::Metric { key: "loss".into(), step: 3, value: 0.5 },
            ),
            (r#"{"metric":"loss","value":2}"#, Said::Metric { key: "loss".into(), step: 0, value: 2.0 }),
            (
                r#"{"metric":"loss","value":"Infinity"}"#,
                Said::Metric { key: "loss".into(), step: 0, value: f64::INFINITY },
            ),
            (r#"{"progress":3,"total":50}"#, Said::Progress { done: 3, total: 50 }),
            (r#"{"artifact":"plots/x.png"}"#, Said::Artifact("plots/x.png".into())),
        ];
        for (line, expected) in cases {
            assert_eq!(understand(line), expected);
        }
        for line in ["", "x", "{}", r#"{"metric":"loss"}"#, r#"{"metric":"loss","value":"x"}"#, "[1]", "null"]
        {
            assert_eq!(understand(line), Said::NotUnderstood(line.to_owned()));
        }
    }

    #[test]
    fn lines_come_once_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut tail = Tail::new(&path);
        assert!(tail.lines().is_empty());
        let mut file = File::create(&path).unwrap();
        file.write_all(b"one\ntw").unwrap();
        assert_eq!(tail.lines(), ["one"]);
        file.write_all(b"o\r\n\xff\n").unwrap();
        assert_eq!(tail.lines(), ["two", "\u{fffd}"]);
        file.write_all(b"end").unwrap();
        assert!(tail.lines().is_empty());
        assert_eq!(tail.unfinished().as_deref(), Some("end"));
        file.write_all(&vec![b'x'; 2 * LONGEST]).unwrap();
        file.write_all(b"\nlast\n").unwrap();
        assert_eq!(tail.lines().iter().map(String::len).collect::<Vec<_>>(), [LONGEST, 4]);
    }
}
