//! `repro runs logs`: what the stages of a run wrote.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use anstyle::Style;
use clap::Args;

use super::{store, written};
use crate::error::{Error, Result, did_you_mean, exit};
use crate::runs::{LOG, Run, StageRecord, stage_dir};

/// Print what a stage wrote in a run; without STAGE, what each of them wrote
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// run-12, 12 or last
    #[arg(default_value = "last")]
    run: String,
    stage: Option<String>,
}

impl LogsArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = store(root)?;
        let run = store.run(store.resolve(&self.run)?)?;
        match self.stage {
            Some(name) => {
                let stage = find(&run, &name)?;
                let log = open(root, &run, stage)?.ok_or_else(|| no_log(&run, stage))?;
                copy(log)
            }
            None => all(root, &run),
        }
    }
}

/// Only a stage of the run is looked for on the disk: what a user types never becomes a path.
fn find<'a>(run: &'a Run, name: &str) -> Result<&'a StageRecord> {
    if let Some(stage) = run.stages.iter().find(|stage| stage.stage.as_str() == name) {
        return Ok(stage);
    }
    let names: Vec<&str> = run.stages.iter().map(|stage| stage.stage.as_str()).collect();
    let there = names.join(", ");
    Err(Error::usage(format!("{} has no stage `{name}`", run.name)).hint(
        match did_you_mean(name, names) {
            Some(meant) => format!("did you mean `{meant}`? It has {there}"),
            None => format!("it has {there}"),
        },
    ))
}

fn no_log(run: &Run, stage: &StageRecord) -> Error {
    let (run, name, state) = (run.name, &stage.stage, stage.state.word());
    Error::usage(format!("stage `{name}` wrote no log in {run}: it was {state}"))
        .hint(format!("`repro runs logs {run}` shows the logs there are"))
}

fn all(root: &Path, run: &Run) -> Result<u8> {
    let bold = Style::new().bold();
    let mut any = false;
    for stage in &run.stages {
        let Some(log) = open(root, run, stage)? else { continue };
        let took = stage.took.map_or_else(String::new, |took| format!(" in {took}"));
        let gap = if any { "\n" } else { "" };
        super::print(&format!(
            "{gap}{bold}==> {}{bold:#} ({}{took})\n",
            stage.stage,
            stage.state.word()
        ))?;
        copy(log)?;
        any = true;
    }
    if !any {
        super::remark(&format!("no stage of {} wrote a log", run.name));
    }
    Ok(exit::OK)
}

fn open(root: &Path, run: &Run, stage: &StageRecord) -> Result<Option<File>> {
    let at = stage_dir(root, run.name, &stage.stage).join(LOG);
    match File::open(&at) {
        Ok(file) => Ok(Some(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(Error::io("open", at.strip_prefix(root).unwrap_or(&at), &err)),
    }
}

/// Byte for byte: a stage may write what is no text, and a pipe must get it whole.
fn copy(mut log: File) -> Result<u8> {
    let mut out = io::stdout().lock();
    written(io::copy(&mut log, &mut out).and_then(|_| out.flush()))
}
