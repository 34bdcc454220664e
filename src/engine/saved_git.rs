//! The git state of the files in a worktree, as the record of a run there keeps it. Those files do
//! not change with the workspace, so git cannot be asked when the run starts.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Project, git_diff, provenance};
use crate::event::{GitState, GitTree};
use crate::regular_file;
use crate::runs::GIT_DIFF;

/// A git state with the file that has the changes to its commit.
#[derive(Debug, Clone)]
pub struct SavedGit {
    /// `None` outside of git.
    pub(super) state: Option<GitState>,
    /// Exists if the state names a difference.
    pub(super) diff: PathBuf,
}

impl SavedGit {
    /// Saves the state of the main project. The difference to the commit goes to `folder`, unless
    /// there is none or it cannot be made.
    pub(super) fn of(project: &Project, folder: &Path) -> SavedGit {
        let mut state = provenance::git(&project.history);
        if let Some(git) = &mut state
            && git.tree == GitTree::Dirty
            && git.commit.is_some()
        {
            git.diff = git_diff::record(&project.history, &project.pipeline.stages, folder);
        }
        SavedGit { state, diff: folder.join(GIT_DIFF) }
    }

    /// Copies the difference to the folder of a run, and returns the state for its record.
    pub(super) fn copy_to(&self, folder: &Path) -> Option<GitState> {
        let mut state = self.state.clone()?;
        let copy = || {
            let bytes = regular_file::read(&self.diff)?;
            fs::create_dir_all(folder)?;
            std::io::Write::write_all(&mut regular_file::create(&folder.join(GIT_DIFF))?, &bytes)
        };
        if state.diff.is_some() && copy().is_err() {
            state.diff = None;
        }
        Some(state)
    }
}
