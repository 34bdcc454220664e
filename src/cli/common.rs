//! Helpers shared by the commands. Unaware of any single command.

use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::engine::run::Report;
use crate::engine::size::Tally;
use crate::engine::{Project, project};
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::pipeline::Goals;
use crate::runs::{RunState, StageState, Store, query};
use crate::terminal::size::size;
use crate::terminal::text::count;
use crate::terminal::{self, style};

pub(super) fn load(root: &Path) -> Result<Project> {
    Project::load(root, &[])
}

/// Returns the metric goals; none if `pipeline.toml` is invalid, so that history commands still
/// work.
pub(super) fn goals(root: &Path) -> Goals {
    project::load_pipeline(root, &[]).map(|pipeline| pipeline.goals).unwrap_or_default()
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
        if let Outcome::Failed(failure) = outcome {
            let what = format!("stage `{name}` failed after {took}: {}", failure.what);
            let text = terminal::error_text(&what, &failure.causes, failure.hint.as_deref());
            terminal::eprint(&text);
        }
    }
}

/// `3 files, 1.2 MB`
pub(super) fn amount(tally: Tally) -> String {
    format!("{}, {}", count(tally.count, "file"), size(tally.bytes))
}

/// Returns enough of a commit id for git to recognize it.
pub(super) fn short_commit(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

pub(super) fn run_style(state: RunState) -> Style {
    match state {
        RunState::Ok => style::GOOD,
        RunState::Failed => style::BAD,
        RunState::Interrupted => AnsiColor::Yellow.on_default(),
        RunState::Running => AnsiColor::Cyan.on_default(),
    }
}

pub(super) fn stage_style(state: &StageState) -> Style {
    match state {
        StageState::Ran => style::GOOD,
        StageState::Failed(_) => style::BAD,
        StageState::Skipped { .. } | StageState::Interrupted => AnsiColor::Yellow.on_default(),
        StageState::Running | StageState::Restored | StageState::Accepted { .. } => {
            AnsiColor::Cyan.on_default()
        }
        StageState::Fresh => style::DIM,
    }
}
