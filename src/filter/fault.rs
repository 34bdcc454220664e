//! The error of a text that is not a filter.

use std::fmt;

use crate::error::Error;

/// A mistake in a filter or an order, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Byte at which the mistake begins; at most the length of the text.
    pub at: usize,
    pub what: String,
    pub hint: Option<String>,
    /// The name that is neither that of an attribute nor has a prefix.
    pub name: Option<String>,
}

impl Fault {
    pub(super) fn new(at: usize, what: impl Into<String>) -> Fault {
        Fault { at, what: what.into(), hint: None, name: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn about(mut self, name: impl Into<String>) -> Fault {
        self.name = Some(name.into());
        self
    }

    /// Returns the usage error about `text`, which `name` calls: `--filter`.
    pub fn in_text(self, name: &str, text: &str) -> Error {
        let column = text.get(..self.at).unwrap_or(text).chars().count() + 1;
        let error = Error::usage(format!("{name}, column {column}: {}", self.what));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}
