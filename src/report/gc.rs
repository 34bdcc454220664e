//! The report of `repro gc`: what the cache keeps for whom, and what nothing refers to.

use serde::Serialize;

use crate::engine::size::Tally;
use crate::engine::upkeep::gc::GcPlan;
use crate::engine::upkeep::roots::Root;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GcReport {
    pub kept: Vec<KeptObjects>,
    pub kept_traces: Tally,
    pub unused: Unused,
    /// Number of objects that should be kept but are missing.
    pub missing: usize,
    pub trash: Trash,
    /// `true` if the unused entries were deleted.
    pub removed: bool,
}

/// The state of the trash.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trash {
    pub kept: usize,
    /// The files of the kept entries.
    pub files: Tally,
    /// Seconds until the last of them may be forgotten.
    pub left: u64,
    /// Number of entries that are old enough to be forgotten.
    pub old: usize,
}

/// Objects that a root refers to and no earlier root does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KeptObjects {
    #[serde(flatten)]
    pub by: KeptBy,
    pub objects: Tally,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum KeptBy {
    Lock,
    Git {
        revisions: usize,
    },
    Runs {
        runs: usize,
    },
    /// Files that the processes of runs have reported.
    Artifacts {
        artifacts: usize,
    },
    /// Versions of registered models.
    Models {
        versions: usize,
    },
    Trash {
        entries: usize,
    },
    Links,
    /// Another project that uses the same cache.
    Project {
        project: String,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Unused {
    pub objects: Tally,
    pub traces: Tally,
    pub temporaries: Tally,
    /// Downloads that ended early and were not continued.
    pub downloads: Tally,
}

impl Unused {
    pub fn is_empty(&self) -> bool {
        let Unused { objects, traces, temporaries, downloads } = self;
        [objects, traces, temporaries, downloads].iter().all(|tally| tally.count == 0)
    }
}

/// Treatment of the unused entries of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnusedEntries {
    Listed,
    Deleted,
}

impl GcReport {
    pub fn new(plan: &GcPlan, unused: UnusedEntries) -> GcReport {
        let kept = plan.roots.iter().map(|(root, objects)| KeptObjects {
            by: match root {
                Root::Lock => KeptBy::Lock,
                Root::Revisions(revisions) => KeptBy::Git { revisions: *revisions },
                Root::Runs(runs) => KeptBy::Runs { runs: *runs },
                Root::Artifacts(artifacts) => KeptBy::Artifacts { artifacts: *artifacts },
                Root::Models(versions) => KeptBy::Models { versions: *versions },
                Root::Trash(entries) => KeptBy::Trash { entries: *entries },
                Root::Links => KeptBy::Links,
                Root::Project(root) => KeptBy::Project { project: root.display().to_string() },
            },
            objects: *objects,
        });
        GcReport {
            kept: kept.collect(),
            kept_traces: plan.kept_traces,
            unused: Unused {
                objects: Tally::of(plan.objects.iter().map(|object| object.bytes)),
                traces: Tally::of(plan.traces.iter().map(|trace| trace.bytes)),
                temporaries: Tally::of(plan.leftovers.iter().map(|leftover| leftover.bytes)),
                downloads: Tally::of(plan.downloads.iter().map(|download| download.bytes)),
            },
            missing: plan.missing,
            trash: Trash {
                kept: plan.trash.kept.len(),
                files: plan.trash.files,
                left: plan.trash.left.as_secs(),
                old: plan.trash.old.len(),
            },
            removed: unused == UnusedEntries::Deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gc_json() {
        let tally = |count, bytes| Tally { count, bytes };
        let kept = |by| KeptObjects { by, objects: tally(2, 20) };
        let report = GcReport {
            kept: vec![
                kept(KeptBy::Lock),
                kept(KeptBy::Git { revisions: 3 }),
                kept(KeptBy::Runs { runs: 20 }),
                kept(KeptBy::Trash { entries: 2 }),
                kept(KeptBy::Links),
                kept(KeptBy::Project { project: "/b".into() }),
            ],
            kept_traces: tally(1, 5),
            unused: Unused {
                objects: tally(1, 7),
                traces: tally(0, 0),
                temporaries: tally(0, 0),
                downloads: tally(1, 8),
            },
            missing: 1,
            trash: Trash { kept: 2, files: tally(3, 30), left: 86_400, old: 1 },
            removed: false,
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "kept": [
            {
              "by": "lock",
              "objects": {
                "bytes": 20,
                "count": 2
              }
            },
            {
              "by": "git",
              "objects": {
                "bytes": 20,
                "count": 2
              },
              "revisions": 3
            },
            {
              "by": "runs",
              "objects": {
                "bytes": 20,
                "count": 2
              },
              "runs": 20
            },
            {
              "by": "trash",
              "entries": 2,
              "objects": {
                "bytes": 20,
                "count": 2
              }
            },
            {
              "by": "links",
              "objects": {
                "bytes": 20,
                "count": 2
              }
            },
            {
              "by": "project",
              "objects": {
                "bytes": 20,
                "count": 2
              },
              "project": "/b"
            }
          ],
          "kept_traces": {
            "bytes": 5,
            "count": 1
          },
          "missing": 1,
          "removed": false,
          "trash": {
            "files": {
              "bytes": 30,
              "count": 3
            },
            "kept": 2,
            "left": 86400,
            "old": 1
          },
          "unused": {
            "downloads": {
              "bytes": 8,
              "count": 1
            },
            "objects": {
              "bytes": 7,
              "count": 1
            },
            "temporaries": {
              "bytes": 0,
              "count": 0
            },
            "traces": {
              "bytes": 0,
              "count": 0
            }
          }
        }
        "#);
    }
}
