//! The report of `repro run --plan`: what a run would do, and how long it may take.

use serde::Serialize;

use super::status::StageStatus;
use crate::engine::Project;
use crate::engine::plan::Plan;
use crate::event::Millis;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanReport {
    /// Selected stages in the order of the graph.
    pub stages: Vec<PlannedStage>,
    /// Number of processors that the stages may use.
    pub jobs: usize,
    /// Upper estimate of the duration; stages without a known duration count nothing.
    pub estimate: Millis,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStage {
    #[serde(flatten)]
    pub status: StageStatus,
    /// Duration of the same work last time.
    pub took: Option<Millis>,
}

impl PlanReport {
    pub fn new(project: &Project, plan: Plan, jobs: usize) -> PlanReport {
        let stages = plan.stages.into_iter().map(|planned| PlannedStage {
            status: StageStatus::new(project, planned.ix, planned.verdict),
            took: planned.took,
        });
        PlanReport { stages: stages.collect(), jobs, estimate: plan.estimate }
    }

    /// Returns the highest exit code with which a run would stop at one of the stages; 0 for none.
    pub fn exit_code(&self) -> u8 {
        self.stages.iter().map(|stage| stage.status.verdict.exit_code()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::status::Verdict;
    use crate::plan::Change;
    use crate::report::status::tests::stage;

    #[test]
    fn plan_json() {
        let report = PlanReport {
            stages: vec![PlannedStage {
                status: stage("train", Verdict::Run(vec![Change::NeverRan])),
                took: Some(Millis(1500)),
            }],
            jobs: 4,
            estimate: Millis(1500),
        };
        insta::assert_snapshot!(crate::report::json(&report), @r#"
        {
          "estimate": 1500,
          "jobs": 4,
          "stages": [
            {
              "changes": [
                {
                  "change": "never_ran"
                }
              ],
              "stage": "train",
              "took": 1500,
              "verdict": "run"
            }
          ]
        }
        "#);
    }
}
