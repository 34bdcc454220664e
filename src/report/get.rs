//! The report of `repro get`: where a content came from and where it was written.

use serde::Serialize;

use crate::digest::{Content, Digest};
use crate::engine::get::Found;
#[cfg(feature = "remote")]
use crate::engine::share::other_project::{Maker, Provided};
use crate::engine::size::Tally;
use crate::event::RunName;
#[cfg(feature = "remote")]
use crate::pipeline::ProjectOrigin;
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;
use crate::runs::registry::ModelVersion;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GetReport {
    /// The run, or the name of the git revision.
    pub from: String,
    pub stage: StageName,
    pub path: RepoPath,
    pub kind: &'static str,
    pub digest: Digest,
    /// As typed, relative to the current directory.
    pub to: String,
    pub written: Tally,
}

impl GetReport {
    pub fn new(found: &Found, to: String, written: Tally) -> GetReport {
        GetReport {
            from: found.revision.to_string(),
            stage: found.stage.clone(),
            path: found.path.clone(),
            kind: found.content.kind(),
            digest: found.content.digest(),
            to,
            written,
        }
    }
}

/// A content of another project, and where it was written.
#[cfg(feature = "remote")]
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GetElsewhereReport {
    pub repo: String,
    pub commit: String,
    /// `None` for what git tracks.
    pub stage: Option<StageName>,
    pub path: RepoPath,
    pub kind: &'static str,
    pub digest: Digest,
    pub to: String,
    pub written: Tally,
}

#[cfg(feature = "remote")]
impl GetElsewhereReport {
    pub fn new(
        origin: &ProjectOrigin,
        provided: &Provided,
        to: String,
        written: Tally,
    ) -> GetElsewhereReport {
        GetElsewhereReport {
            repo: origin.repo.to_string(),
            commit: provided.commit.clone(),
            stage: match &provided.maker {
                Maker::Stage(stage) => Some(stage.clone()),
                Maker::Git => None,
            },
            path: origin.path.clone(),
            kind: provided.content.kind(),
            digest: provided.content.digest(),
            to,
            written,
        }
    }
}

/// The files of a registered model, and where they were written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GetModelReport {
    pub model: String,
    pub version: u64,
    pub source: String,
    #[serde(flatten)]
    pub content: Option<Kept>,
    pub to: String,
    pub written: Tally,
}

/// A file or folder that a client uploaded, and where it was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GetUploadReport {
    pub from: RunName,
    pub path: RepoPath,
    pub to: String,
    pub written: Tally,
}

/// The content of a version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub kind: &'static str,
    pub digest: Digest,
}

impl GetModelReport {
    pub fn new(version: &ModelVersion, to: String, written: Tally) -> GetModelReport {
        let kept = |content: Content| Kept { kind: content.kind(), digest: content.digest() };
        GetModelReport {
            model: version.name.clone(),
            version: version.version,
            source: version.source.clone(),
            content: version.content.map(kept),
            to,
            written,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_json() {
        let report = GetReport {
            from: "run-3".to_owned(),
            stage: StageName::parse("evaluate").unwrap(),
            path: RepoPath::parse("reports/gb.png").unwrap(),
            kind: "file",
            digest: Digest::of(b"png"),
            to: "/tmp/gb.png".to_owned(),
            written: Tally { count: 1, bytes: 3 },
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "digest": "bad7c9a32d645d0eb45be765104af05c7a16c3c28f5ef95ed66e1fd10c12798d",
          "from": "run-3",
          "kind": "file",
          "path": "reports/gb.png",
          "stage": "evaluate",
          "to": "/tmp/gb.png",
          "written": {
            "bytes": 3,
            "count": 1
          }
        }
        "#);
    }
}
