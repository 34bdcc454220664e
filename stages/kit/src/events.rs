//! Events of a running stage: JSON lines appended to the file that `REPRO_EVENTS` names.
//!
//! A stage never fails because an event could not be written. Each event is one write, so that
//! threads and processes can report at once.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! let events = kit::Events::open()?;
//! events.metric("loss", 3, 0.41);
//! events.progress(3, 50);
//! events.artifact("plots/loss.png");
//! # Ok(())
//! # }
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// The open event file, or nothing if a stage is run by hand. Threads share it by reference.
#[derive(Debug)]
pub struct Events {
    file: Option<Mutex<Sink>>,
}

#[derive(Debug)]
enum Sink {
    Open(File),
    Broken,
}

impl Events {
    /// Opens the file that `REPRO_EVENTS` names for appending.
    ///
    /// If the variable is unset or empty, all methods do nothing.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open() -> Result<Events> {
        match std::env::var_os("REPRO_EVENTS").filter(|path| !path.is_empty()) {
            Some(path) => Events::append_to(Path::new(&path)),
            None => Ok(Events { file: None }),
        }
    }

    /// Reports the value of metric `key` at `step`: one point of its series. The history keeps all
    /// points.
    ///
    /// A value that is not finite is written as a string, since JSON has no number for it.
    pub fn metric(&self, key: &str, step: u64, value: f64) {
        let value = if value.is_finite() {
            json!(value)
        } else if value.is_nan() {
            json!("NaN")
        } else {
            json!(if value > 0.0 { "Infinity" } else { "-Infinity" })
        };
        self.write(&json!({ "metric": key, "step": step, "value": value }));
    }

    /// Reports that `done` of `total` units of work are complete.
    pub fn progress(&self, done: u64, total: u64) {
        self.write(&json!({ "progress": done, "total": total }));
    }

    /// Reports that the outs of an item are complete: they are kept, even if the stage fails later.
    ///
    /// `path` is spelt as in the file that `REPRO_ITEMS` names.
    pub fn item(&self, path: impl AsRef<Path>) {
        self.write(&json!({ "item": path.as_ref().to_string_lossy() }));
    }

    /// Reports a file that is worth looking at, by its path from the project root.
    pub fn artifact(&self, path: impl AsRef<Path>) {
        self.write(&json!({ "artifact": path.as_ref().to_string_lossy() }));
    }

    fn append_to(path: &Path) -> Result<Events> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open `{}` (REPRO_EVENTS)", path.display()))?;
        Ok(Events { file: Some(Mutex::new(Sink::Open(file))) })
    }

    fn write(&self, event: &Value) {
        let Some(file) = &self.file else { return };
        let mut sink = file.lock().unwrap_or_else(|poison| poison.into_inner());
        let Sink::Open(file) = &mut *sink else { return };
        // One write per line: with O_APPEND, lines of several processes do not mix.
        if let Err(error) = file.write_all(format!("{event}\n").as_bytes()) {
            let _ = writeln!(std::io::stderr(), "warning: events are no longer recorded: {error}");
            *sink = Sink::Broken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, "{\"progress\":1,\"total\":9}\n").unwrap();
        let events = Events::append_to(&path).unwrap();
        events.metric("loss", 3, 0.41);
        events.metric("loss", 4, f64::NAN);
        events.metric("loss", 5, f64::INFINITY);
        events.metric("loss", 6, f64::NEG_INFINITY);
        events.progress(3, 50);
        events.item("data/audio/blues/a \"b\".wav");
        events.artifact("plots/x.png");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            r#"{"progress":1,"total":9}
{"metric":"loss","step":3,"value":0.41}
{"metric":"loss","step":4,"value":"NaN"}
{"metric":"loss","step":5,"value":"Infinity"}
{"metric":"loss","step":6,"value":"-Infinity"}
{"progress":3,"total":50}
{"item":"data/audio/blues/a \"b\".wav"}
{"artifact":"plots/x.png"}
"#
        );
    }

    #[test]
    fn concurrent_lines_do_not_mix() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let (one, other) = (Events::append_to(&path).unwrap(), Events::append_to(&path).unwrap());
        std::thread::scope(|scope| {
            for events in [&one, &one, &other, &other] {
                scope.spawn(|| (0..500).for_each(|step| events.metric("loss", step, 0.5)));
            }
        });
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2000);
        for line in text.lines() {
            serde_json::from_str::<Value>(line).unwrap();
        }
    }
}
