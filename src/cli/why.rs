//! `repro why`.

use std::path::Path;

use clap::Args;

use super::status::{as_json, exit_code, say_hint, sentence};
use super::{load, select};
use crate::engine::status::{Verdict, assess};
use crate::error::Result;
use crate::plan::Change;
use crate::pipeline::StageSet;
use crate::terminal::style;

/// Show every change behind the verdict on a stage, old → new
#[derive(Debug, Args)]
pub(super) struct WhyArgs {
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Write it as JSON
    #[arg(long)]
    json: bool,
}

impl WhyArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let project = load(root)?;
        let asked = select::find_all(&project.pipeline, &self.stage)?;
        let wanted = project.pipeline.graph.with_needs(asked.iter().copied());
        let mut verdicts = assess(&project, &wanted, &StageSet::none(wanted.stage_count()));
        verdicts.retain(|(ix, _)| asked.contains(ix));
        let exit = exit_code(verdicts.iter().map(|(_, verdict)| verdict));
        if self.json {
            crate::terminal::stdout::say!("{:#}", as_json(&project, &verdicts));
            return Ok(exit);
        }
        for (ix, verdict) in &verdicts {
            let name = &project.pipeline.stages[*ix].name;
            crate::terminal::stdout::say!(
                "{}{name}{:#} {}",
                style::STAGE,
                style::STAGE,
                headline(verdict)
            );
            say_changes(verdict.changes())?;
            say_hint(verdict)?;
        }
        Ok(exit)
    }
}

fn headline(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Fresh { accepted: Some(reason) } => {
            format!("is up to date: what changed since it ran was accepted: {reason}")
        }
        Verdict::Fresh { accepted: None } => {
            "is up to date: cmd, deps, params and outs are what they were when it ran".to_owned()
        }
        Verdict::Restore(_) => "will be restored from the cache".to_owned(),
        Verdict::Run(_) => "will run".to_owned(),
        Verdict::Fails(..) | Verdict::Skipped { .. } => sentence(verdict),
        Verdict::Waits(_) => "is decided when the stages that it waits for are done".to_owned(),
    }
}

/// A line each, commands in full.
pub(super) fn say_changes(changes: &[Change]) -> Result<()> {
    for change in changes {
        match change {
            Change::Cmd { old: Some(old), new: Some(new) } => {
                crate::terminal::stdout::say!("  cmd\n    - {old}\n    + {new}");
            }
            change => crate::terminal::stdout::say!("  {change}"),
        }
    }
    Ok(())
}
