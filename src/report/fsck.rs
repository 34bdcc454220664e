//! The report of `repro fsck`: faults of the cache, and what a repair did about them.

use std::path::Path;

use serde::Serialize;

use crate::digest::Digest;
use crate::engine::Project;
use crate::engine::size::Tally;
use crate::engine::upkeep::fsck::{self, By, Wrong};
use crate::engine::upkeep::repair::Repair;
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FsckReport {
    pub objects: Tally,
    pub traces: usize,
    /// Number of traces in a newer format, which were not checked.
    pub newer_traces: usize,
    pub clean: bool,
    pub faults: Vec<Fault>,
    pub unreadable_traces: Vec<Digest>,
    /// The first line of `cache/trash` that cannot be read.
    pub damaged_trash: Option<usize>,
    /// Files that do not belong in the cache, relative to the project.
    pub strays: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repair: Option<RepairReport>,
}

/// An object that is damaged or missing, and what refers to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fault {
    pub object: Digest,
    pub fault: FaultKind,
    /// Why an unreadable object cannot be read.
    pub cause: Option<String>,
    pub referrers: Vec<Referrer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    Damaged,
    Unreadable,
    Missing,
    /// Intact, but not a tree although something refers to it as one.
    NotATree,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Referrer {
    Stage {
        stage: StageName,
        path: RepoPath,
    },
    Trace {
        trace: Digest,
        path: RepoPath,
    },
    /// An entry of the trash, by its id.
    Trash {
        trash: u64,
        path: RepoPath,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RepairReport {
    pub moved: Vec<Moved>,
    /// Objects rebuilt from the workspace.
    pub rebuilt: Vec<Digest>,
    pub removed_traces: Vec<Digest>,
    /// Ids of entries that were removed from the trash, since their content is lost.
    pub forgotten: Vec<u64>,
    /// Why objects could not be rebuilt.
    pub troubles: Vec<String>,
    /// `true` if no fault remains.
    pub clean: bool,
    /// Remaining faults.
    pub left: Vec<Fault>,
    /// Stages whose outs a run has to make again.
    pub stages_to_run: Vec<String>,
    /// Members of `stages_to_run` that `pipeline.toml` no longer declares.
    ///
    /// Not in JSON: the list only selects the wording for people, and it follows from
    /// `stages_to_run` and `pipeline.toml`.
    #[serde(skip)]
    pub undeclared: Vec<String>,
}

/// Both paths are relative to the project.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    pub from: String,
    pub to: String,
}

impl FsckReport {
    /// Combines the findings of a check with those of the repair that followed, if one did.
    pub fn new(project: &Project, found: &fsck::Report, repair: Option<&Repair>) -> FsckReport {
        FsckReport {
            objects: found.objects,
            traces: found.traces,
            newer_traces: found.newer,
            clean: found.is_clean(),
            faults: faults(found),
            unreadable_traces: found.unreadable.clone(),
            damaged_trash: found.trash_line,
            strays: found.strays.iter().map(|stray| relative(project, stray)).collect(),
            repair: repair.map(|repair| RepairReport::new(project, repair)),
        }
    }
}

impl RepairReport {
    fn new(project: &Project, repair: &Repair) -> RepairReport {
        let moved = repair
            .moved
            .iter()
            .map(|(from, to)| Moved { from: relative(project, from), to: relative(project, to) });
        let stages_to_run = stages_to_run(&repair.left);
        let is_undeclared = |stage: &&String| project.pipeline.find(stage).is_none();
        RepairReport {
            moved: moved.collect(),
            rebuilt: repair.rebuilt.clone(),
            removed_traces: repair.removed_traces.clone(),
            forgotten: repair.forgotten.iter().copied().collect(),
            troubles: repair.troubles.iter().map(ToString::to_string).collect(),
            clean: repair.left.is_clean(),
            left: faults(&repair.left),
            undeclared: stages_to_run.iter().filter(is_undeclared).cloned().collect(),
            stages_to_run,
        }
    }
}

fn faults(found: &fsck::Report) -> Vec<Fault> {
    let referrer = |referrer: &fsck::Referrer| {
        let path = referrer.path.clone();
        match &referrer.by {
            By::Stage(stage) => Referrer::Stage { stage: stage.clone(), path },
            By::Trace(trace) => Referrer::Trace { trace: *trace, path },
            By::Trash(trash) => Referrer::Trash { trash: *trash, path },
        }
    };
    let fault = |(object, fault): (&Digest, &fsck::Fault)| {
        let (kind, cause) = match &fault.what {
            Wrong::Damaged => (FaultKind::Damaged, None),
            Wrong::Unreadable(why) => (FaultKind::Unreadable, Some(why.clone())),
            Wrong::Missing => (FaultKind::Missing, None),
            Wrong::NotATree => (FaultKind::NotATree, None),
        };
        let referrers = fault.referrers.iter().map(referrer).collect();
        Fault { object: *object, fault: kind, cause, referrers }
    };
    found.faults.iter().map(fault).collect()
}

/// Returns the stages of the lock that refer to a faulty object, sorted.
fn stages_to_run(found: &fsck::Report) -> Vec<String> {
    let referrers = found.faults.values().flat_map(|fault| &fault.referrers);
    let mut stages: Vec<String> = referrers
        .filter_map(|referrer| match &referrer.by {
            By::Stage(stage) => Some(stage.to_string()),
            By::Trace(_) | By::Trash(_) => None,
        })
        .collect();
    stages.sort();
    stages.dedup();
    stages
}

fn relative(project: &Project, path: &Path) -> String {
    path.strip_prefix(&project.root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fsck_json() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let path = RepoPath::parse("model.bin").unwrap();
        let stage = StageName::parse("train").unwrap();
        let fault = Fault {
            object: digest("object"),
            fault: FaultKind::NotATree,
            cause: None,
            referrers: vec![
                Referrer::Stage { stage, path: path.clone() },
                Referrer::Trace { trace: digest("trace"), path: path.clone() },
                Referrer::Trash { trash: 3, path },
            ],
        };
        let mut report = FsckReport {
            objects: Tally { count: 2, bytes: 30 },
            traces: 1,
            newer_traces: 0,
            clean: false,
            faults: vec![fault],
            unreadable_traces: vec![],
            damaged_trash: Some(4),
            strays: vec!["cache/objects/notes.txt".into()],
            repair: None,
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "clean": false,
          "damaged_trash": 4,
          "faults": [
            {
              "cause": null,
              "fault": "not_a_tree",
              "object": "cb5335a6e2b17f868a138bcc188425d6433d6c2549969455ce3615fac1fb1ede",
              "referrers": [
                {
                  "path": "model.bin",
                  "stage": "train"
                },
                {
                  "path": "model.bin",
                  "trace": "6a544aa849abf414a4bafe0a1d64fbbeefcf49c3434b4a3aa9a54faf8071b7e8"
                },
                {
                  "path": "model.bin",
                  "trash": 3
                }
              ]
            }
          ],
          "newer_traces": 0,
          "objects": {
            "bytes": 30,
            "count": 2
          },
          "strays": [
            "cache/objects/notes.txt"
          ],
          "traces": 1,
          "unreadable_traces": []
        }
        "#);
        (report.faults, report.strays) = (vec![], vec![]);
        report.repair = Some(RepairReport {
            moved: vec![Moved { from: "cache/objects/a".into(), to: "cache/damaged/a".into() }],
            rebuilt: vec![],
            removed_traces: vec![],
            forgotten: vec![3],
            troubles: vec!["cannot read `model.bin`".into()],
            clean: false,
            left: vec![],
            stages_to_run: vec!["train".into()],
            undeclared: vec!["train".into()],
        });
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "clean": false,
          "damaged_trash": 4,
          "faults": [],
          "newer_traces": 0,
          "objects": {
            "bytes": 30,
            "count": 2
          },
          "repair": {
            "clean": false,
            "forgotten": [
              3
            ],
            "left": [],
            "moved": [
              {
                "from": "cache/objects/a",
                "to": "cache/damaged/a"
              }
            ],
            "rebuilt": [],
            "removed_traces": [],
            "stages_to_run": [
              "train"
            ],
            "troubles": [
              "cannot read `model.bin`"
            ]
          },
          "strays": [],
          "traces": 1,
          "unreadable_traces": []
        }
        "#);
    }
}
