//! What `repro run --plan` shows.

use serde_json::json;

use super::status::{count, exit_code, say_fresh, say_hint, sentence, stage_json};
use crate::engine::Project;
use crate::engine::plan::{Plan, Planned};
use crate::engine::status::Verdict;
use crate::error::Result;
use crate::terminal::{stdout, style};

/// More names than this are not listed.
const MOST_NAMED: usize = 4;

pub(super) fn show(project: &Project, plan: &Plan, cpus: usize, json: bool) -> Result<u8> {
    // A read-only checkout has a plan, too: what was learnt is then lost.
    let _ = project.workspace.save_index();
    let exit = exit_code(plan.stages.iter().map(|planned| &planned.verdict));
    if json {
        stdout::say!("{:#}", as_json(project, plan, cpus));
        return Ok(exit);
    }
    let name = |planned: &&Planned| project.pipeline.stages[planned.ix].name.as_str();
    let work: Vec<&Planned> =
        plan.stages.iter().filter(|planned| !planned.verdict.is_fresh()).collect();
    if work.is_empty() {
        stdout::say!("everything is up to date ({})", count(plan.stages.len()));
        return Ok(exit);
    }
    let width = work.iter().map(|planned| name(planned).chars().count()).max().unwrap_or(0);
    let (bold, dim) = (style::STAGE, style::DIM);
    for planned in &work {
        let took =
            planned.took.map(|took| format!(" {dim}({took} last time){dim:#}")).unwrap_or_default();
        stdout::say!(
            "{bold}{:width$}{bold:#}  {}{took}",
            name(planned),
            sentence(&planned.verdict)
        );
        say_hint(&planned.verdict)?;
    }
    say_fresh(plan.stages.len() - work.len())?;
    let is_work = |planned: &&&Planned| {
        !matches!(planned.verdict, Verdict::Fails(..) | Verdict::Skipped { .. })
    };
    let work: Vec<&Planned> = work.iter().filter(is_work).copied().collect();
    let untimed: Vec<&str> =
        work.iter().filter(|planned| planned.took.is_none()).map(name).collect();
    if untimed.len() < work.len() {
        stdout::say!("at most about {} with -j {cpus}{}", plan.estimate, without(&untimed));
    }
    Ok(exit)
}

/// What the estimate leaves out.
fn without(untimed: &[&str]) -> String {
    let (named, rest) = untimed.split_at(untimed.len().min(MOST_NAMED));
    match (named, rest.len()) {
        ([], _) => String::new(),
        (named, 0) => format!(", and {}, whose time is not known", named.join(", ")),
        (named, more) => {
            format!(", and {} and {more} more, whose times are not known", named.join(", "))
        }
    }
}

fn as_json(project: &Project, plan: &Plan, cpus: usize) -> serde_json::Value {
    let stages = plan.stages.iter().map(|planned| {
        let mut stage =
            stage_json(project.pipeline.stages[planned.ix].name.as_str(), &planned.verdict);
        stage["took"] = json!(planned.took);
        stage
    });
    json!({ "stages": stages.collect::<Vec<_>>(), "jobs": cpus, "estimate": plan.estimate })
}
