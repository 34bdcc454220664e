//! The difference between the files of a project and the commit that is checked out, as a patch:
//! changes of tracked files, and the files that git neither tracks nor ignores.
//!
//! The patch is made with a copy of git's index, to which the unknown files are added without their
//! contents. So the user's index does not change, and git's objects gain at most the empty one.
//! `git apply --binary` applies the patch.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::digest::Digest;
use crate::event::GitDiff;
use crate::pipeline::Stage;
use crate::plan::lock;
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs;

/// Maximum size of a file in the patch. Larger ones are data rather than code.
const MAX_FILE: u64 = 1 << 20;
/// Maximum size of all files in the patch.
const MAX_TOTAL: u64 = 16 << 20;
/// Maximum number of files in the patch.
const MAX_FILES: usize = 10_000;
/// Maximum number of paths that are listed as left out.
const MAX_LISTED: usize = 100;

/// Writes the patch that turns the commit into the present files into `folder`; `None` if that is
/// not possible. Outs of `stages` and the lock are left out.
pub(super) fn record(root: &Path, stages: &[Stage], folder: &Path) -> Option<GitDiff> {
    let index = folder.join("git.index");
    let git = Git { root, index: &index };
    let user = git.index_of_user()?;
    let diff = copy(&user, &index).ok().and_then(|()| git.diff(stages));
    let _ = fs::remove_file(&index);
    let (patch, lacks) = diff?;
    regular_file::create(&folder.join(runs::GIT_DIFF)).ok()?.write_all(&patch).ok()?;
    Some(GitDiff { digest: Digest::of(&patch), lacks })
}

/// Copies the index with its time: git takes a file for unchanged only if it is older than that.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (regular_file::open(from)?, regular_file::create(to)?);
    io::copy(&mut from, &mut to)?;
    to.set_modified(from.metadata()?.modified()?)
}

struct Git<'a> {
    root: &'a Path,
    /// The copy of the index.
    index: &'a Path,
}

impl Git<'_> {
    /// Returns the patch, and the paths that are too large for it.
    fn diff(&self, stages: &[Stage]) -> Option<(Vec<u8>, Vec<String>)> {
        let is_out = |path: &str| {
            let path = RepoPath::parse_canonical(path);
            let mut outs = stages.iter().flat_map(|stage| &stage.outs);
            path.is_some_and(|path| outs.any(|out| out.path.contains(&path)))
        };
        let is_ours = |path: &String| path != lock::FILE && !is_out(path);
        let unknown = self.ask(&["ls-files", "-z", "--others", "--exclude-standard", "--", "."])?;
        let changed =
            self.ask(&["diff-index", "-z", "--name-only", "--relative", "HEAD", "--", "."])?;
        let (mut total, mut count, mut lacks) = (0, 0, Vec::new());
        let mut fits = |path: &String| {
            let size = self.root.join(path).symlink_metadata().map_or(0, |file| file.len());
            let fits = size <= MAX_FILE && total + size <= MAX_TOTAL && count < MAX_FILES;
            if fits {
                (total, count) = (total + size, count + 1);
            } else if lacks.len() < MAX_LISTED {
                lacks.push(path.clone());
            }
            fits
        };
        let mut fitting = |names: &[u8]| -> Vec<String> {
            names_in(names).into_iter().filter(is_ours).filter(&mut fits).collect()
        };
        let (unknown, changed) = (fitting(&unknown), fitting(&changed));
        self.run(&["add", "--intent-to-add", FROM_STDIN, NUL], &unknown)?;
        let all: Vec<String> = changed.into_iter().chain(unknown).collect();
        let mut patch = Vec::new();
        // A command line can hold about two megabytes of paths.
        for some in all.chunks(1000) {
            patch.extend(self.ask_of(&PATCH, some)?);
        }
        Some((patch, lacks))
    }

    fn index_of_user(&self) -> Option<PathBuf> {
        let mut git = self.command();
        let answer =
            git.env_remove(INDEX).args(["rev-parse", "--git-path", "index"]).output().ok()?;
        let path = std::str::from_utf8(&answer.stdout).ok()?.trim_end_matches('\n');
        (answer.status.success() && !path.is_empty()).then(|| self.root.join(path))
    }

    fn ask(&self, args: &[&str]) -> Option<Vec<u8>> {
        let answer = self.command().args(args).output().ok()?;
        answer.status.success().then_some(answer.stdout)
    }

    /// Asks about the paths, each taken literally.
    fn ask_of(&self, args: &[&str], paths: &[String]) -> Option<Vec<u8>> {
        let answer = self.command().args(args).args(paths).output().ok()?;
        answer.status.success().then_some(answer.stdout)
    }

    /// Runs a command that reads paths from its input.
    fn run(&self, args: &[&str], paths: &[String]) -> Option<()> {
        if paths.is_empty() {
            return Some(());
        }
        let mut git = self.command().args(args).stdin(Stdio::piped()).spawn().ok()?;
        let names: String = paths.iter().map(|path| format!("{path}\0")).collect();
        git.stdin.take()?.write_all(names.as_bytes()).ok()?;
        git.wait().ok()?.success().then_some(())
    }

    fn command(&self) -> Command {
        let mut git = Command::new("git");
        let literal: &OsStr = "--literal-pathspecs".as_ref();
        git.arg("-C").arg(self.root).arg(literal).env(INDEX, self.index);
        git.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        git
    }
}

const INDEX: &str = "GIT_INDEX_FILE";
const FROM_STDIN: &str = "--pathspec-from-file=-";
const NUL: &str = "--pathspec-file-nul";
// The plumbing command, whose output does not depend on the user's configuration.
const PATCH: [&str; 8] = [
    "diff-index",
    "--patch",
    "--binary",
    "--full-index",
    "--relative",
    "--no-renames",
    "HEAD",
    "--",
];

fn names_in(listed: &[u8]) -> Vec<String> {
    let names = listed.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names.filter_map(|name| String::from_utf8(name.to_vec()).ok()).collect()
}
