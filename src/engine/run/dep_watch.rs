//! Checks the deps of a running stage from time to time, so that a change is reported when it
//! happens and not hours later.
//!
//! A check takes new stamps and compares them, as the one at the end does. It costs a stat per
//! file, so the first one comes after a second, and all of them together take a fiftieth of the
//! time: a short stage has none, and a large tree has few.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::Project;
use crate::engine::observe::{Observation, edits};
use crate::event::{ChangedDep, ChangedFile};
use crate::exec::StageMessage;
use crate::pipeline::Stage;
use crate::plan::change::Fate;
use crate::repo_path::RepoPath;

/// Minimum time between checks.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Limits the time spent on checks to one part in this many.
const CHECK_SHARE: u32 = 50;

/// The deps of a running stage.
pub(super) struct DepWatch<'a> {
    project: &'a Project,
    stage: &'a Stage,
    pub(super) observation: &'a Observation,
    state: Mutex<State>,
}

struct State {
    due: Instant,
    /// Files that were reported.
    reported: BTreeSet<RepoPath>,
    /// The first dep with a change that cannot be undone.
    final_change: Option<ChangedDep>,
}

impl<'a> DepWatch<'a> {
    pub(super) fn new(
        project: &'a Project,
        stage: &'a Stage,
        observation: &'a Observation,
    ) -> DepWatch<'a> {
        let state = State {
            due: next_check(observation.stamps.took),
            reported: BTreeSet::new(),
            final_change: None,
        };
        DepWatch { project, stage, observation, state: Mutex::new(state) }
    }

    /// Returns what changed since the last check; nothing if the next one is not due.
    ///
    /// A dep that cannot be read now is left to the check at the end.
    pub(super) fn check(&self) -> Vec<StageMessage> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let began = Instant::now();
        if began < state.due {
            return Vec::new();
        }
        let mut messages = Vec::new();
        for dep in &self.stage.deps {
            let touched = edits::touched(self.project, self.stage, dep, self.observation);
            let Ok(Some(touched)) = touched else { continue };
            let is_new = |file: &ChangedFile| state.reported.insert(file.path.clone());
            let files: Vec<ChangedFile> = touched.files.into_iter().filter(is_new).collect();
            if files.is_empty() {
                continue;
            }
            let changed = ChangedDep::new(touched.dep, files);
            if changed.files.iter().any(|file| file.fate != Fate::Added) {
                state.final_change.get_or_insert_with(|| changed.clone());
            }
            messages.push(StageMessage::DepChanged(changed));
        }
        state.due = next_check(began.elapsed());
        messages
    }

    /// Returns the first change that was reported as final: the result is then not recorded, even
    /// if the dep is as before. Files that were added and are gone do not matter: many programs
    /// make temporary files beside those that they read.
    pub(super) fn final_change(&self) -> Option<ChangedDep> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).final_change.clone()
    }
}

/// Returns the time of the next check after one that took `took`.
fn next_check(took: Duration) -> Instant {
    Instant::now() + CHECK_EVERY.max(took * CHECK_SHARE)
}
