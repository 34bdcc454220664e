//! Reasons that a stage is not up to date: one difference each, with the old and the new value.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::digest::{Content, Digest};
use crate::pipeline::{Origin, ParamKey, ParamValue, StageName};
use crate::plan::difference::distinct;
use crate::repo_path::RepoPath;

/// A reason that a stage is not up to date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The lock has no trace of the stage.
    NeverRan,
    /// The lock has no trace of the stage, although it was started: it failed, was stopped, or ran
    /// without being recorded.
    NotRecorded,
    /// The record in the lock does not match its checksum: lines of two versions were merged.
    MixedRecord,
    /// The user forced the stage to run.
    Forced,
    /// The stage is declared `always`.
    Always,
    /// `None` if the stage has no command and only tracks its outs.
    Cmd {
        old: Option<String>,
        new: Option<String>,
    },
    /// The URL from which the outs come, or its options. `None` if the stage has none.
    Origin {
        old: Option<Origin>,
        new: Option<Origin>,
    },
    Shell {
        old: Vec<String>,
        new: Vec<String>,
    },
    /// The glob of the items, or the declared outs of an item.
    Each {
        old: BTreeSet<String>,
        new: BTreeSet<String>,
    },
    /// The output of a command that the stage depends on.
    Tool {
        cmd: String,
        old: Option<String>,
        new: Option<String>,
    },
    /// The content of a tracked input differs from the lock.
    InputChanged {
        path: RepoPath,
    },
    Wdir {
        old: Option<RepoPath>,
        new: Option<RepoPath>,
    },
    /// `None` if the param is absent.
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
    /// A file inside a dep that is a directory or a glob.
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
    /// The outs could be restored if the cache had this object.
    ObjectGone {
        digest: Digest,
    },
    /// The stage would replace these files, which no stage made. A run refuses that.
    WouldReplace {
        paths: Vec<RepoPath>,
    },
    /// A stage that makes one of the deps has to run first, so the decision is still open.
    Upstream {
        stage: StageName,
    },
}

/// The change of a file inside a dep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    Added,
    Changed,
    Removed,
    /// Exists, but no longer counts.
    Ignored,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fate::Added => "added",
            Fate::Changed => "changed",
            Fate::Removed => "removed",
            Fate::Ignored => "ignored",
        })
    }
}

/// Writes the reason on one line: `train.epochs 10 → 30`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::NeverRan => f.write_str("never ran"),
            Change::NotRecorded => f.write_str("its last run was not recorded"),
            Change::MixedRecord => f.write_str("its record in pipeline.lock mixes two versions"),
            Change::Forced => f.write_str("forced"),
            Change::Always => f.write_str("always runs"),
            Change::Cmd { old: Some(old), new: Some(new) } => {
                let (old, new) = distinct(old, new, one_line);
                write!(f, "cmd `{old}` → `{new}`")
            }
            Change::Cmd { old, new } => write!(f, "cmd {} → {}", shown_cmd(old), shown_cmd(new)),
            Change::Origin { old, new } => {
                let place = |origin: &Option<Origin>| {
                    origin.as_ref().map_or_else(|| "-".to_owned(), Origin::to_string)
                };
                let (old, new) = distinct(&place(old), &place(new), str::to_owned);
                write!(f, "url {old} → {new}")
            }
            Change::Shell { old, new } => {
                write!(f, "shell {} → {}", shown_shell(old), shown_shell(new))
            }
            Change::Each { old, new } => {
                write!(f, "each {} → {}", shown_set(old), shown_set(new))
            }
            Change::Tool { cmd, old, new } => {
                let (old, new) = distinct(&shown(old), &shown(new), str::to_owned);
                write!(f, "tool `{}` {old} → {new}", one_line(cmd))
            }
            Change::InputChanged { path } => write!(f, "input {path} changed"),
            Change::Wdir { old, new } => write!(f, "wdir {} → {}", shown_dir(old), shown_dir(new)),
            Change::Param { key, old, new } => {
                let (old, new) = distinct(&shown(old), &shown(new), str::to_owned);
                write!(f, "{key} {old} → {new}")
            }
            Change::Env { name, old, new } => {
                let (old, new) = distinct(&shown(old), &shown(new), str::to_owned);
                write!(f, "env {name} {old} → {new}")
            }
            Change::Dep { path, old: None, .. } => write!(f, "dep {path} added"),
            Change::Dep { path, new: None, .. } => write!(f, "dep {path} removed"),
            Change::Dep { path, .. } => write!(f, "dep {path} changed"),
            Change::DepFile { path, fate } => write!(f, "file {path} {fate}"),
            Change::OutDeclared { path } => write!(f, "out {path} is newly declared"),
            Change::OutDropped { path } => write!(f, "out {path} is no longer declared"),
            Change::OutMissing { path } => write!(f, "out {path} is missing"),
            Change::OutEdited { path } => {
                write!(f, "out {path} differs from what the stage wrote")
            }
            Change::ObjectGone { digest } => {
                write!(f, "object {} is not in the cache", digest.short())
            }
            Change::WouldReplace { paths } => {
                f.write_str("would replace ")?;
                match &paths[..] {
                    [path] => write!(f, "{path}")?,
                    [path, others @ ..] => write!(f, "{path} and {} more", others.len())?,
                    [] => f.write_str("nothing")?,
                }
                f.write_str(", which repro did not make")
            }
            Change::Upstream { stage } => write!(f, "waits for {stage}"),
        }
    }
}

/// Formats a value as JSON, and an absent one as `-`.
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

fn shown_set(texts: &BTreeSet<String>) -> String {
    match texts.is_empty() {
        true => "-".to_owned(),
        false => texts.iter().cloned().collect::<Vec<_>>().join(", "),
    }
}

fn shown_shell(words: &[String]) -> String {
    if words.is_empty() { "`sh -c`".to_owned() } else { format!("`{}`", words.join(" ")) }
}

/// Shortens a command to one line.
fn one_line(cmd: &str) -> String {
    let flat = cmd.split_whitespace().collect::<Vec<_>>().join(" ");
    match flat.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &flat[..at]),
        None => flat,
    }
}
