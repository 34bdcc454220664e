//! A terminal and the events of a made-up run, for the tests of the displays.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::event::{
    Event, Failure, Millis, Outcome, RunInfo, RunKind, RunName, RunStatus, RunUid, StageInputs,
    Work,
};
use crate::pipeline::{ParamKey, StageName};
use crate::plan::Change;

pub(super) fn stage(name: &str) -> StageName {
    StageName::parse(name).unwrap()
}

pub(super) fn started(name: &str, work: Work, reasons: Vec<Change>) -> Event {
    Event::StageStarted { stage: stage(name), at: 0, work, reasons, inputs: StageInputs::default() }
}

pub(super) fn line(name: &str, text: &str) -> Event {
    Event::Line { stage: stage(name), text: text.into() }
}

pub(super) fn metric(name: &str, key: &str, step: u64, value: f64) -> Event {
    Event::Metric { stage: stage(name), at: 0, key: key.into(), step, value: value.into() }
}

pub(super) fn ended(name: &str, outcome: Outcome, took: u64) -> Event {
    Event::StageEnded {
        stage: stage(name),
        at: 0,
        outcome,
        took: Millis(took),
        outs: BTreeMap::new(),
        usage: None,
        artifacts: BTreeMap::new(),
    }
}

pub(super) fn exited() -> Outcome {
    Outcome::Failed(Failure { what: "exited with code 1".into(), causes: vec![], hint: None })
}

pub(super) fn epochs() -> Change {
    Change::Param { key: ParamKey::new("train.epochs"), old: Some(10.into()), new: Some(30.into()) }
}

/// Returns the events of a run with a restored, a finished, a failed and a skipped stage, a warning
/// and a stage that was up to date.
pub(super) fn failing_run() -> Vec<Event> {
    let info = RunInfo {
        uid: RunUid::from_bytes([7; 16]),
        kind: RunKind::Pipeline,
        parent: None,
        name: None,
        experiment: "genres".into(),
        pipeline: Some("genres".into()),
        command: vec!["repro".into(), "run".into()],
        params: BTreeMap::new(),
        overrides: vec![],
        overridden: BTreeSet::new(),
        host: "box".into(),
        user: None,
        git: None,
        fresh: 0,
        tags: BTreeMap::new(),
    };
    let mut events = vec![
        Event::RunStarted { run: RunName(12), at: 0, info: Box::new(info) },
        started("download", Work::Restore, vec![Change::NeverRan]),
        ended("download", Outcome::Restored { from: None }, 12),
        ended("tools", Outcome::Fresh, 1),
        started("spectrogram", Work::Run, vec![Change::NeverRan]),
        line("spectrogram", "\u{1b}[1m\u{1b}[32m   Compiling\u{1b}[0m features v0.1.0"),
    ];
    events.extend((1..=50).map(|done| Event::Progress {
        stage: stage("spectrogram"),
        done,
        total: 50,
    }));
    events.extend([
        Event::Warning { stage: Some(stage("spectrogram")), text: "one clip was skipped".into() },
        ended("spectrogram", Outcome::Ran, 62_000),
        started("train", Work::Run, vec![epochs(), Change::Forced]),
        line("train", " 10 %\r 20 %\r 30 %"),
        metric("train", "train_loss", 1, 2.25),
        metric("train", "val_loss", 1, 2.125),
        metric("train", "val_accuracy", 1, 0.3),
    ]);
    events.extend((1..=12).map(|epoch| line("train", &format!("epoch {epoch}: loss 2.25"))));
    events.extend([
        line("train", "error: loss is NaN"),
        ended("train", exited(), 3000),
        ended("export", Outcome::Skipped { because: stage("train"), is_needed: true }, 0),
        Event::RunEnded {
            run: Some(RunName(12)),
            at: 0,
            status: RunStatus::Failed,
            took: Millis(65_000),
        },
    ]);
    events
}

/// A stream that can be read while it is being written.
#[derive(Clone, Default)]
pub(super) struct TestTerminal(Arc<Mutex<Vec<u8>>>);

impl Write for TestTerminal {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl TestTerminal {
    pub(super) fn raw(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns the text that an endless terminal shows. It panics on codes not used here.
    pub(super) fn seen(&self) -> String {
        let raw = self.raw();
        let (mut rows, mut row, mut column): (Vec<Vec<char>>, usize, usize) = (vec![vec![]], 0, 0);
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            match c {
                '\n' => (row, column) = (row + 1, 0),
                '\r' => column = 0,
                '\x1b' => {
                    let code = code(&mut chars);
                    match code.split_at(code.len() - 1) {
                        (up, "A") => row -= up.parse::<usize>().unwrap(),
                        ("", "J") => {
                            rows.truncate(row + 1);
                            rows[row].truncate(column);
                        }
                        ("", "K") => rows[row].truncate(column),
                        (_, "m") | ("?7" | "?2026", "l" | "h") => {}
                        _ => panic!("{code:?}"),
                    }
                }
                c => {
                    let width = rows[row].len().max(column + 1);
                    rows[row].resize(width, ' ');
                    rows[row][column] = c;
                    column += 1;
                }
            }
            rows.resize(rows.len().max(row + 1), vec![]);
        }
        rows.iter().map(|row| row.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
    }
}

/// Returns the rest of an escape code, after `ESC [` and including its final letter.
fn code(chars: &mut impl Iterator<Item = char>) -> String {
    let mut code = String::new();
    for c in chars.skip(1) {
        code.push(c);
        if c.is_ascii_alphabetic() {
            break;
        }
    }
    code
}
