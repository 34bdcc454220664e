//! Keeps the files that a stage's process reports as artifacts: their bytes are stored in the cache
//! when the stage ends. What cannot be stored is left out, as the history must not fail the work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::digest::Content;
use crate::engine::{Project, commit};
use crate::exec::StageMessage;
use crate::pipeline::Stage;
use crate::repo_path::RepoPath;

/// The paths that a stage has reported so far.
#[derive(Debug, Default)]
pub(super) struct Reported(Mutex<BTreeSet<RepoPath>>);

impl Reported {
    /// Notes the artifacts among the messages of the process.
    pub(super) fn note(&self, messages: &[StageMessage]) {
        let paths = messages.iter().filter_map(|message| match message {
            StageMessage::Artifact(path) => RepoPath::parse(path).ok(),
            _ => None,
        });
        let mut paths = paths.peekable();
        if paths.peek().is_some() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(paths);
        }
    }

    /// Stores the artifacts that are not outs of the stage, and returns their contents.
    pub(super) fn store(&self, project: &Project, stage: &Stage) -> BTreeMap<RepoPath, Content> {
        let paths = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let is_out = |path: &RepoPath| stage.outs.iter().any(|out| out.path == *path);
        let others = paths.into_iter().filter(|path| !is_out(path));
        others.filter_map(|path| stored(project, &path).map(|content| (path, content))).collect()
    }
}

fn stored(project: &Project, path: &RepoPath) -> Option<Content> {
    let seen = project.workspace.observe(path).ok().flatten()?;
    commit::store(project, path, &seen).ok()?;
    Some(seen.content())
}
