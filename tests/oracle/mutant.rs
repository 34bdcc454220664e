//! Falsified answers of the engine, to show that the comparison notices each kind of difference.

use crate::drive::Answer;
use crate::problem::Refusal;

/// A way in which an answer is falsified.
#[derive(Debug, Clone, Copy)]
pub enum Mutant {
    /// A refused command exits with another code.
    RefusalExit,
    /// The errors of a refused command do not name what they are about.
    RefusalSubject,
    /// A refused command reports one error too few.
    RefusalCount,
    /// A command with failed stages exits with another code.
    FailureExit,
    /// The failure of a stage does not name what it is about.
    FailureSubject,
    /// The failure of a stage is a panic in a thread of the engine.
    Panic,
    /// A stage that failed is reported as skipped.
    Outcome,
}

pub const MUTANTS: [Mutant; 7] = [
    Mutant::RefusalExit,
    Mutant::RefusalSubject,
    Mutant::RefusalCount,
    Mutant::FailureExit,
    Mutant::FailureSubject,
    Mutant::Panic,
    Mutant::Outcome,
];

impl Mutant {
    /// Falsifies an answer, if it has what this mutant changes.
    pub fn change(self, found: &mut Result<Answer, Refusal>) {
        match (self, found) {
            (Mutant::RefusalExit, Err(refusal)) => refusal.exit = 3,
            (Mutant::RefusalSubject, Err(refusal)) => {
                refusal.messages.iter_mut().for_each(|message| *message = unnamed(message));
            }
            (Mutant::RefusalCount, Err(refusal)) => drop(refusal.messages.pop()),
            (Mutant::FailureExit, Ok(answer)) if answer.exit != 0 => answer.exit = 0,
            (Mutant::FailureSubject, Ok(answer)) => {
                let failures =
                    answer.stages.values_mut().filter_map(|stage| stage.failure.as_mut());
                failures.for_each(|failure| *failure = unnamed(failure));
            }
            // The exit code and the subject stay, so that only the check for panics can notice it.
            (Mutant::Panic, Ok(answer)) => {
                let failures =
                    answer.stages.values_mut().filter_map(|stage| stage.failure.as_mut());
                failures.for_each(|failure| failure.push_str(": a thread panicked"));
            }
            (Mutant::Outcome, Ok(answer)) => {
                for stage in answer.stages.values_mut().filter(|stage| stage.word == "failed") {
                    stage.word = "skipped".into();
                }
            }
            _ => {}
        }
    }
}

/// The message without its backticked names and numbers.
fn unnamed(message: &str) -> String {
    message.chars().filter(|c| !c.is_ascii_digit() && *c != '`').collect()
}
