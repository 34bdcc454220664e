//! Helpers shared by the commands: sentences for verdicts, hints, errors and loading.

use std::path::Path;

use crate::engine::Project;
pub(super) use crate::engine::project::goals;
use crate::engine::run::Report;
use crate::engine::size::Tally;
use crate::engine::status::Verdict;
use crate::engine::undeclared::{self, Warnings};
use crate::error::{Error, Result};
use crate::event::{Failure, GitState, Outcome};
use crate::pipeline::StageName;
use crate::plan::Change;
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::report::status::StageStatus;
pub(super) use crate::report::status::sentence;
use crate::runs::{RunState, StageState, Store, query};
use crate::terminal::size::size;
use crate::terminal::text::{Pad, pad, widest};
use crate::terminal::{self, stdout, style};

pub(super) fn load(root: &Path) -> Result<Project> {
    let project = Project::load(root, &[])?;
    show_warnings(&project);
    Ok(project)
}

/// Writes the warnings about declarations without effect.
pub(super) fn show_warnings(project: &Project) {
    project.pipeline.warnings.iter().for_each(|warning| terminal::warn(warning));
}

/// Returns the command line as typed. Arguments that are not UTF-8 are shown as well as possible.
pub(super) fn command_line() -> Vec<String> {
    std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect()
}

/// Opens the run store of a project.
///
/// # Errors
/// The project has no runs yet, or the store cannot be opened.
pub(super) fn store(root: &Path) -> Result<Store> {
    Store::open_existing(root)?.ok_or_else(query::no_runs)
}

/// Writes an error and those beside it to stderr.
pub(super) fn show_error(error: &Error) {
    for error in std::iter::once(error).chain(&error.others) {
        let text = terminal::error_text(&error.what, &error.causes, error.hint.as_deref());
        terminal::eprint(&text);
    }
}

/// Writes each failure of a run in full to stderr.
pub(super) fn show_failures(report: &Report) {
    for (name, outcome, took) in &report.stages {
        let Some(failure) = outcome.failure() else { continue };
        let after = if took.0 == 0 { String::new() } else { format!(" after {took}") };
        let ended = match outcome {
            Outcome::Unrecorded(_) => format!("ran in {took}, but is not recorded"),
            _ => format!("failed{after}"),
        };
        let what = format!("stage `{name}` {ended}: {}", failure.what);
        let text = terminal::error_text(&what, &failure.causes, failure.hint.as_deref());
        terminal::eprint(&text);
    }
}

/// Warns of files that the commands of the wanted stages name and that are not deps.
pub(super) fn warn_of_undeclared(found: Warnings, is_wanted: impl Fn(&StageName) -> bool) {
    undeclared::to_show(found, is_wanted).iter().for_each(terminal::warn_of);
}

/// Reports which outs were added to `.gitignore`.
pub(super) fn show_ignored(ignored: &Result<Vec<RepoPath>>) {
    match ignored {
        Ok(outs) if outs.is_empty() => {}
        Ok(outs) => terminal::note(&format!("added {} to .gitignore", count(outs.len(), "out"))),
        Err(error) => terminal::warn_of(error),
    }
}

/// Prints one line per stage that is not up to date, which ends in its remark, and the number of
/// the other stages.
pub(super) fn show_stages<T>(
    stages: &[T],
    status: impl Fn(&T) -> &StageStatus,
    remark: impl Fn(&T) -> String,
) -> Result<()> {
    let stale: Vec<&T> = stages.iter().filter(|stage| !status(stage).verdict.is_fresh()).collect();
    if stale.is_empty() {
        stdout::say!("everything is up to date ({})", count(stages.len(), "stage"));
        return Ok(());
    }
    let width = widest(stale.iter().map(|stage| status(stage).stage.as_str()));
    let (bold, dim) = (style::STAGE, style::DIM);
    for stage in &stale {
        let StageStatus { stage: name, verdict } = status(stage);
        let (name, sentence) = (pad(name, width, Pad::Right), sentence(verdict));
        stdout::say!("{bold}{name}{bold:#}  {sentence}{}", remark(stage));
        show_hint(verdict)?;
    }
    let fresh = stages.len() - stale.len();
    if fresh > 0 {
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

/// Prints one change per line, commands in full.
pub(super) fn show_changes(changes: &[Change]) -> Result<()> {
    for line in changes.iter().flat_map(change_lines) {
        stdout::say!("  {line}");
    }
    Ok(())
}

/// Returns the line of a change; of a command, one more for each version of it.
pub(super) fn change_lines(change: &Change) -> Vec<String> {
    match change {
        Change::Cmd { old: Some(old), new: Some(new) } => {
            vec!["cmd".to_owned(), format!("  - {old}"), format!("  + {new}")]
        }
        change => vec![change.to_string()],
    }
}

/// `3 files, 1.2 MB`
pub(super) fn amount(tally: Tally) -> String {
    format!("{}, {}", count(tally.count, "file"), size(tally.bytes))
}

/// `1 entry`, `5 entries`
pub(super) fn entry_count(number: usize) -> String {
    if number == 1 { "1 entry".to_owned() } else { format!("{number} entries") }
}

/// Returns enough of the commit id for git to recognize it.
pub(super) fn short_commit(git: &GitState) -> &str {
    let commit = git.commit.as_deref().unwrap_or("no commit yet");
    if git.commit.is_some() { commit.get(..10).unwrap_or(commit) } else { commit }
}

pub(super) fn run_style(state: RunState) -> style::Style {
    match state {
        RunState::Ok => style::GOOD,
        RunState::Failed => style::BAD,
        RunState::Interrupted => style::PARTIAL,
        RunState::Running | RunState::Scheduled => style::LIVELY,
    }
}

pub(super) fn stage_style(state: &StageState) -> style::Style {
    match state {
        StageState::Ran => style::GOOD,
        StageState::Failed(_) | StageState::Unrecorded(_) => style::BAD,
        StageState::Skipped { .. } | StageState::Interrupted => style::PARTIAL,
        StageState::Running | StageState::Restored { .. } | StageState::Accepted { .. } => {
            style::LIVELY
        }
        StageState::Fresh => style::DIM,
    }
}
