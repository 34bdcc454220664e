//! What is noted of the surroundings of a run: host and git.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::event::{GitState, GitTree};

pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// `None` outside of a git checkout, before the first commit, or without git.
pub(super) fn git(root: &Path) -> Option<GitState> {
    let ask = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(root).args(args).stdin(Stdio::null()).stderr(Stdio::null());
        // So that a status does not take git's own lock from under the user's hands.
        let answer = git.env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
        answer.status.success().then(|| String::from_utf8_lossy(&answer.stdout).trim_end().to_owned())
    };
    let commit = ask(&["rev-parse", "HEAD"])?;
    let branch = ask(&["symbolic-ref", "--short", "-q", "HEAD"]);
    // The lock is ours: a run changes it, so it says nothing about the tree that the run began with.
    let changes = ask(&["status", "--porcelain", "--untracked-files=normal", "--", ".", ":!pipeline.lock"])?;
    let tree = if changes.is_empty() { GitTree::Clean } else { GitTree::Dirty };
    Some(GitState { commit, branch, tree })
}
