//! `repro runs checkout`: brings back the params, the lock and the outs of a run.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::common::{amount, store};
use crate::cli::params;
use crate::engine::run_checkout::{self, Report, checkout, copy_to, lock_of};
use crate::engine::{Project, project};
use crate::error::{Error, Result, exit};
use crate::pipeline::{self, Goals};
use crate::plan::Lock;
use crate::plural::count;
use crate::report;
use crate::runs::Run;
use crate::terminal::{self, stdout};

/// Bring back the params, pipeline.lock and the outs of a run
///
/// Params are written to the files that define them, with comments and layout kept. Edited outs
/// that are replaced go to the trash. If the cache lacks an out, nothing changes.
#[derive(Debug, Args)]
pub(super) struct CheckoutArgs {
    /// Run to bring back
    #[arg(value_name = "RUN")]
    run: String,
    /// Write the outs, params.json and pipeline.lock to DIR, and change nothing in the project
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl CheckoutArgs {
    pub(super) fn execute(&self, here: &Path, root: &Path, goals: &Goals) -> Result<u8> {
        let store = store(root)?;
        let run = store.run(store.resolve(&self.run, || goals.clone())?)?;
        drop(store);
        let lock = lock_of(root, run.name)?;
        match &self.to {
            Some(to) => elsewhere(root, &run, &lock, &here.join(to), to)?,
            None => in_place(root, &run, &lock)?,
        }
        Ok(exit::OK)
    }
}

fn elsewhere(root: &Path, run: &Run, lock: &Lock, to: &Path, typed: &Path) -> Result<()> {
    let project = Project::load(root, &[])?;
    let written = copy_to(&project, run.name, lock, to)?;
    let file = to.join("params.json");
    let text = report::json(&pipeline::nested(&run.info.params));
    std::fs::write(&file, text).map_err(|err| Error::io("write", &file, &err))?;
    left_out(&project, lock)?;
    let shown = typed.display();
    stdout::say!("wrote the outs of {} to `{shown}`: {}", run.name, amount(written));
    Ok(())
}

fn in_place(root: &Path, run: &Run, lock: &Lock) -> Result<()> {
    let (project, held) = Project::load_with_locked(root)?;
    let edits = project::hold_edits(root)?;
    let changes = params::of_run(root, &run.info.overrides, &run.info.params)?;
    for key in &changes.undeclared {
        terminal::warn(&format!(
            "param `{key}` of {} is not declared any more, so it is not restored",
            run.name
        ));
    }
    left_out(&project, lock)?;
    let report = checkout(project, &held, &edits, run.name, lock, &changes.files)?;
    report.outs.warnings.iter().for_each(|warning| terminal::warn(warning));
    stdout::write(&changes.summary)?;
    say(run, &report, changes.files.is_empty())
}

/// Names the outs that a checkout cannot restore.
fn left_out(project: &Project, lock: &Lock) -> Result<()> {
    for path in run_checkout::not_kept(project, lock)? {
        terminal::warn(&format!("`{path}` is not kept in the cache; `repro run` makes it again"));
    }
    Ok(())
}

fn say(run: &Run, report: &Report, params_stay: bool) -> Result<()> {
    let name = run.name;
    let outs = &report.outs;
    if outs.brought.is_empty() && !report.lock_changed && params_stay {
        stdout::say!("the project already is as {name} left it");
        return Ok(());
    }
    let stages: Vec<String> = outs.brought.iter().map(|(stage, _)| stage.to_string()).collect();
    match stages.len() {
        0 => stdout::say!("the outs already are those of {name}"),
        1..=8 => {
            stdout::say!("restored the outs of {}: {}", stages.join(", "), amount(outs.written));
        }
        many => {
            stdout::say!("restored the outs of {}: {}", count(many, "stage"), amount(outs.written));
        }
    }
    if report.lock_changed {
        stdout::say!("pipeline.lock is that of {name}");
    }
    if let Some(before) = report.before {
        stdout::say!("`repro runs checkout {before}` brings back the state before");
    }
    Ok(())
}
