//! One thing wrong with `pipeline.toml`, and where.

use std::fmt;

use crate::error::Error;
use crate::repo_path::RepoPath;

/// A fault that keeps the pipeline from being used. All of a file's faults are reported at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub place: Place,
    pub what: String,
    pub hint: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A line of `pipeline.toml`, counted from 1.
    Line(usize),
    /// A line of another file.
    In(RepoPath, usize),
    /// A `-p KEY=VALUE` of the command line, as typed.
    Override(String),
}

impl Problem {
    pub fn new(line: usize, what: impl Into<String>) -> Problem {
        Problem { place: Place::Line(line), what: what.into(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// Adds `did you mean `X`?` when there is a likely X.
    #[must_use]
    pub fn meant(self, candidate: Option<&str>) -> Problem {
        match candidate {
            Some(candidate) => self.hint(format!("did you mean `{candidate}`?")),
            None => self,
        }
    }
}

/// All of them as one error.
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
