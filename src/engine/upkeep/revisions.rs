//! `pipeline.lock` as it was at revisions in git. Asks the `git` of the user and writes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::plan::{Lock, lock};

/// Which revisions are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revisions {
    /// Whatever git understands, ranges as well: `main`, `v1.0`, `main~20..main`.
    Named(String),
    /// The tips of all branches, local ones and those of remotes.
    AllBranches,
    AllTags,
}

/// The locks of some revisions; equal ones once.
#[derive(Debug, Default)]
pub struct Locks {
    pub locks: Vec<Lock>,
    /// How many revisions were looked at.
    pub revisions: usize,
}

/// Reads the locks of `wanted` for the project at `root`, which may be any folder of its repository. A revision without
/// a lock has nothing to tell.
///
/// # Errors
/// Git does not know a revision, or a lock of one cannot be read.
pub fn locks(root: &Path, wanted: &[Revisions]) -> Result<Locks> {
    let mut commits: BTreeSet<String> = BTreeSet::new();
    for revisions in wanted {
        let listed = match revisions {
            // Without this a name that begins with a dash would be an option.
            Revisions::Named(name) => {
                ask(root, &["rev-list", "--no-walk", "--end-of-options", name, "--"])
            }
            Revisions::AllBranches => {
                ask(root, &["rev-list", "--no-walk", "--branches", "--remotes"])
            }
            Revisions::AllTags => ask(root, &["rev-list", "--no-walk", "--tags"]),
        };
        commits.extend(listed?.lines().map(str::to_owned));
    }
    let mut found = Locks { revisions: commits.len(), ..Locks::default() };
    let mut read: BTreeSet<String> = BTreeSet::new();
    for commit in &commits {
        // Relative to `root`; nothing when the revision has no such file.
        let entry = ask(root, &["ls-tree", commit, "--", lock::FILE])?;
        let Some(blob) = entry.split_whitespace().nth(2).map(str::to_owned) else { continue };
        if read.insert(blob.clone()) {
            found.locks.push(decode(commit, &ask(root, &["cat-file", "blob", &blob])?)?);
        }
    }
    Ok(found)
}

fn decode(commit: &str, text: &str) -> Result<Lock> {
    Lock::decode(text).map_err(|bad| {
        let commit = commit.get(..10).unwrap_or(commit);
        Error::usage(format!("{}:{} of commit {commit}: {}", lock::FILE, bad.line, bad.what))
            .hint("leave that revision out, if what it refers to may go")
    })
}

fn ask(root: &Path, args: &[&str]) -> Result<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(args).stdin(Stdio::null()).env("GIT_OPTIONAL_LOCKS", "0");
    let answer =
        git.output().map_err(|err| Error::environment("cannot start `git`").because(err))?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&answer.stderr);
    let said = said.lines().next().unwrap_or_default();
    Err(Error::usage(format!("git cannot tell: `git {}` failed", args.join(" ")))
        .because(said.trim_start_matches("fatal: ")))
}
