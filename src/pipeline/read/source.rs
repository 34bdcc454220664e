//! Sources of a declaration besides the text of `pipeline.toml`: overrides and file access.

use std::borrow::Cow;

use crate::pipeline::resolve::PathEntry;
use crate::pipeline::{BadName, ParamKey};
use crate::repo_path::RepoPath;

/// A change to a param by `-p` on the command line; `key` may be a short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub operation: Operation,
    pub key: String,
    /// The value as typed.
    pub raw: String,
}

/// The kind of an override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `key=value`: changes an existing param, which keeps its type.
    Set,
    /// `+key=value`: adds a new param.
    Add,
    /// `++key=value`: changes or adds a param.
    Put,
    /// `~key`: removes a param.
    Remove,
    /// `~key=value`: removes a param that has this value.
    RemoveEqual,
}

impl Operation {
    /// Reports whether the param is gone afterwards.
    pub fn removes(self) -> bool {
        matches!(self, Operation::Remove | Operation::RemoveEqual)
    }
}

impl Override {
    /// Parses `KEY=VALUE`, `+KEY=VALUE`, `++KEY=VALUE`, `~KEY` or `~KEY=VALUE`. The value is TOML
    /// or a bare string.
    ///
    /// # Errors
    /// The form is a different one, or the key is not valid.
    pub fn parse(text: &str) -> Result<Override, String> {
        let text = text.trim_start();
        let (operation, rest) = match (text.strip_prefix("++"), text.strip_prefix(['+', '~'])) {
            (Some(rest), _) => (Operation::Put, rest),
            (None, Some(rest)) if text.starts_with('+') => (Operation::Add, rest),
            (None, Some(rest)) if rest.contains('=') => (Operation::RemoveEqual, rest),
            (None, Some(rest)) => (Operation::Remove, rest),
            (None, None) => (Operation::Set, text),
        };
        let (key, value) = match (rest.split_once('='), operation) {
            (Some(split), _) => split,
            (None, Operation::Remove) => (rest, ""),
            (None, _) => {
                return Err("must be KEY=VALUE, +KEY=VALUE, ++KEY=VALUE or ~KEY".to_owned());
            }
        };
        let key = ParamKey::parse(key.trim()).map_err(|bad| format!("{bad}: {}", BadName::HINT))?;
        Ok(Override { operation, key: key.to_string(), raw: value.to_owned() })
    }

    /// Returns the override as typed.
    pub fn typed(&self) -> String {
        let Override { operation, key, raw } = self;
        match operation {
            Operation::Set => format!("{key}={raw}"),
            Operation::Add => format!("+{key}={raw}"),
            Operation::Put => format!("++{key}={raw}"),
            Operation::Remove => format!("~{key}"),
            Operation::RemoveEqual => format!("~{key}={raw}"),
        }
    }
}

/// File access for the parser.
#[derive(Clone, Copy)]
pub struct FileSource<'w> {
    /// Reports whether a path, or for `None` the root, exists; used for deps that no stage makes.
    pub exists: &'w dyn Fn(Option<&RepoPath>) -> bool,
    /// Reads the text of a params file.
    pub read: &'w dyn Fn(&RepoPath) -> Result<String, String>,
    /// Lists the names of the files of params in a directory, which can be options of a group.
    pub list: &'w dyn Fn(&RepoPath) -> Vec<String>,
    /// Returns the entry at a path, without following a link there; used for the names on the way
    /// to deps and outs, and for outs that a glob may reach into.
    pub entry: &'w dyn Fn(&RepoPath) -> PathEntry,
}

/// A project in which every path exists, without links, params files or groups.
impl Default for FileSource<'_> {
    fn default() -> Self {
        FileSource {
            exists: &|_| true,
            read: &|_| Err(String::new()),
            list: &|_| Vec::new(),
            entry: &|_| PathEntry::Absent,
        }
    }
}

impl std::fmt::Debug for FileSource<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileSource")
    }
}

/// Replaces CRLF line ends, so that texts of several lines have the same value everywhere.
pub(super) fn unix_line_ends(text: &str) -> Cow<'_, str> {
    match text.contains("\r\n") {
        true => text.replace("\r\n", "\n").into(),
        false => text.into(),
    }
}
