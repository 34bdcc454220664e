//! The output of `repro run --plan`.

use super::common::{sentence, show_fresh, show_hint};
use crate::engine::status::Verdict;
use crate::error::Result;
use crate::report::plan::{PlanReport, PlannedStage};
use crate::terminal::text::{Pad, count, pad, widest};
use crate::terminal::{stdout, style};

/// Maximum number of stage names in a line.
const MOST_NAMED: usize = 4;

pub(super) fn show(plan: &PlanReport) -> Result<()> {
    let name = |planned: &&PlannedStage| planned.status.stage.clone();
    let work: Vec<&PlannedStage> =
        plan.stages.iter().filter(|planned| !planned.status.verdict.is_fresh()).collect();
    if work.is_empty() {
        stdout::say!("everything is up to date ({})", count(plan.stages.len(), "stage"));
        return Ok(());
    }
    let width = widest(work.iter().map(|planned| planned.status.stage.as_str()));
    let (bold, dim) = (style::STAGE, style::DIM);
    for planned in &work {
        let took =
            planned.took.map(|took| format!(" {dim}({took} last time){dim:#}")).unwrap_or_default();
        let name = pad(&name(planned), width, Pad::Right);
        stdout::say!("{bold}{name}{bold:#}  {}{took}", sentence(&planned.status.verdict));
        show_hint(&planned.status.verdict)?;
    }
    show_fresh(plan.stages.len() - work.len())?;
    let is_work = |planned: &&&PlannedStage| {
        !matches!(planned.status.verdict, Verdict::Fails(..) | Verdict::Skipped { .. })
    };
    let work: Vec<&PlannedStage> = work.iter().filter(is_work).copied().collect();
    let untimed: Vec<String> =
        work.iter().filter(|planned| planned.took.is_none()).map(name).collect();
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
