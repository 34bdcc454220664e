//! The reports of `repro runs show` and `repro runs list`.

use std::collections::BTreeMap;

use serde::ser::{Error as _, SerializeSeq as _};
use serde::{Serialize, Serializer};

use super::metrics::FinalMetrics;
use super::run_tree::{self, Children, Node};
use super::streamed::ReadFailure;
use crate::error::Result;
use crate::event::{Failure, GitState, Millis, RunKind, RunName, RunUid, Timestamp};
use crate::pipeline::{Goals, ParamKey, ParamValue, StageName};
use crate::runs::compare::compare_params;
use crate::runs::{Artifact, Origin, Run, StageRecord, StageState, Store};

/// Everything recorded about a run, except its series.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunReport {
    #[serde(flatten, serialize_with = "details")]
    pub run: Run,
    /// The run that this one is a part of, if the store has it.
    #[serde(skip)]
    pub part_of: Option<RunName>,
    /// The runs that are a part of this one.
    pub children: Option<Children>,
}

impl RunReport {
    /// # Errors
    /// The store cannot be read.
    pub fn read(store: &Store, run: RunName, goals: &Goals) -> Result<RunReport> {
        let run = store.run(run)?;
        let rows = run_tree::collapsed(store, &[run.name], run.lifecycle, &store.known()?, goals)?;
        let children = rows.into_iter().next().and_then(|row| row.hidden);
        Ok(RunReport { part_of: store.parent(run.name)?, run, children })
    }
}

