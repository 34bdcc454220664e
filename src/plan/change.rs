//! Why a stage has to do something: one difference each, with the old and the new value.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::digest::{Content, Digest};
use crate::pipeline::{ParamKey, ParamValue, StageName};
use crate::repo_path::RepoPath;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// No trace of it in the lock.
    NeverRan,
    /// The user said so.
    Forced,
    /// The stage runs each time.
    Always,
    /// `None`: the stage had no command, and only tracked its outs.
    Cmd {
        old: Option<String>,
        new: Option<String>,
    },
    Shell {
        old: Vec<String>,
        new: Vec<String>,
    },
    /// What items are, or what is made of one.
    Each {
        old: BTreeSet<String>,
        new: BTreeSet<String>,
    },
    /// What a command that the stage depends on printed.
    Tool {
        cmd: String,
        old: Option<String>,
        new: Option<String>,
    },
    /// A tracked input has other content than the lock says.
    InputChanged {
        path: RepoPath,
    },
    Wdir {
        old: Option<RepoPath>,
        new: Option<RepoPath>,
    },
    /// `None` is "was not there".
    Param {
        key: ParamKey,
        old: Option<ParamValue>,
        new: Option<ParamValue>,
    },
    Env {
        name: String,
        old: Option<String>,
        new: Option<String>,
    },
    Dep {
        path: RepoPath,
        old: Option<Content>,
        new: Option<Content>,
    },
    /// A file inside a dep that is a directory: what became of it.
    DepFile {
        path: RepoPath,
        fate: Fate,
    },
    OutDeclared {
        path: RepoPath,
    },
    OutDropped {
        path: RepoPath,
    },
    OutMissing {
        path: RepoPath,
    },
    OutEdited {
        path: RepoPath,
    },
    /// The cache would have it, but for this object.
    ObjectGone {
        digest: Digest,
    },
    /// A stage that makes one of its deps has to run first, so what this one does is not known yet.
    Upstream {
        stage: StageName,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Added,
    Changed,
    Removed,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Added => "added",
            Fate::Changed => "changed",
            Fate::Removed => "removed",
        })
    }
}

/// One line, as a reason: `train.epochs 10 → 30`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::NeverRan => f.write_str("never ran"),
            Change::Forced => f.write_str("forced"),
            Change::Always => f.write_str("runs each time"),
            Change::Cmd { old, new } => write!(f, "cmd {} → {}", shown_cmd(old), shown_cmd(new)),
            Change::Shell { old, new } => {
                write!(f, "shell {} → {}", shown_shell(old), shown_shell(new))
            }
            Change::Each { old, new } => {
                let shown =
                    |texts: &BTreeSet<String>| texts.iter().cloned().collect::<Vec<_>>().join(", ");
                write!(f, "items {} → {}", shown(old), shown(new))
            }
            Change::Tool { cmd, old, new } => {
                write!(f, "`{}` {} → {}", one_line(cmd), shown(old), shown(new))
            }
            Change::InputChanged { path } => write!(f, "{path} changed"),
            Change::Wdir { old, new } => write!(f, "wdir {} → {}", shown_dir(old), shown_dir(new)),
            Change::Param { key, old, new } => write!(f, "{key} {} → {}", shown(old), shown(new)),
            Change::Env { name, old, new } => {
                write!(f, "env {name} {} → {}", shown(old), shown(new))
            }
            Change::Dep { path, old: None, .. } => write!(f, "dep {path} added"),
            Change::Dep { path, new: None, .. } => write!(f, "dep {path} removed"),
            Change::Dep { path, .. } => write!(f, "dep {path} changed"),
            Change::DepFile { path, fate } => write!(f, "{path} {fate}"),
            Change::OutDeclared { path } => write!(f, "out {path} is newly declared"),
            Change::OutDropped { path } => write!(f, "out {path} is no longer declared"),
            Change::OutMissing { path } => write!(f, "out {path} is missing"),
            Change::OutEdited { path } => write!(f, "out {path} is not what the stage wrote"),
            Change::ObjectGone { digest } => {
                write!(f, "the cache has lost object {}", digest.short())
            }
            Change::Upstream { stage } => write!(f, "waits for {stage}"),
        }
    }
}

/// A value as people write it; `-` for one that is not there.
fn shown<T: Serialize>(value: &Option<T>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) => serde_json::to_string(value).unwrap_or_else(|_| "?".to_owned()),
    }
}

fn shown_dir(dir: &Option<RepoPath>) -> &str {
    dir.as_ref().map_or(".", RepoPath::as_str)
}

fn shown_cmd(cmd: &Option<String>) -> String {
    cmd.as_ref().map_or_else(|| "-".to_owned(), |cmd| format!("`{}`", one_line(cmd)))
}

fn shown_shell(words: &[String]) -> String {
    if words.is_empty() { "`sh -c`".to_owned() } else { format!("`{}`", words.join(" ")) }
}

/// A command short enough for a line.
fn one_line(cmd: &str) -> String {
    let flat = cmd.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &flat[..at]),
        None => flat,
    }
}
