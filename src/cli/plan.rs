//! The output of `repro run --plan`.

use super::common::show_stages;
use crate::engine::status::Verdict;
use crate::error::Result;
use crate::event::Millis;
use crate::report::plan::{PlanReport, PlannedStage};
use crate::terminal::{stdout, style};

/// Maximum number of stage names in a line.
const MOST_NAMED: usize = 4;

pub(super) fn show(plan: &PlanReport) -> Result<()> {
    let dim = style::DIM;
    let last_time = |took: Millis| format!(" {dim}({took} last time){dim:#}");
    show_stages(
        &plan.stages,
        |planned| &planned.status,
        |planned| planned.took.map(last_time).unwrap_or_default(),
    )?;
    let is_work = |planned: &&PlannedStage| {
        let verdict = &planned.status.verdict;
        !verdict.is_fresh() && !matches!(verdict, Verdict::Fails(..) | Verdict::Skipped { .. })
    };
    let work: Vec<&PlannedStage> = plan.stages.iter().filter(is_work).collect();
    let untimed: Vec<String> = work
        .iter()
        .filter(|planned| planned.took.is_none())
        .map(|planned| planned.status.stage.clone())
        .collect();
    if untimed.len() < work.len() {
        stdout::say!(
            "estimated at most {} with -j {}{}",
            plan.estimate,
            plan.jobs,
            without(&untimed)
        );
    }
    Ok(())
}

/// Names the stages that the estimate leaves out.
fn without(untimed: &[String]) -> String {
    let (named, rest) = untimed.split_at(untimed.len().min(MOST_NAMED));
    match (named, rest.len()) {
        ([], _) => String::new(),
        ([name], 0) => format!(", plus {name}, whose duration is unknown"),
        (named, 0) => format!(", plus {}, whose durations are unknown", named.join(", ")),
        (named, more) => {
            format!(", plus {} and {more} more, whose durations are unknown", named.join(", "))
        }
    }
}
