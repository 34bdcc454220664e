//! The report of `repro trash`: what was displaced from the workspace.

use std::time::Duration;

use serde::Serialize;

use crate::digest::Digest;
use crate::engine::Project;
use crate::engine::size::{Tally, measure};
use crate::error::Result;
use crate::event::Timestamp;
use crate::plan::trash::Displaced;
use crate::repo_path::RepoPath;

/// Entries, newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct TrashReport {
    pub entries: Vec<TrashEntry>,
    /// The first line of the file that cannot be read.
    #[serde(skip)]
    pub damaged: Option<usize>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrashEntry {
    pub id: u64,
    /// Time of the displacement.
    pub at: Timestamp,
    /// Time until which `repro gc` keeps it.
    pub until: Timestamp,
    pub path: RepoPath,
    pub kind: &'static str,
    pub digest: Digest,
    /// Files and bytes that the cache holds of it.
    pub stored: Tally,
    /// `true` if the cache lacks a part of it.
    pub missing: bool,
}

impl TrashReport {
    pub fn read(project: &Project) -> Result<TrashReport> {
        let trash = project.trash.read()?;
        let entries = trash.entries.iter().rev();
        Ok(TrashReport {
            entries: entries.map(|entry| TrashEntry::new(project, entry)).collect(),
            damaged: trash.damaged,
        })
    }
}

impl TrashEntry {
    fn new(project: &Project, entry: &Displaced) -> TrashEntry {
        TrashEntry {
            id: entry.id,
            at: entry.at.saturating_mul(1000),
            until: entry.until(project.pipeline.trash).saturating_mul(1000),
            path: entry.path.clone(),
            kind: entry.content.kind(),
            digest: entry.content.digest(),
            stored: measure(project, &entry.content),
            missing: !matches!(project.cache.first_missing(&entry.content), Ok(None)),
        }
    }

    /// Returns the time since the displacement.
    pub fn age(&self, now: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(now.saturating_sub(self.at)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trash_json() {
        let entry = TrashEntry {
            id: 3,
            at: 1_764_512_345_000,
            until: 1_767_104_345_000,
            path: RepoPath::parse("models/genre.mpk").unwrap(),
            kind: "file",
            digest: Digest::of(b"mine"),
            stored: Tally { count: 1, bytes: 4 },
            missing: false,
        };
        let report = TrashReport { entries: vec![entry], damaged: None };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        [
          {
            "at": 1764512345000,
            "digest": "eb3c4771aa8569b685dfdc9abd26efa43b2f0f0686e3fe3d8ea40475c14f3f5b",
            "id": 3,
            "kind": "file",
            "missing": false,
            "path": "models/genre.mpk",
            "stored": {
              "bytes": 4,
              "count": 1
            },
            "until": 1767104345000
          }
        ]
        "#);
    }
}
