//! What a stage says, as events. Knows nothing of who hears them.

use crate::event::{Event, Timestamp};
use crate::exec::{Halt, StageMessage};
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;

/// What was output of one stage so far.
#[derive(Debug, Default)]
pub(super) struct StageOutput {
    last_line: Option<String>,
    misunderstood: bool,
    skipped: bool,
}

impl StageOutput {
    /// The last line that was not empty.
    pub(super) fn last_line(&self) -> Option<&str> {
        self.last_line.as_deref()
    }

    /// `None` where there is nothing to tell, or nothing that was not told before.
    pub(super) fn event(
        &mut self,
        stage: StageName,
        at: Timestamp,
        said: StageMessage,
    ) -> Option<Event> {
        let event = match said {
            StageMessage::Line(text) => {
                if !text.trim().is_empty() {
                    self.last_line = Some(text.clone());
                }
                Event::Line { stage, text }
            }
            StageMessage::Metric { key, step, value } => {
                Event::Metric { stage, at, key, step, value }
            }
            StageMessage::Progress { done, total } => Event::Progress { stage, done, total },
            StageMessage::Artifact(path) => match RepoPath::parse(&path) {
                Ok(path) => Event::Artifact { stage, path },
                Err(bad) => warning(stage, format!("artifact `{path}` {bad}")),
            },
            StageMessage::Item(_) => return None,
            StageMessage::Warning(text) => warning(stage, text),
            StageMessage::Skipped => {
                if std::mem::replace(&mut self.skipped, true) {
                    return None;
                }
                warning(
                    stage,
                    "writes faster than can be shown; its log keeps every line".to_owned(),
                )
            }
            StageMessage::Halted(Halt::WantsTerminal) => {
                let text = "is halted: it waits for the terminal, which a stage does not have";
                warning(stage, text.to_owned())
            }
            StageMessage::Halted(Halt::BySignal(signal)) => {
                warning(stage, format!("is halted by signal {signal}; `kill -CONT` lets it go on"))
            }
            StageMessage::Malformed(line) => {
                if std::mem::replace(&mut self.misunderstood, true) {
                    return None;
                }
                warning(stage, format!("wrote an event that is not understood: {line}"))
            }
        };
        Some(event)
    }
}

fn warning(stage: StageName, text: String) -> Event {
    Event::Warning { stage: Some(stage), text }
}
