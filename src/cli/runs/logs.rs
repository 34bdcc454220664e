//! `repro runs logs`: the output of the stages of a run.

use std::fs::File;
use std::io;
use std::path::Path;

use anstyle::Style;
use clap::Args;

use crate::cli::common::store;
use crate::cli::select;
use crate::error::{Error, Result, did_you_mean, exit};
use crate::runs::{LOG, Run, StageRecord, stage_dir};
use crate::terminal::wording::outcome_word;
use crate::terminal::{self, stdout};

/// Print the output of a stage in a run; without STAGE, of every stage
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Run whose logs to print: `run-12`, `12` or `last`
    #[arg(default_value = "last")]
    run: String,
    /// Stage whose log to print [default: every stage of the run]
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
                stdout::copy(log)?;
                Ok(exit::OK)
            }
            None => all(root, &run),
        }
    }
}

/// Finds a stage of the run. A name that the user types is never used as a path.
fn find<'a>(run: &'a Run, name: &str) -> Result<&'a StageRecord> {
    if let Some(stage) = run.stages.iter().find(|stage| stage.stage.as_str() == name) {
        return Ok(stage);
    }
    let is_variant = |stage: &&str| stage.split_once('@').is_some_and(|(family, _)| family == name);
    let names: Vec<&str> = run.stages.iter().map(|stage| stage.stage.as_str()).collect();
    let variants: Vec<&str> = names.iter().copied().filter(is_variant).collect();
    if !variants.is_empty() {
        return Err(Error::usage(format!("`{name}` is a matrix of stages, not a stage"))
            .hint(format!("name one of {}", select::listed(&variants))));
    }
    let error = Error::usage(format!("there is no stage `{name}` in {}", run.name));
    Err(match did_you_mean(name, names.iter().copied()) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => error.hint(format!("the stages are {}", select::listed(&names))),
    })
}

fn no_log(run: &Run, stage: &StageRecord) -> Error {
    let (run, name, word) = (run.name, &stage.stage, outcome_word(stage.state.word()));
    Error::usage(format!("stage `{name}` has no log in {run}: it was {word}"))
        .hint(format!("`repro runs logs {run}` shows the logs of the other stages"))
}

fn all(root: &Path, run: &Run) -> Result<u8> {
    let bold = Style::new().bold();
    let mut any = false;
    for stage in &run.stages {
        let Some(log) = open(root, run, stage)? else { continue };
        let took = stage.took.map_or_else(String::new, |took| format!(" in {took}"));
        let gap = if any { "\n" } else { "" };
        let word = outcome_word(stage.state.word());
        stdout::write(&format!("{gap}{bold}==> {}{bold:#} ({word}{took})\n", stage.stage))?;
        stdout::copy(log)?;
        any = true;
    }
    if !any {
        terminal::note(&format!("no stage of {} has a log", run.name));
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
