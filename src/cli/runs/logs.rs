//! `repro runs logs`: the output of the stages of a run.

use std::fs::File;
use std::io;
use std::path::Path;

use clap::Args;

use crate::cli::common::{goals, store};
use crate::cli::select;
use crate::error::{Error, Result, did_you_mean, exit};
use crate::event::RunName;
use crate::regular_file;
use crate::runs::{LOG, Run, StageRecord, stage_dir};
use crate::terminal::wording::outcome_word;
use crate::terminal::{self, stdout, style};

/// Print the output of a stage in a run; without STAGE, of every stage
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Run whose logs to print: `run-12`, `12` or `last`; a stage alone means its log in the
    /// latest run
    #[arg(default_value = "last")]
    run: String,
    /// Stage, or matrix of stages, whose log to print [default: every stage of the run]
    stage: Option<String>,
}

impl LogsArgs {
    pub(super) fn execute(self, root: &Path) -> Result<u8> {
        let store = store(root)?;
        let (run, stage) = match (store.resolve(&self.run, || goals(root)), self.stage) {
            (Ok(run), stage) => (store.run(run)?, stage),
            (Err(unknown), None) => {
                let last = store.run(store.latest()?)?;
                match RunName::parse(&self.run) {
                    Some(_) => return Err(unknown),
                    None => (last, Some(self.run)),
                }
            }
            (Err(unknown), Some(_)) => return Err(unknown),
        };
        let Some(name) = stage else {
            return all(root, &run, &run.stages.iter().collect::<Vec<_>>());
        };
        match find(&run, &name)?[..] {
            [stage] => {
                let log = open(root, &run, stage)?.ok_or_else(|| no_log(&run, stage))?;
                stdout::copy(log)?;
                Ok(exit::OK)
            }
            ref stages => all(root, &run, stages),
        }
    }
}

/// Returns the stage called `name`, or else the stages of the matrix called `name`.
fn named<'a>(run: &'a Run, name: &str) -> Vec<&'a StageRecord> {
    let is_variant = |stage: &str| stage.split_once('@').is_some_and(|(family, _)| family == name);
    match run.stages.iter().find(|stage| stage.stage.as_str() == name) {
        Some(stage) => vec![stage],
        None => run.stages.iter().filter(|stage| is_variant(stage.stage.as_str())).collect(),
    }
}

/// Does the same as [`named`]. A name that the user types is never used as a path.
///
/// # Errors
/// The run has no such stage.
fn find<'a>(run: &'a Run, name: &str) -> Result<Vec<&'a StageRecord>> {
    let found = named(run, name);
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<&str> = run.stages.iter().map(|stage| stage.stage.as_str()).collect();
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

/// Prints the logs of several stages, each below a heading.
fn all(root: &Path, run: &Run, stages: &[&StageRecord]) -> Result<u8> {
    let bold = style::BOLD;
    let mut any = false;
    for stage in stages {
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
    match regular_file::open(&at) {
        Ok(file) => Ok(Some(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(Error::io("open", at.strip_prefix(root).unwrap_or(&at), &err)),
    }
}
