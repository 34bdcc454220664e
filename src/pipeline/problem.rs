//! Errors in `pipeline.toml` and their locations.

use std::fmt;

use crate::error::Error;
use crate::repo_path::RepoPath;

/// An error in a declaration. All errors of a file are reported at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    pub what: String,
    pub hint: Option<String>,
}

/// The location of a problem.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of `pipeline.toml`, counted from 1.
    Line(usize),
    /// A line of another file.
    In(RepoPath, usize),
    /// A `-p KEY=VALUE` on the command line, as typed.
    Override(String),
}

impl Problem {
    /// Creates a problem at a line of `pipeline.toml`.
    pub fn new(line: usize, what: impl Into<String>) -> Problem {
        Problem { place: Place::Line(line), what: what.into(), hint: None }
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the hint ``did you mean `X`?`` if there is a suggestion X.
    #[must_use]
    pub fn did_you_mean(self, suggestion: Option<&str>) -> Problem {
        match suggestion {
            Some(suggestion) => self.hint(format!("did you mean `{suggestion}`?")),
            None => self,
        }
    }
}

/// Combines problems into one error.
pub fn report(problems: Vec<Problem>) -> Error {
    Error::several(problems.into_iter().map(|problem| {
        let error = Error::usage(problem.to_string());
        match problem.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "{}:{line}: {}", super::FILE, self.what),
            Place::In(file, line) => write!(f, "{file}:{line}: {}", self.what),
            Place::Override(typed) => write!(f, "-p {typed}: {}", self.what),
        }
    }
}
