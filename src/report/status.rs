//! The report of `repro status` and `repro why`: a verdict per stage.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::engine::Project;
use crate::engine::status::Verdict;
use crate::pipeline::StageIx;
use crate::plan::Change;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatusReport {
    /// Stages that were left out while loading because they are up to date, then the checked ones
    /// in the order of the graph.
    pub stages: Vec<StageStatus>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StageStatus {
    pub stage: String,
    pub verdict: Verdict,
}

impl StatusReport {
    pub fn new(project: &Project, verdicts: Vec<(StageIx, Verdict)>) -> StatusReport {
        let fresh = project.up_to_date.names().map(|name| StageStatus {
            stage: name.to_owned(),
            verdict: Verdict::Fresh { accepted: None },
        });
        let checked =
            verdicts.into_iter().map(|(ix, verdict)| StageStatus::new(project, ix, verdict));
        StatusReport { stages: fresh.chain(checked).collect() }
    }

    /// Returns the highest exit code with which a run would stop at one of the stages; 0 for none.
    pub fn exit_code(&self) -> u8 {
        self.stages.iter().map(|stage| stage.verdict.exit_code()).max().unwrap_or(0)
    }

    pub fn is_fresh(&self) -> bool {
        self.stages.iter().all(|stage| stage.verdict.is_fresh())
    }
}

impl StageStatus {
    pub(super) fn new(project: &Project, ix: StageIx, verdict: Verdict) -> StageStatus {
        StageStatus { stage: project.pipeline.stages[ix].name.to_string(), verdict }
    }
}

/// The verdict is one word; a failure or a blocking stage is a field of its own.
impl Serialize for StageStatus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        map.serialize_entry("stage", &self.stage)?;
        map.serialize_entry("verdict", self.verdict.word())?;
        map.serialize_entry("changes", self.verdict.changes())?;
        match &self.verdict {
            Verdict::Fails(failure, _) => map.serialize_entry("failure", failure)?,
            Verdict::Skipped { because } => map.serialize_entry("because", because)?,
            _ => {}
        }
        map.end()
    }
}

/// Maximum number of reasons in a line; `repro why` shows the others.
const MOST_REASONS: usize = 4;

/// Returns the predicate of a sentence about the stage.
pub fn sentence(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fresh { .. } => "is up to date".into(),
        Verdict::Run(changes) => format!("is out of date: {}", reasons(changes)),
        Verdict::Restore(changes) => {
            format!("can be restored from the cache: {}", reasons(changes))
        }
        Verdict::Waits(changes) => {
            let waits: Vec<String> = changes.iter().filter_map(upstream).collect();
            let known: Vec<Change> =
                changes.iter().filter(|change| upstream(change).is_none()).cloned().collect();
            let waits = format!("waits for {}", waits.join(", "));
            if known.is_empty() {
                waits
            } else {
                format!("is out of date: {}; {waits}", reasons(&known))
            }
        }
        Verdict::Fails(failure, _) => failure.to_string(),
        Verdict::Skipped { because } => {
            format!("would be skipped: it needs {because}, which cannot run")
        }
    }
}

fn upstream(change: &Change) -> Option<String> {
    match change {
        Change::Upstream { stage } => Some(stage.to_string()),
        _ => None,
    }
}

fn reasons(changes: &[Change]) -> String {
    let mut shown: Vec<String> = changes.iter().take(MOST_REASONS).map(Change::to_string).collect();
    if changes.len() > MOST_REASONS {
        shown.push(format!("and {} more", changes.len() - MOST_REASONS));
    }
    shown.join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::Failure;
    use crate::pipeline::{ParamKey, StageName};
    use crate::plan::Change;

    pub(in crate::report) fn stage(name: &str, verdict: Verdict) -> StageStatus {
        StageStatus { stage: name.to_owned(), verdict }
    }

    #[test]
    fn status_json() {
        let epochs = Change::Param {
            key: ParamKey::new("train.epochs"),
            old: Some(10.into()),
            new: Some(30.into()),
        };
        let failure = Failure {
            what: "dep `data` does not exist".into(),
            causes: vec![],
            hint: Some("create it".into()),
        };
        let report = StatusReport {
            stages: vec![
                stage("download", Verdict::Fresh { accepted: Some("a comment".into()) }),
                stage("train", Verdict::Run(vec![epochs])),
                stage("load", Verdict::Fails(failure, 2)),
                stage("report", Verdict::Skipped { because: StageName::parse("load").unwrap() }),
            ],
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "stages": [
            {
              "changes": [],
              "stage": "download",
              "verdict": "fresh"
            },
            {
              "changes": [
                {
                  "change": "param",
                  "key": "train.epochs",
                  "new": 30,
                  "old": 10
                }
              ],
              "stage": "train",
              "verdict": "run"
            },
            {
              "changes": [],
              "failure": {
                "causes": [],
                "hint": "create it",
                "what": "dep `data` does not exist"
              },
              "stage": "load",
              "verdict": "fails"
            },
            {
              "because": "load",
              "changes": [],
              "stage": "report",
              "verdict": "skipped"
            }
          ]
        }
        "#);
    }
}
