//! The event file of a stage, from the stage's side: events as lines that are appended whole.
//! `follow` reads them on the engine's side.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use serde::Serialize;

use crate::number::Number;

/// An event that a stage reports. The names of the fields are the keys of the contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StageEvent {
    Metric { metric: String, step: u64, value: Number },
    Progress { progress: u64, total: u64 },
    Artifact { artifact: String },
    Item { item: String },
}

/// Appends events to the file by a single write, so that lines of several processes do not mix.
///
/// # Errors
/// The file cannot be opened or written.
pub fn append(path: &Path, events: &[StageEvent]) -> io::Result<()> {
    // A FIFO without a reader is an error instead of a wait.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path)?;
    file.write_all(&lines(events)?)
}

fn lines(events: &[StageEvent]) -> serde_json::Result<Vec<u8>> {
    let mut text = Vec::new();
    for event in events {
        serde_json::to_writer(&mut text, event)?;
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::follow::{StageMessage, parse};
    use super::*;
    use proptest::prelude::*;

    fn any_number() -> impl Strategy<Value = Number> {
        prop_oneof![
            any::<f64>().prop_map(Number::from),
            any::<i64>().prop_map(|integer| i128::from(integer).into()),
            any::<u64>().prop_map(|integer| i128::from(integer).into()),
            prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])
                .prop_map(Number::from),
        ]
    }

    fn any_event() -> impl Strategy<Value = StageEvent> {
        prop_oneof![
            (any::<String>(), any::<u64>(), any_number())
                .prop_map(|(metric, step, value)| StageEvent::Metric { metric, step, value }),
            any::<(u64, u64)>()
                .prop_map(|(progress, total)| StageEvent::Progress { progress, total }),
            any::<String>().prop_map(|artifact| StageEvent::Artifact { artifact }),
            any::<String>().prop_map(|item| StageEvent::Item { item }),
        ]
    }

    proptest! {
        #[test]
        fn engine_reads_written_events(event in any_event()) {
            let bytes = lines(std::slice::from_ref(&event)).unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            let line = text.strip_suffix('\n').unwrap();
            prop_assert!(!line.contains('\n'));
            match (event, parse(line)) {
                (
                    StageEvent::Metric { metric, step, value },
                    StageMessage::Metric { key, step: read_step, value: read },
                ) => {
                    prop_assert_eq!((metric, step), (key, read_step));
                    prop_assert!(value.same(read), "{:?} became {:?}", value, read);
                }
                (
                    StageEvent::Progress { progress, total },
                    StageMessage::Progress { done, total: read },
                ) => prop_assert_eq!((progress, total), (done, read)),
                (StageEvent::Artifact { artifact: text }, StageMessage::Artifact(read))
                | (StageEvent::Item { item: text }, StageMessage::Item(read)) => {
                    prop_assert_eq!(text, read);
                }
                (event, read) => prop_assert!(false, "{:?} became {:?}", event, read),
            }
        }
    }
}
