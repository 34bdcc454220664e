//! Turns the output of a stage into events. Unaware of their subscribers.

use crate::event::{Event, Timestamp};
use crate::exec::{Halt, StageMessage};
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;

/// State of the output of one stage.
#[derive(Debug, Default)]
pub(super) struct StageOutput {
    last_line: Option<String>,
    malformed: bool,
    skipped: bool,
}

impl StageOutput {
    /// Returns the last line that was not empty.
    pub(super) fn last_line(&self) -> Option<&str> {
        self.last_line.as_deref()
    }

    /// Returns the event for a message; `None` if there is nothing to report, or nothing new.
    pub(super) fn event(
        &mut self,
        stage: StageName,
        at: Timestamp,
        message: StageMessage,
    ) -> Option<Event> {
        let event = match message {
            StageMessage::Line(text) => {
                if !text.trim().is_empty() {
                    self.last_line = Some(text.clone());
                }
                Event::Line { stage, text }
            }
            StageMessage::Redrawn(text) => Event::Redrawn { stage, text },
            StageMessage::Metric { key, step, value } => {
                Event::Metric { stage, at, key, step, value }
            }
            StageMessage::Progress { done, total } => Event::Progress { stage, done, total },
            StageMessage::Transferred { done, total } => Event::Transferred { stage, done, total },
            StageMessage::Artifact(path) => match RepoPath::parse(&path) {
                Ok(path) => Event::Artifact { stage, path },
                Err(bad) => warning(stage, format!("artifact `{path}` {bad}")),
            },
            StageMessage::Item(_) => return None,
            StageMessage::DepChanged(changed) => Event::DepChanged { stage, at, changed },
            StageMessage::Warning(text) => warning(stage, text),
            StageMessage::Skipped => {
                if std::mem::replace(&mut self.skipped, true) {
                    return None;
                }
                warning(
                    stage,
                    "prints faster than the terminal can show; its log keeps every line".to_owned(),
                )
            }
            StageMessage::Halted(Halt::WantsTerminal) => {
                let text = "is suspended: it waits for the terminal, which a stage does not have";
                warning(stage, text.to_owned())
            }
            StageMessage::Halted(Halt::BySignal(signal)) => {
                warning(stage, format!("is suspended by signal {signal}; `kill -CONT` resumes it"))
            }
            StageMessage::Malformed(line) => {
                if std::mem::replace(&mut self.malformed, true) {
                    return None;
                }
                warning(stage, format!("wrote a malformed event: {line}"))
            }
        };
        Some(event)
    }
}

fn warning(stage: StageName, text: String) -> Event {
    Event::Warning { stage: Some(stage), text }
}
