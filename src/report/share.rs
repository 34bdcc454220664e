//! The reports of commands about remotes: what travelled, what differs, and what is missing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::engine::share::fetch::FetchReport;
use crate::engine::share::gc::RemoteGc;
use crate::engine::share::missing::Missing;
use crate::engine::share::push::Pushed;
use crate::engine::share::runs::{PulledRuns, PushedRuns};
use crate::engine::share::status::Differences;
use crate::pipeline::StageName;
use crate::remote::{Amount, Remote};
use crate::repo_path::RepoPath;
use crate::report::gc::UnusedEntries;
use crate::runs::RunName;

/// Objects, traces and bytes that travelled, or would travel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TransferReport {
    pub remote: String,
    /// The place of the remote.
    pub place: String,
    /// Nothing was sent or fetched, only counted.
    pub dry_run: bool,
    /// Number of objects that the selection consists of.
    pub selected: usize,
    pub objects: u64,
    /// Bytes of these objects when unpacked.
    pub bytes: u64,
    pub traces: usize,
    /// Bytes that went to or came from the store.
    pub transferred: u64,
    /// Outs with `cache = false`, which do not travel.
    pub uncached: Vec<RepoPath>,
    pub missing: Vec<MissingOut>,
    /// The transfer was interrupted; the same command continues it.
    pub interrupted: bool,
    /// Runs, if they travelled, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<RunsReport>,
}

/// Runs that were sent, or that were merged with the history.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RunsReport {
    /// Runs that were sent, or added here.
    pub new: Vec<RunName>,
    /// Number of runs that the remote had already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known: Option<usize>,
    /// Runs that are not sent, since they have not ended.
    pub running: Vec<RunName>,
    /// Runs that others have edited or deleted.
    pub edited: Vec<EditedRun>,
    /// Values that were dropped, since a field was edited here and elsewhere.
    pub conflicts: Vec<DroppedEdit>,
    /// Runs that lost their name to another run.
    pub nameless: Vec<RunName>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EditedRun {
    pub run: RunName,
    pub fields: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DroppedEdit {
    pub run: RunName,
    pub field: String,
    pub kept: Option<String>,
    pub dropped: Option<String>,
}

impl RunsReport {
    pub fn of_push(pushed: &PushedRuns) -> RunsReport {
        RunsReport {
            new: pushed.sent.clone(),
            known: Some(pushed.known),
            running: pushed.running.clone(),
            ..RunsReport::default()
        }
    }

    pub fn of_pull(pulled: &PulledRuns) -> RunsReport {
        let edited = pulled.edited.iter().map(|(run, fields)| EditedRun {
            run: *run,
            fields: fields.iter().map(|field| field.text()).collect(),
        });
        let conflicts = pulled.conflicts.iter().map(|(run, conflict)| DroppedEdit {
            run: *run,
            field: conflict.field.text(),
            kept: conflict.kept.clone(),
            dropped: conflict.dropped.clone(),
        });
        RunsReport {
            new: pulled.new.iter().map(|(run, _)| *run).collect(),
            edited: edited.collect(),
            conflicts: conflicts.collect(),
            nameless: pulled.nameless.iter().map(|(run, _)| *run).collect(),
            ..RunsReport::default()
        }
    }
}

/// An out of which the cache lacks objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingOut {
    pub stage: StageName,
    pub path: RepoPath,
    pub objects: usize,
    /// Number of these that the remote has: a failure or an interruption kept them.
    pub on_remote: usize,
    /// Number of objects that the out is known to consist of.
    pub of: usize,
}

/// Execution of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    Done,
    /// Nothing travelled, it was only counted.
    Counted,
}

impl TransferReport {
    pub fn of_push(remote: &Remote, pushed: &Pushed, execution: Execution) -> TransferReport {
        TransferReport {
            remote: remote.name.clone(),
            place: remote.place(),
            dry_run: execution == Execution::Counted,
            selected: pushed.selected,
            objects: pushed.objects.objects,
            bytes: pushed.objects.bytes,
            traces: pushed.records,
            transferred: pushed.packs.bytes,
            uncached: pushed.uncached.iter().cloned().collect(),
            missing: pushed.missing.iter().map(missing).collect(),
            interrupted: pushed.was_stopped,
            runs: None,
        }
    }

    pub fn of_fetch(
        remote: &Remote,
        fetched: &FetchReport,
        execution: Execution,
    ) -> TransferReport {
        TransferReport {
            remote: remote.name.clone(),
            place: remote.place(),
            dry_run: execution == Execution::Counted,
            selected: fetched.selected,
            objects: fetched.objects.objects,
            bytes: fetched.objects.bytes,
            traces: fetched.traces,
            transferred: fetched.received,
            uncached: fetched.uncached.iter().cloned().collect(),
            missing: fetched.missing.iter().map(missing).collect(),
            interrupted: fetched.was_stopped,
            runs: None,
        }
    }
}

