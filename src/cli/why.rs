//! `repro why`: prints the verdict on a stage and every change behind it, one per line.

use std::path::Path;

use clap::Args;

use super::common::{load, sentence, show_changes, show_hint};
use super::select;
use crate::engine::OnForeign;
use crate::engine::status::{Verdict, assess};
use crate::error::Result;
use crate::pipeline::StageSet;
use crate::report;
use crate::report::status::{StageStatus, StatusReport};
use crate::terminal::{stdout, style};

/// Explain why a stage would run, be restored or be skipped: every change, old → new
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    /// Stage to explain; the name of a matrix stands for all its stages
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl WhyArgs {
    /// Runs the command. Relative paths start at `here`.
    pub(super) fn execute(self, here: &Path, root: &Path) -> Result<u8> {
        let stages = select::from_root(root, here, std::slice::from_ref(&self.stage))?;
        let project = load(root)?;
        let asked = select::find_all(&project.pipeline, &stages[0])?;
        let wanted = project.pipeline.graph.with_needs(asked.iter().copied());
        let forced = StageSet::none(wanted.stage_count());
        let mut verdicts = assess(&project, &wanted, &forced, OnForeign::Refuse);
        verdicts.retain(|(ix, _)| asked.contains(ix));
        let report = StatusReport::new(&project, verdicts);
        if self.json {
            stdout::write(&report::json(&report))?;
            return Ok(report.exit_code());
        }
        let pipeline = &project.pipeline;
        let is_input =
            |name| pipeline.find(name).is_some_and(|ix| pipeline.stages[ix].is_tracked_input());
        for StageStatus { stage, verdict } in &report.stages {
            stdout::say!(
                "{}{stage}{:#} {}",
                style::STAGE,
                style::STAGE,
                headline(verdict, is_input(stage.as_str()))
            );
            show_changes(verdict.changes())?;
            show_hint(verdict)?;
        }
        Ok(report.exit_code())
    }
}

fn headline(verdict: &Verdict, is_input: bool) -> String {
    match verdict {
        Verdict::Fresh { accepted: Some(reason) } => {
            format!("is up to date: the changes since it ran were accepted: {reason}")
        }
        Verdict::Fresh { accepted: None } if is_input => {
            "is up to date: its files are the ones in pipeline.lock".to_owned()
        }
        Verdict::Fresh { accepted: None } => {
            "is up to date: cmd, deps, params and outs are unchanged since it ran".to_owned()
        }
        Verdict::Restore(_) => "will be restored from the cache".to_owned(),
        Verdict::Run(_) => "will run".to_owned(),
        Verdict::Fails(..) | Verdict::Skipped { .. } => sentence(verdict),
        Verdict::Waits(_) => {
            "will be decided once the stages it waits for have finished".to_owned()
        }
    }
}
