//! `repro status`.

use std::path::Path;

use clap::Args;
use serde_json::json;

use super::{load, select};
use crate::engine::Project;
use crate::engine::status::{Verdict, assess};
use crate::error::{Result, exit};
use crate::event::Failure;
use crate::pipeline::{StageIx, StageSet};
use crate::plan::Change;
use crate::terminal::style;

/// Show what is out of date and why, and change nothing
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Stages to look at, with all that they need [default: every stage]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Exit with code 4 if anything is out of date
    #[arg(long)]
    check: bool,
    /// Write the verdicts as JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let project = if self.stages.is_empty() { Project::load_stale(root)? } else { load(root)? };
        let wanted = select::with_needs(&project.pipeline, &self.stages)?;
        let verdicts = assess(&project, &wanted, &StageSet::none(wanted.stage_count()));
        // A read-only checkout has a status, too: what was learnt is then lost.
        let _ = project.workspace.save_index();
        if self.json {
            crate::terminal::stdout::say!("{:#}", as_json(&project, &verdicts));
        } else {
            show(&project, &verdicts)?;
        }
        let stale = verdicts.iter().any(|(_, verdict)| !verdict.is_fresh());
        let failing = exit_code(verdicts.iter().map(|(_, verdict)| verdict));
        Ok(if failing == exit::OK && self.check && stale { exit::CHECK } else { failing })
    }
}

/// Not 0 if a run would fail for what can be seen already.
pub(super) fn exit_code<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> u8 {
    verdicts.map(Verdict::exit_code).max().unwrap_or(exit::OK)
}

pub(super) fn as_json(project: &Project, verdicts: &[(StageIx, Verdict)]) -> serde_json::Value {
    let known = Verdict::Fresh { accepted: None };
    let fresh = project.up_to_date.names().map(|name| stage_json(name, &known));
    let name = |ix: StageIx| project.pipeline.stages[ix].name.as_str();
    let stages = fresh.chain(verdicts.iter().map(|(ix, verdict)| stage_json(name(*ix), verdict)));
    json!({ "stages": stages.collect::<Vec<_>>() })
}

pub(super) fn stage_json(name: &str, verdict: &Verdict) -> serde_json::Value {
    let mut stage = json!({
        "stage": name,
        "verdict": verdict.word(),
        "changes": verdict.changes(),
    });
    match verdict {
        Verdict::Fails(failure, _) => stage["failure"] = json!(failure),
        Verdict::Skipped { because } => stage["because"] = json!(because),
        _ => {}
    }
    stage
}

/// More reasons than this are left to `repro why`.
const MOST_REASONS: usize = 4;

fn show(project: &Project, verdicts: &[(StageIx, Verdict)]) -> Result<()> {
    let stale: Vec<_> = verdicts.iter().filter(|(_, verdict)| !verdict.is_fresh()).collect();
    if stale.is_empty() {
        let all = project.up_to_date.count() + verdicts.len();
        crate::terminal::stdout::say!("everything is up to date ({})", count(all));
        return Ok(());
    }
    let name = |ix: StageIx| project.pipeline.stages[ix].name.as_str();
    let width = stale.iter().map(|(ix, _)| name(*ix).chars().count()).max().unwrap_or(0);
    for (ix, verdict) in &stale {
        let line = sentence(verdict);
        crate::terminal::stdout::say!(
            "{}{:width$}{:#}  {line}",
            style::STAGE,
            name(*ix),
            style::STAGE
        );
        say_hint(verdict)?;
    }
    say_fresh(project.up_to_date.count() + verdicts.len() - stale.len())
}

pub(super) fn say_fresh(fresh: usize) -> Result<()> {
    if fresh > 0 {
        crate::terminal::stdout::say!("{}{} up to date{:#}", style::DIM, count(fresh), style::DIM);
    }
    Ok(())
}

/// What to do about a stage that fails.
pub(super) fn say_hint(verdict: &Verdict) -> Result<()> {
    if let Verdict::Fails(Failure { hint: Some(hint), .. }, _) = verdict {
        crate::terminal::stdout::say!("  hint: {hint}");
    }
    Ok(())
}

pub(super) fn sentence(verdict: &Verdict) -> String {
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
        Verdict::Skipped { because } => format!("needs {because}, which fails"),
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

pub(super) fn count(stages: usize) -> String {
    if stages == 1 { "1 stage".into() } else { format!("{stages} stages") }
}
