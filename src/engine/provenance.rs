//! Provenance of a run: host name and git state. Runs `git` and reads nothing else.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::event::{GitState, GitTree};
use crate::repo_path::RepoPath;

pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the git state; `None` outside a git checkout, or without git.
pub(super) fn git(root: &Path) -> Option<GitState> {
    if !is_in_checkout(root) {
        return None;
    }
    let ask = |args: &[&str]| {
        let answer = answer(root, args)?;
        answer
            .status
            .success()
            .then(|| String::from_utf8_lossy(&answer.stdout).trim_end().to_owned())
    };
    let commit = ask(&["rev-parse", "--verify", "-q", "HEAD"]);
    let branch = ask(&["symbolic-ref", "--short", "-q", "HEAD"]);
    // Runs write the lock, so it says nothing about the tree that the run began with.
    let changes =
        ask(&["status", "--porcelain", "--untracked-files=normal", "--", ".", ":!pipeline.lock"])?;
    let tree = if changes.is_empty() { GitTree::Clean } else { GitTree::Dirty };
    Some(GitState { commit, branch, tree })
}

/// Reports whether git may know the folder. Starting git costs as much as the rest of a small run.
fn is_in_checkout(root: &Path) -> bool {
    let is_checkout = |folder: &Path| folder.join(".git").exists();
    std::env::var_os("GIT_DIR").is_some()
        || root.canonicalize().is_ok_and(|root| root.ancestors().any(is_checkout))
}

/// Returns the files of the project that git tracks.
pub(super) fn tracked_files(root: &Path) -> Vec<RepoPath> {
    let listed = is_in_checkout(root).then(|| answer(root, &["ls-files", "-z"])).flatten();
    let Some(listed) = listed else { return Vec::new() };
    let names = listed.stdout.split(|byte| *byte == 0);
    names.filter_map(|name| RepoPath::parse_canonical(std::str::from_utf8(name).ok()?)).collect()
}

/// State of a path in git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InGit {
    /// Outside any checkout.
    No,
    /// Neither tracked nor ignored.
    Open,
    Ignored,
    /// The path, or a file in it, is in git's index.
    Tracked,
}

pub(super) fn in_git(root: &Path, path: &RepoPath) -> InGit {
    let ask = |args: &[&str]| answer(root, &[args, &["--", path.as_str()]].concat());
    let tracked = ask(&["--literal-pathspecs", "ls-files", "-z"]);
    match (
        tracked,
        ask(&["check-ignore", "-q", "--no-index"]).and_then(|answer| answer.status.code()),
    ) {
        (Some(listed), _) if listed.status.success() && !listed.stdout.is_empty() => InGit::Tracked,
        (_, Some(0)) => InGit::Ignored,
        (_, Some(1)) => InGit::Open,
        _ => InGit::No,
    }
}

fn answer(root: &Path, args: &[&str]) -> Option<Output> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(args).stdin(Stdio::null()).stderr(Stdio::null());
    // Without optional locks, `git status` does not disturb git commands of the user.
    git.env("GIT_OPTIONAL_LOCKS", "0").output().ok()
}
