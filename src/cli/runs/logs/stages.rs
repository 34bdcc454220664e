//! The stages of a run and their logs.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::cli::select;
use crate::error::{Error, Result, did_you_mean, exit};
use crate::regular_file;
use crate::runs::{LOG, Run, StageRecord, Store, stage_dir};
use crate::terminal::wording::outcome_word;
use crate::terminal::{self, stdout, style};

/// Returns the stage called `name`, or else the stages of the matrix called `name`.
pub(super) fn named<'a>(run: &'a Run, name: &str) -> Vec<&'a StageRecord> {
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
pub(super) fn find<'a>(run: &'a Run, name: &str) -> Result<Vec<&'a StageRecord>> {
    let found = named(run, name);
    if !found.is_empty() {
        return Ok(found);
    }
    Err(no_stage(run, name, None))
}

/// Returns the error for a name that no stage of `run` has; `unknown` is the error if it was meant
/// as a run.
pub(super) fn no_stage(run: &Run, name: &str, unknown: Option<Error>) -> Error {
    let names: Vec<&str> = run.stages.iter().map(|stage| stage.stage.as_str()).collect();
    let error = Error::usage(format!("there is no stage `{name}` in {}", run.name));
    match (did_you_mean(name, names.iter().copied()), unknown) {
        (Some(meant), _) => error.hint(format!("did you mean `{meant}`?")),
        (None, Some(unknown)) => unknown,
        (None, None) => error.hint(format!("the stages are {}", select::listed(&names))),
    }
}

/// Returns the error for a stage whose process did not run; the hint is the last run that has a
/// log of it.
pub(super) fn no_log(store: &Store, run: &Run, stage: &StageRecord) -> Error {
    let (name, word) = (&stage.stage, outcome_word(stage.state.word()));
    let run = run.name;
    let error = Error::usage(format!("stage `{name}` has no log in {run}: it was {word}"));
    match store.latest_with_process(name) {
        Ok(Some(other)) if other != run => {
            error.hint(format!("it last ran in {other}: `repro runs logs {other} {name}`"))
        }
        _ => error.hint(format!("`repro runs logs {run}` shows the logs of the other stages")),
    }
}

/// Prints the logs of several stages, each below a heading.
pub(super) fn all(root: &Path, run: &Run, stages: &[&StageRecord]) -> Result<u8> {
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
        let outcome = |stage: &&StageRecord| {
            format!("`{}` was {}", stage.stage, outcome_word(stage.state.word()))
        };
        let outcomes: Vec<String> = stages.iter().map(outcome).collect();
        let why =
            if outcomes.is_empty() { String::new() } else { format!(": {}", outcomes.join(", ")) };
        terminal::note(&format!("no log in {}{why}", run.name));
    }
    Ok(exit::OK)
}

pub(super) fn open(root: &Path, run: &Run, stage: &StageRecord) -> Result<Option<File>> {
    let at = stage_dir(root, run.name, &stage.stage).join(LOG);
    match regular_file::open(&at) {
        Ok(file) => Ok(Some(file)),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(err) => Err(Error::io("open", at.strip_prefix(root).unwrap_or(&at), &err)),
    }
}
