//! Errors: what the oracle expects, what the engine reported, and the comparison of the two.
//!
//! Compared are the exit code and the subject: the stage, path, command or code that the message
//! has to name. The rest of the wording is free.

use repro::error::Error;

/// Exit codes, as docs/reference/exit-codes.md promises them.
pub const STAGE_FAILED: i32 = 1;
pub const USAGE: i32 = 2;
pub const ENVIRONMENT: i32 = 3;
/// Exit code of a process that panicked; never expected.
const PANICKED: i32 = 101;

/// An error that the engine has to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub exit: i32,
    /// Texts that the message has to contain; names of paths and stages with their backticks.
    pub subjects: Vec<String>,
}

impl Problem {
    /// The message has to name each of `names` in backticks.
    pub fn naming(exit: i32, names: &[&str]) -> Problem {
        Problem { exit, subjects: names.iter().map(|name| format!("`{name}`")).collect() }
    }

    /// The folder of an out cannot be created, since a file is in its place.
    pub fn in_folder_of(out: &str) -> Problem {
        let (folder, _) = out.rsplit_once('/').unwrap_or(("", out));
        Problem { exit: ENVIRONMENT, subjects: vec![format!("/{folder}`")] }
    }

    /// The command of a stage ends with the code that [`crate::work`] uses for a failure.
    pub fn exited() -> Problem {
        Problem { exit: STAGE_FAILED, subjects: vec!["exited with code 3".into()] }
    }

    pub fn is_about(&self, message: &str) -> bool {
        self.subjects.iter().all(|subject| message.contains(subject.as_str()))
    }
}

/// A command that the engine refused as a whole: its exit code and the message of each error.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub exit: i32,
    pub messages: Vec<String>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let messages = std::iter::once(&error).chain(&error.others).map(ToString::to_string);
        Refusal { exit: i32::from(error.exit_code()), messages: messages.collect() }
    }
}

impl Refusal {
    /// Reads the errors from what the program wrote to stderr; a cause belongs to the error above
    /// it.
    pub fn parse(exit: i32, stderr: &str) -> Refusal {
        let mut messages: Vec<String> = Vec::new();
        for line in stderr.lines() {
            if let Some(message) = line.strip_prefix("error: ") {
                messages.push(message.to_owned());
            } else if let (Some(cause), Some(last)) =
                (line.trim_start().strip_prefix("caused by: "), messages.last_mut())
            {
                last.push_str(": ");
                last.push_str(cause);
            }
        }
        Refusal { exit, messages }
    }

    /// Checks that the engine refused the command for these problems and no other ones.
    ///
    /// # Errors
    /// The difference.
    pub fn check(&self, expected: &[Problem]) -> Result<(), String> {
        let exits = expected.iter().map(|problem| problem.exit).max();
        let reported = |problem: &Problem| self.messages.iter().any(|text| problem.is_about(text));
        let is_expected = |text: &String| expected.iter().any(|problem| problem.is_about(text));
        if exits == Some(self.exit)
            && expected.iter().all(reported)
            && self.messages.iter().all(is_expected)
        {
            return Ok(());
        }
        Err(format!("refused with {self:?}, should be {expected:?}"))
    }
}

/// Checks that the exit code and the text do not report a panic.
///
/// # Errors
/// The text with the panic.
pub fn check_no_panic(exit: i32, text: &str) -> Result<(), String> {
    if exit == PANICKED || text.contains("panicked") {
        return Err(format!("the engine panicked (exit code {exit}): {text}"));
    }
    Ok(())
}