/// The differences between the outs in the lock and a remote.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RemoteStatusReport {
    pub remote: String,
    /// The place of the remote.
    pub place: String,
    /// Number of objects that all outs are known to consist of.
    pub objects: usize,
    /// Stages whose outs are not the same in the cache and on the remote.
    pub stages: Vec<StageDifferences>,
}

/// Numbers of objects of a stage's outs, and their bytes when unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageDifferences {
    pub stage: StageName,
    pub of: usize,
    /// In the cache and not on the remote.
    pub unpushed: u64,
    pub unpushed_bytes: u64,
    /// The trace of the stage is not on the remote.
    pub unpushed_trace: bool,
    /// On the remote and not in the cache.
    pub unfetched: u64,
    pub unfetched_bytes: u64,
    /// A folder was not fetched, so the numbers of objects on the remote are too low.
    pub unknown_folders: bool,
    /// Neither in the cache nor on the remote.
    pub missing: usize,
}

impl RemoteStatusReport {
    pub fn new(remote: &Remote, found: BTreeMap<StageName, Differences>) -> RemoteStatusReport {
        let objects = found.values().map(|stage| stage.of).sum();
        let differing = found.into_iter().filter(|(_, found)| !found.is_empty());
        let stages = differing.map(|(stage, found)| StageDifferences {
            stage,
            of: found.of,
            unpushed: found.unpushed.objects,
            unpushed_bytes: found.unpushed.bytes,
            unpushed_trace: found.is_trace_unpushed,
            unfetched: found.unfetched.objects,
            unfetched_bytes: found.unfetched.bytes,
            unknown_folders: found.is_incomplete,
            missing: found.missing,
        });
        RemoteStatusReport {
            remote: remote.name.clone(),
            place: remote.place(),
            objects,
            stages: stages.collect(),
        }
    }

    /// Reports whether `repro push` would send something.
    pub fn is_unpushed(&self) -> bool {
        self.stages.iter().any(|stage| stage.unpushed > 0 || stage.unpushed_trace)
    }
}

/// The parts of a remote that are kept, and those that are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoteGcReport {
    pub remote: String,
    /// The place of the remote.
    pub place: String,
    pub kept: Share,
    pub unused: Share,
    /// Packs in which nothing is used any more; they are deleted after the grace period.
    pub unused_packs: PackTally,
    /// Packs that were unused before the grace period.
    pub old_packs: PackTally,
    /// Number of git revisions and of runs on the remote that count as roots.
    pub revisions: usize,
    pub runs: usize,
    /// `true` if the unused parts were deleted.
    pub removed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Share {
    pub objects: u64,
    /// Bytes of these objects when unpacked.
    pub bytes: u64,
    pub traces: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PackTally {
    pub count: u64,
    pub bytes: u64,
}

impl RemoteGcReport {
    pub fn new(remote: &Remote, gc: &RemoteGc, unused: UnusedEntries) -> RemoteGcReport {
        let share =
            |amount: Amount, traces| Share { objects: amount.objects, bytes: amount.bytes, traces };
        let packs = |amount: Amount| PackTally { count: amount.objects, bytes: amount.bytes };
        let plan = &gc.plan;
        RemoteGcReport {
            remote: remote.name.clone(),
            place: remote.place(),
            kept: share(plan.kept, plan.kept_traces),
            unused: share(plan.unused, plan.unused_traces),
            unused_packs: packs(plan.packs),
            old_packs: packs(plan.old_packs),
            revisions: gc.revisions,
            runs: gc.runs,
            removed: unused == UnusedEntries::Deleted,
        }
    }

    pub fn is_empty(&self) -> bool {
        let parts = [self.unused.objects, self.unused_packs.count, self.old_packs.count];
        parts.iter().sum::<u64>() == 0 && self.unused.traces == 0
    }
}

fn missing(missing: &Missing) -> MissingOut {
    let Missing { stage, path, objects, on_remote, of } = missing.clone();
    MissingOut { stage, path, objects, on_remote, of }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_json() {
        let path = RepoPath::parse("data/x").unwrap();
        let report = TransferReport {
            remote: "origin".into(),
            place: "/mnt/store".into(),
            dry_run: false,
            selected: 12,
            objects: 3,
            bytes: 3000,
            traces: 1,
            transferred: 1200,
            uncached: vec![RepoPath::parse("metrics.json").unwrap()],
            missing: vec![MissingOut {
                stage: StageName::parse("train").unwrap(),
                path,
                objects: 1,
                on_remote: 0,
                of: 4,
            }],
            interrupted: false,
            runs: None,
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "bytes": 3000,
          "dry_run": false,
          "interrupted": false,
          "missing": [
            {
              "objects": 1,
              "of": 4,
              "on_remote": 0,
              "path": "data/x",
              "stage": "train"
            }
          ],
          "objects": 3,
          "place": "/mnt/store",
          "remote": "origin",
          "selected": 12,
          "traces": 1,
          "transferred": 1200,
          "uncached": [
            "metrics.json"
          ]
        }
        "#);
    }
}
