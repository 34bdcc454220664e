//! Reads `pipeline.lock` at git revisions with the user's `git`. Writes nothing.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::plan::{Lock, lock};

/// A selection of revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revisions {
    /// Anything git understands, including ranges: `main`, `v1.0`, `main~20..main`.
    Named(String),
    /// The tips of all branches, local and remote.
    AllBranches,
    AllTags,
}

/// The locks of some revisions, without duplicates.
#[derive(Debug, Default)]
pub struct Locks {
    pub locks: Vec<Lock>,
    /// Number of revisions that were read.
    pub revisions: usize,
}

/// Reads the locks of `wanted` for the project at `root`, which may be any folder of its
/// repository. Revisions without a lock are skipped.
///
/// # Errors
/// If git does not know a revision, or its lock cannot be parsed.
pub fn locks(root: &Path, wanted: &[Revisions]) -> Result<Locks> {
    let mut commits: BTreeSet<String> = BTreeSet::new();
    for revisions in wanted {
        let listed = match revisions {
            Revisions::Named(name) => named(root, name).map_err(|error| unknown(root, name, error)),
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
        let Some(blob) = blob(root, commit, lock::FILE)? else { continue };
        if read.insert(blob.clone()) {
            let lock = decode(root, commit, &blob).map_err(|error| {
                error.hint("leave that revision out if its objects may be removed")
            })?;
            found.locks.push(lock);
        }
    }
    Ok(found)
}

fn named(root: &Path, name: &str) -> Result<String> {
    // Otherwise a name that begins with a dash would be an option.
    ask(root, &["rev-list", "--no-walk", "--end-of-options", name, "--"])
}

/// Returns those of `wanted` that exist in the repository of another project; none without one.
pub fn known(root: &Path, wanted: &[Revisions]) -> Vec<Revisions> {
    let exists = |revisions: &&Revisions| match revisions {
        Revisions::Named(name) => named(root, name).is_ok(),
        Revisions::AllBranches | Revisions::AllTags => {
            ask(root, &["rev-parse", "--git-dir"]).is_ok()
        }
    };
    wanted.iter().filter(exists).cloned().collect()
}

/// Returns the commit that `name` means; `None` if git does not know it, or without a repository.
pub fn commit(root: &Path, name: &str) -> Option<String> {
    let name = format!("{name}^{{commit}}");
    let answer = ask(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &name]);
    answer.ok().map(|commit| commit.trim_end().to_owned())
}

/// Returns the lock at a commit, for the project at `root`; `None` if the commit has none.
pub fn lock_at(root: &Path, commit: &str) -> Result<Option<Lock>> {
    let blob = blob(root, commit, lock::FILE)?;
    blob.map(|blob| decode(root, commit, &blob)).transpose()
}

/// Reports whether git itself has a file or a folder at `path`, relative to `root`.
pub fn has(root: &Path, commit: &str, path: &str) -> bool {
    blob(root, commit, path).is_ok_and(|found| found.is_some())
}

/// Returns the bytes of a file at a commit; `None` if there is no file at `path`.
pub fn file_at(root: &Path, commit: &str, path: &str) -> Result<Option<Vec<u8>>> {
    match entry(root, commit, path)? {
        Some((kind, id)) if kind == "blob" => answer(root, &["cat-file", "blob", &id]).map(Some),
        _ => Ok(None),
    }
}

/// Returns the names in a folder at a commit; none if there is no such folder.
pub fn names_in(root: &Path, commit: &str, folder: &str) -> Vec<String> {
    let folder = format!("{folder}/");
    let listed =
        ask(root, &["--literal-pathspecs", "ls-tree", "-z", "--name-only", commit, "--", &folder]);
    let names = listed.unwrap_or_default();
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    names.split_terminator('\0').map(name).collect()
}

/// Returns the names of all branches and tags; none without a repository.
pub fn names(root: &Path) -> Vec<String> {
    let listed = ask(root, &["for-each-ref", "--format=%(refname:short)"]);
    listed.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Returns the id of a file at a commit. `path` is relative to `root`.
fn blob(root: &Path, commit: &str, path: &str) -> Result<Option<String>> {
    Ok(entry(root, commit, path)?.map(|(_, id)| id))
}

/// Returns the type and the id of what is at `path` at a commit.
fn entry(root: &Path, commit: &str, path: &str) -> Result<Option<(String, String)>> {
    let entry = ask(root, &["--literal-pathspecs", "ls-tree", commit, "--", path])?;
    let mut words = entry.split_whitespace().skip(1).map(str::to_owned);
    Ok(words.next().zip(words.next()))
}

fn decode(root: &Path, commit: &str, blob: &str) -> Result<Lock> {
    Lock::decode(&ask(root, &["cat-file", "blob", blob])?).map_err(|bad| {
        let commit = commit.get(..10).unwrap_or(commit);
        Error::usage(format!("{}:{} of commit {commit}: {}", lock::FILE, bad.line, bad.what))
    })
}

/// Names the revision that git does not know. Other errors, such as that of a folder outside git,
/// stay as they are.
fn unknown(root: &Path, name: &str, error: Error) -> Error {
    match ask(root, &["rev-parse", "--git-dir"]) {
        Ok(_) => Error::usage(format!("`{name}` is not a git revision")),
        Err(_) => error,
    }
}

fn ask(root: &Path, args: &[&str]) -> Result<String> {
    Ok(String::from_utf8_lossy(&answer(root, args)?).into_owned())
}

fn answer(root: &Path, args: &[&str]) -> Result<Vec<u8>> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(args).stdin(Stdio::null()).env("GIT_OPTIONAL_LOCKS", "0");
    let answer =
        git.output().map_err(|err| Error::environment("cannot start `git`").because(err))?;
    if answer.status.success() {
        return Ok(answer.stdout);
    }
    let message = String::from_utf8_lossy(&answer.stderr);
    let message = message.lines().next().unwrap_or_default();
    Err(Error::usage(format!("`git {}` failed", args.join(" ")))
        .because(message.trim_start_matches("fatal: ")))
}