/// Runs with all that a list can show. They are read one by one: there may be many.
#[derive(Debug)]
pub struct RunListReport<'s> {
    store: &'s Store,
    rows: Vec<Node>,
    pub failure: ReadFailure,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunEntry {
    #[serde(flatten, serialize_with = "summary")]
    pub run: Run,
    /// Params that differ from the run before.
    pub changed: Vec<ChangedParam>,
    /// The children that the list does not show.
    pub children: Option<Children>,
    /// Number of runs above it in the tree.
    #[serde(skip)]
    pub depth: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangedParam {
    pub key: ParamKey,
    pub old: Option<ParamValue>,
    pub new: Option<ParamValue>,
}

impl<'s> RunListReport<'s> {
    pub fn new(store: &'s Store, rows: Vec<Node>) -> RunListReport<'s> {
        RunListReport { store, rows, failure: ReadFailure::default() }
    }

    pub fn entries(&self) -> impl Iterator<Item = Result<RunEntry>> {
        self.rows.iter().map(|node| {
            let run = self.store.run(node.run)?;
            let changed = match self.store.before(node.run)? {
                None => Vec::new(),
                Some(before) => changed(self.store.params(before)?, &run),
            };
            Ok(RunEntry { run, changed, children: node.hidden.clone(), depth: node.depth })
        })
    }
}

/// Reads the runs while it serializes them.
impl Serialize for RunListReport<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut list = s.serialize_seq(Some(self.rows.len()))?;
        for entry in self.entries() {
            let entry = entry.map_err(|error| self.failure.keep(error))?;
            // A value has its keys sorted.
            list.serialize_element(&serde_json::to_value(entry).map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

fn changed(before: BTreeMap<ParamKey, ParamValue>, run: &Run) -> Vec<ChangedParam> {
    let rows = compare_params(&[&before, &run.info.params]);
    let differing = rows.into_iter().filter(|row| row.differs());
    differing
        .map(|row| ChangedParam {
            key: row.key,
            old: row.values[0].clone(),
            new: row.values[1].clone(),
        })
        .collect()
}

/// Serializes everything that is recorded about a run.
fn details<S: Serializer>(run: &Run, s: S) -> Result<S::Ok, S::Error> {
    let details = RunDetails {
        run: RunFields::from(run),
        params: &run.info.params,
        artifacts: run.artifacts.iter().map(ArtifactFields::from).collect(),
    };
    details.serialize(s)
}

/// Serializes a run without its params and artifacts.
fn summary<S: Serializer>(run: &Run, s: S) -> Result<S::Ok, S::Error> {
    RunFields::from(run).serialize(s)
}

#[derive(Serialize)]
struct RunDetails<'a> {
    #[serde(flatten)]
    run: RunFields<'a>,
    params: &'a BTreeMap<ParamKey, ParamValue>,
    artifacts: Vec<ArtifactFields<'a>>,
}

/// The fields of a run that both reports have.
#[derive(Serialize)]
struct RunFields<'a> {
    run: RunName,
    uid: RunUid,
    name: Option<&'a str>,
    kind: RunKind,
    /// Identity of the run that this one is a part of.
    parent: Option<RunUid>,
    experiment: &'a str,
    user: Option<&'a str>,
    lifecycle: &'static str,
    note: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
    status: &'static str,
    started: Timestamp,
    took: Option<Millis>,
    pipeline: Option<&'a str>,
    command: &'a [String],
    overrides: &'a [String],
    host: &'a str,
    git: Option<&'a GitState>,
    /// Number of stages that were up to date before the run started.
    fresh: usize,
    stages: Vec<StageFields<'a>>,
    metrics: FinalMetrics<'a>,
}

impl<'a> From<&'a Run> for RunFields<'a> {
    fn from(run: &'a Run) -> RunFields<'a> {
        RunFields {
            run: run.name,
            uid: run.info.uid,
            name: run.info.name.as_deref(),
            kind: run.info.kind,
            parent: run.info.parent,
            experiment: &run.info.experiment,
            user: run.info.user.as_deref(),
            lifecycle: run.lifecycle.word(),
            note: run.note.as_deref(),
            tags: &run.tags,
            status: run.state.word(),
            started: run.started,
            took: run.took,
            pipeline: run.info.pipeline.as_deref(),
            command: &run.info.command,
            overrides: &run.info.overrides,
            host: &run.info.host,
            git: run.info.git.as_ref(),
            fresh: run.info.fresh,
            stages: run.stages.iter().map(StageFields::from).collect(),
            metrics: FinalMetrics(&run.metrics),
        }
    }
}

#[derive(Serialize)]
struct StageFields<'a> {
    stage: &'a StageName,
    outcome: &'static str,
    started: Option<Timestamp>,
    took: Option<Millis>,
    /// At most the first hundred; `reason_count` counts all.
    reasons: &'a [String],
    reason_count: usize,
    /// Exit code of the last process; 128 plus the signal if one killed it.
    exit_code: Option<i32>,
    /// CPU time of all its processes.
    cpu: Option<Millis>,
    /// Peak memory of the largest process in bytes.
    memory: Option<u64>,
    tools: &'a BTreeMap<String, String>,
    /// Values of secret variables are digests; `null` if unset.
    env: &'a BTreeMap<String, Option<String>>,
    failure: Option<&'a Failure>,
    /// The failed stage because of which this one was skipped, or the reason of an acceptance.
    because: Option<&'a str>,
}

impl<'a> From<&'a StageRecord> for StageFields<'a> {
    fn from(stage: &'a StageRecord) -> StageFields<'a> {
        let (failure, because) = match &stage.state {
            StageState::Failed(failure) | StageState::Unrecorded(failure) => (Some(failure), None),
            StageState::Restored { from } => (None, from.as_deref()),
            StageState::Skipped { because } => (None, because.as_ref().map(StageName::as_str)),
            StageState::Accepted { reason } => (None, Some(reason.as_str())),
            _ => (None, None),
        };
        StageFields {
            stage: &stage.stage,
            outcome: stage.state.word(),
            started: stage.started,
            took: stage.took,
            reasons: &stage.reasons,
            reason_count: stage.reason_count,
            exit_code: stage.usage.map(|usage| usage.exit_code),
            cpu: stage.usage.map(|usage| usage.cpu),
            memory: stage.usage.and_then(|usage| usage.memory),
            tools: &stage.inputs.tools,
            env: &stage.inputs.env,
            failure,
            because,
        }
    }
}

#[derive(Serialize)]
struct ArtifactFields<'a> {
    stage: &'a StageName,
    path: &'a str,
    kind: Option<&'a str>,
    digest: Option<&'a str>,
    /// `out`, or `reported` by the process.
    origin: &'static str,
}

