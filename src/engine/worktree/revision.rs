//! Fills a worktree with the files of a git revision. Runs `git`, and changes nothing in the user's
//! repository: the index is a file in the worktree, and `.git/worktrees` stays as it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// A state of a project in git.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    pub commit: &'a str,
    /// A file with changes to that commit, as `git diff` prints them, relative to the project.
    pub diff: Option<&'a Path>,
}

/// Writes the files of the project at `home`, as they were at the revision, to the folder `root`.
///
/// Submodules are empty folders. `index` is a path for a file that git needs meanwhile.
///
/// # Errors
/// Git does not know the commit, or the changes do not apply to it.
pub(super) fn check_out(
    home: &Path,
    revision: &Revision<'_>,
    root: &Path,
    index: &Path,
) -> Result<()> {
    let ask = |args: &[&str]| text(Command::new("git").arg("-C").arg(home).args(args));
    let git_dir = PathBuf::from(ask(&["rev-parse", "--absolute-git-dir"])?);
    // The folder of the project in the repository, with a slash at the end.
    let prefix = ask(&["rev-parse", "--show-prefix"])?;
    let tree = format!("{}:{}", revision.commit, prefix.trim_end_matches('/'));
    let git = |args: &[&OsStr]| {
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&git_dir).arg("--work-tree").arg(root).arg("-C").arg(root);
        text(git.args(args).env("GIT_INDEX_FILE", index)).map(drop)
    };
    git(&["read-tree", &tree].map(OsStr::new)).map_err(|error| {
        let commit = revision.commit.get(..10).unwrap_or(revision.commit);
        Error::usage(format!("the commit {commit} is not in this repository"))
            .because(error.causes.first().map_or("", String::as_str))
            .hint("fetch it first")
    })?;
    git(&["checkout-index", "--all", "--force", "--quiet"].map(OsStr::new))?;
    if let Some(diff) = revision.diff {
        let apply = ["apply", "--binary", "--whitespace=nowarn"].map(OsStr::new);
        git(&[&apply[..], &[diff.as_os_str()]].concat())?;
    }
    let _ = std::fs::remove_file(index);
    Ok(())
}

/// Runs git and returns what it prints.
fn text(git: &mut Command) -> Result<String> {
    git.stdin(Stdio::null()).env("GIT_OPTIONAL_LOCKS", "0");
    let answer =
        git.output().map_err(|err| Error::environment("cannot start `git`").because(err))?;
    if answer.status.success() {
        return Ok(String::from_utf8_lossy(&answer.stdout).trim_end_matches('\n').to_owned());
    }
    let message = String::from_utf8_lossy(&answer.stderr);
    let message = message.lines().next().unwrap_or_default();
    Err(Error::usage("`git` failed").because(message.trim_start_matches("fatal: ")))
}
