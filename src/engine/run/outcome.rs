//! The result of the work on a stage.

use crate::error::{Error, FILE_SIZE_LIMIT, Kind, exit};
use crate::event::{ChangedDep, Failure, Millis, Work};
use crate::exec::Exit;
use crate::pipeline::Stage;
use crate::plan::Trace;

use super::processes::Stop;

/// The result of the work on a stage.
#[derive(Debug)]
pub(super) enum StageResult {
    Done(Box<Trace>, Work),
    /// An object in the cache is damaged or missing, so the stage has to run.
    Damaged(Error),
    Failed {
        failure: Failure,
        exit: u8,
    },
    /// The stage failed before its process started.
    Unstarted {
        failure: Failure,
        exit: u8,
    },
    /// Its command succeeded, but a dep changed meanwhile.
    Unrecorded(Failure),
    Stopped,
    /// Some of its units were not started because another stage failed.
    Cut,
}

/// Returns the result of a process that failed or was stopped; `None` if it succeeded.
pub(super) fn unsuccessful(stage: &Stage, ended: Exit, stop: Stop) -> Option<StageResult> {
    let (what, hint) = match (ended, stop) {
        (_, Stop::Stopped) => return Some(StageResult::Stopped),
        (_, Stop::TimedOut) => (
            format!(
                "took longer than its timeout of {}",
                Millis::from(stage.timeout.unwrap_or_default())
            ),
            Some(format!(
                "`timeout` is set in stage `{}` (pipeline.toml:{})",
                stage.name, stage.line
            )),
        ),
        (Exit::Code(0), Stop::None) => return None,
        (Exit::Code(127), Stop::None) => (
            "exited with code 127".to_owned(),
            bash_word(stage).or_else(|| {
                Some("a shell exits with 127 when it cannot find a command".to_owned())
            }),
        ),
        (Exit::Code(2), Stop::None) => ("exited with code 2".to_owned(), bash_word(stage)),
        (Exit::Code(code), Stop::None) => (format!("exited with code {code}"), None),
        (Exit::Signal(9), Stop::None) => (
            "was killed by signal 9".into(),
            Some("the kernel kills a process this way when memory runs out".into()),
        ),
        (Exit::Signal(25), Stop::None) => {
            ("was killed by signal 25".into(), Some(FILE_SIZE_LIMIT.into()))
        }
        (Exit::Signal(signal), Stop::None) => (format!("was killed by signal {signal}"), None),
    };
    Some(StageResult::Failed {
        failure: Failure { what, causes: Vec::new(), hint },
        exit: exit::STAGE_FAILED,
    })
}

/// Returns a hint for a command of `sh` with a word that many a `sh` does not know.
fn bash_word(stage: &Stage) -> Option<String> {
    let cmd = stage.cmd.as_deref().filter(|_| stage.shell.is_empty())?;
    let is_used =
        |word: &&&str| cmd.split(|c: char| c.is_whitespace() || c == ';').any(|w| w == **word);
    let word = ["pipefail", "source", "[["].iter().find(is_used)?;
    Some(format!(
        "`sh` may not know `{word}`: with shell = \"bash -euo pipefail -c\", bash runs the command"
    ))
}

/// Reason why a result is not recorded.
#[derive(Debug)]
pub(super) enum Uncommitted {
    /// A dep changed while the command ran, so the outs match neither version of it.
    Changed(ChangedDep),
    Error(Error),
}

impl From<Error> for Uncommitted {
    fn from(error: Error) -> Uncommitted {
        Uncommitted::Error(error)
    }
}

impl Uncommitted {
    /// Returns the result of the stage. An error that is not the user's has happened in `doing`.
    pub(super) fn result(self, stage: &Stage, doing: &str) -> StageResult {
        match self {
            Uncommitted::Changed(changed) => StageResult::Unrecorded(unrecorded(stage, &changed)),
            Uncommitted::Error(error) if error.kind == Kind::Usage => {
                let failure = Failure { what: error.what, causes: error.causes, hint: error.hint };
                StageResult::Failed { failure, exit: exit::STAGE_FAILED }
            }
            Uncommitted::Error(error) => failed(doing, error),
        }
    }
}

fn unrecorded(stage: &Stage, changed: &ChangedDep) -> Failure {
    let name = &stage.name;
    Failure {
        what: format!("{changed} {} while it ran", changed.predicate()),
        causes: Vec::new(),
        hint: Some(format!(
            "its outs stay in the workspace: run again, or record them with `repro accept {name} \
             --reason TEXT` if the change does not affect them; if the stage itself writes the \
             file, declare it as an out or move it"
        )),
    }
}

fn failed(what: &str, error: Error) -> StageResult {
    let (failure, exit) = explained(what, error);
    StageResult::Failed { failure, exit }
}

pub(super) fn unstarted(what: &str, error: Error) -> StageResult {
    let (failure, exit) = explained(what, error);
    StageResult::Unstarted { failure, exit }
}

fn explained(what: &str, error: Error) -> (Failure, u8) {
    let exit = error.exit_code();
    let mut causes = vec![error.what];
    causes.extend(error.causes);
    (Failure { what: what.to_owned(), causes, hint: error.hint }, exit)
}
