//! `repro status`.

use std::path::Path;

use clap::Args;

use super::common::load;
use super::select;
use crate::engine::Project;
use crate::engine::status::{Verdict, assess};
use crate::error::{Result, exit};
use crate::event::Failure;
use crate::pipeline::StageSet;
use crate::plan::Change;
use crate::report;
use crate::report::status::{StageStatus, StatusReport};
use crate::terminal::text::{Pad, count, pad, widest};
use crate::terminal::{stdout, style};

/// Show which stages are out of date and why, without running anything
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Stages to check, including the stages they need [default: all stages]
    #[arg(value_name = "STAGE")]
    stages: Vec<String>,
    /// Exit with code 4 if any stage is out of date
    #[arg(long)]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StatusArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let project = if self.stages.is_empty() { Project::load_stale(root)? } else { load(root)? };
        let wanted = select::with_needs(&project.pipeline, &self.stages)?;
        let verdicts = assess(&project, &wanted, &StageSet::none(wanted.stage_count()));
        // Errors are ignored: a read-only checkout has a status too, only the index is not kept.
        let _ = project.workspace.save_index();
        let report = StatusReport::new(&project, verdicts);
        if self.json {
            stdout::write(&report::json(&report))?;
        } else {
            show(&report)?;
        }
        let failing = report.exit_code();
        let check = self.check && !report.is_fresh();
        Ok(if failing == exit::OK && check { exit::CHECK } else { failing })
    }
}

/// Maximum number of reasons in a line; `repro why` shows the others.
const MOST_REASONS: usize = 4;

fn show(report: &StatusReport) -> Result<()> {
    let stale: Vec<&StageStatus> =
        report.stages.iter().filter(|stage| !stage.verdict.is_fresh()).collect();
    if stale.is_empty() {
        stdout::say!("everything is up to date ({})", count(report.stages.len(), "stage"));
        return Ok(());
    }
    let width = widest(stale.iter().map(|stage| stage.stage.as_str()));
    for StageStatus { stage, verdict } in &stale {
        let name = pad(stage, width, Pad::Right);
        stdout::say!("{}{name}{:#}  {}", style::STAGE, style::STAGE, sentence(verdict));
        show_hint(verdict)?;
    }
    show_fresh(report.stages.len() - stale.len())
}

/// Prints the number of stages that are up to date, unless it is 0.
pub(super) fn show_fresh(fresh: usize) -> Result<()> {
    if fresh > 0 {
        let dim = style::DIM;
        stdout::say!("{dim}{} up to date{dim:#}", count(fresh, "stage"));
    }
    Ok(())
}

/// Prints the hint of a stage that fails.
pub(super) fn show_hint(verdict: &Verdict) -> Result<()> {
    if let Verdict::Fails(Failure { hint: Some(hint), .. }, _) = verdict {
        stdout::say!("  hint: {hint}");
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