impl<'a> From<&'a Artifact> for ArtifactFields<'a> {
    fn from(artifact: &'a Artifact) -> ArtifactFields<'a> {
        let content = artifact.content.as_ref();
        ArtifactFields {
            stage: &artifact.stage,
            path: &artifact.path,
            kind: content.map(|(kind, _)| kind.as_str()),
            digest: content.map(|(_, digest)| digest.as_str()),
            origin: match artifact.origin {
                Origin::Out => "out",
                Origin::Reported => "reported",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::run_tree::flat;
    use crate::runs::tests::{at_a_fixed_time, finished};

    #[test]
    fn run_json() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let mut run = store.run(RunName(1)).unwrap();
        at_a_fixed_time(&mut run);
        insta::assert_snapshot!(crate::report::json(&RunReport { run, part_of: None, children: None }), @r#"
        {
          "artifacts": [
            {
              "digest": "ecc66cc4e17fdaf7dce95e7d37373209184951d1071ab1efb42cee764ffb27a2",
              "kind": "file",
              "origin": "out",
              "path": "data/audio.bin",
              "stage": "download"
            }
          ],
          "children": null,
          "command": [
            "repro",
            "run",
            "-p",
            "note=a b"
          ],
          "experiment": "genres",
          "fresh": 0,
          "git": {
            "branch": "main",
            "commit": "3f2a91c0d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9",
            "tree": "clean"
          },
          "host": "ws-7",
          "kind": "pipeline",
          "lifecycle": "active",
          "metrics": {
            "train.loss": 2.25
          },
          "name": null,
          "note": null,
          "overrides": [
            "note=a b"
          ],
          "params": {
            "seed": 42,
            "source": "synth",
            "train.epochs": 10
          },
          "parent": null,
          "pipeline": "genres",
          "run": "run-1",
          "stages": [
            {
              "because": null,
              "cpu": null,
              "env": {},
              "exit_code": null,
              "failure": null,
              "memory": null,
              "outcome": "fresh",
              "reason_count": 0,
              "reasons": [],
              "stage": "download",
              "started": null,
              "took": 0,
              "tools": {}
            },
            {
              "because": null,
              "cpu": null,
              "env": {},
              "exit_code": null,
              "failure": {
                "causes": [
                  "its last line: \"loss is NaN\""
                ],
                "hint": "look",
                "what": "exited with code 1"
              },
              "memory": null,
              "outcome": "failed",
              "reason_count": 1,
              "reasons": [
                "never ran"
              ],
              "stage": "train",
              "started": 1000,
              "took": 192000,
              "tools": {}
            },
            {
              "because": "train",
              "cpu": null,
              "env": {},
              "exit_code": null,
              "failure": null,
              "memory": null,
              "outcome": "skipped",
              "reason_count": 0,
              "reasons": [],
              "stage": "evaluate",
              "started": null,
              "took": 0,
              "tools": {}
            }
          ],
          "started": 1778335402000,
          "status": "failed",
          "tags": {},
          "took": 193000,
          "uid": "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
          "user": "mira"
        }
        "#);
    }

    #[test]
    fn run_list_json() {
        let dir = finished();
        let store = Store::open_existing(dir.path()).unwrap().unwrap();
        let report = RunListReport::new(&store, flat(&store.names(1).unwrap()));
        let mut streamed = Vec::new();
        let written = crate::report::streamed::write_json(&report, &report.failure, &mut streamed);
        written.unwrap().unwrap();
        assert_eq!(String::from_utf8(streamed).unwrap(), crate::report::json(&report));
        let json: serde_json::Value = serde_json::from_str(&crate::report::json(&report)).unwrap();
        let entry = json[0].as_object().unwrap();
        assert_eq!(
            entry.keys().map(String::as_str).collect::<Vec<_>>(),
            [
                "changed",
                "children",
                "command",
                "experiment",
                "fresh",
                "git",
                "host",
                "kind",
                "lifecycle",
                "metrics",
                "name",
                "note",
                "overrides",
                "parent",
                "pipeline",
                "run",
                "stages",
                "started",
                "status",
                "tags",
                "took",
                "uid",
                "user",
            ]
        );
        assert_eq!(entry["run"], "run-2");
        assert_eq!(
            entry["changed"],
            serde_json::json!([{ "key": "train.epochs", "old": 10, "new": 30 }])
        );
    }
}
