//! Provenance of a run: where it comes from, and the git state. Runs `git`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Project;
use crate::digest::Digest;
use crate::event::{GitState, GitTree, RunInfo, RunKind, RunUid};
use crate::repo_path::RepoPath;
use crate::unique::unique;

/// Returns the facts about a run that starts now, without its command line, overrides, git state
/// and count of stages that are up to date.
pub(super) fn run_info(project: &Project, kind: RunKind) -> RunInfo {
    let pipeline = project.pipeline.name.clone();
    RunInfo {
        uid: random_uid(),
        kind,
        parent: None,
        name: None,
        experiment: RunInfo::experiment_of(pipeline.as_deref()),
        pipeline,
        command: Vec::new(),
        params: project.used_params(),
        overrides: Vec::new(),
        overridden: project.pipeline.overridden.clone(),
        host: host(),
        user: user(),
        git: None,
        fresh: 0,
        tags: BTreeMap::new(),
    }
}

/// Returns a new identity.
pub fn random_uid() -> RunUid {
    let mut bytes = [0; 16];
    let random = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if random.is_err() {
        // The name is unique on this machine.
        let digest = Digest::of(format!("{} {}", unique(), host()).as_bytes());
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
    }
    RunUid::from_bytes(bytes)
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the name of the user, as the login or the container has set it.
fn user() -> Option<String> {
    ["USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
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
    Some(GitState { commit, branch, tree, diff: None })
}

/// Reports whether git may know the folder, and can answer. Starting git costs as much as the rest
/// of a small run.
pub(super) fn is_in_checkout(root: &Path) -> bool {
    let is_checkout = |folder: &Path| folder.join(".git").exists();
    // Git itself waits for a FIFO.
    let is_fifo = |meta: Metadata| meta.file_type().is_fifo();
    let blocks = |folder: &Path| folder.join(".gitignore").symlink_metadata().is_ok_and(is_fifo);
    let Ok(real) = root.canonicalize() else { return false };
    !real.ancestors().any(blocks)
        && (std::env::var_os("GIT_DIR").is_some() || real.ancestors().any(is_checkout))
}

/// Paths relative to a folder in a checkout.
#[derive(Debug)]
pub(super) struct Listed {
    /// Files that git does not ignore. A repository inside is one path.
    pub files: Vec<PathBuf>,
    /// Folders in which git tracks nothing.
    pub folders: Vec<PathBuf>,
}

/// Lists the files below `root` that git does not ignore; `None` outside a checkout.
pub(super) fn project_files(root: &Path) -> Option<Listed> {
    let list = |args: &[&str]| -> Option<Vec<PathBuf>> {
        let answer = answer(root, &[&["ls-files", "-z", "--exclude-standard"], args].concat())?;
        let names = answer.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        let paths = names.map(|name| PathBuf::from(OsStr::from_bytes(name)));
        answer.status.success().then(|| paths.collect())
    };
    // Without the slash at the end of a folder.
    let tidy = |path: PathBuf| path.components().collect();
    if !is_in_checkout(root) {
        return None;
    }
    let files = list(&["--cached", "--others"])?.into_iter().map(tidy).collect();
    let mut folders = list(&["--others", "--directory"])?;
    folders.retain(|path| path.as_os_str().as_bytes().ends_with(b"/"));
    Some(Listed { files, folders: folders.into_iter().map(tidy).collect() })
}

/// Returns the files of the project that git tracks.
pub(super) fn tracked_files(root: &Path) -> Vec<RepoPath> {
    let listed = is_in_checkout(root).then(|| answer(root, &["ls-files", "-z"])).flatten();
    let Some(listed) = listed else { return Vec::new() };
    let names = listed.stdout.split(|byte| *byte == 0);
    names.filter_map(|name| RepoPath::parse_canonical(std::str::from_utf8(name).ok()?)).collect()
}

/// Returns the paths that git neither tracks nor ignores; none if git cannot tell.
pub(super) fn unknown_to_git(root: &Path, paths: Vec<RepoPath>) -> Vec<RepoPath> {
    let listed = |answer: &Output| -> Vec<RepoPath> {
        let names = answer.stdout.split(|&byte| byte == 0);
        names.filter_map(|name| RepoPath::parse(std::str::from_utf8(name).ok()?).ok()).collect()
    };
    let tracked: BTreeSet<RepoPath> = tracked_files(root).into_iter().collect();
    let is_tracked = |path: &RepoPath| {
        let from = (Bound::Included(path.as_str()), Bound::Unbounded);
        let next = tracked.range::<str, _>(from);
        let mut next = next.take_while(|other| other.as_str().starts_with(path.as_str()));
        next.any(|other| path.contains(other))
    };
    let names = paths.iter().map(|path| format!("{path}\0")).collect::<String>();
    let Some(ignored) = check_ignore(root, names) else { return Vec::new() };
    let ignored: BTreeSet<RepoPath> = listed(&ignored).into_iter().collect();
    let mut paths = paths;
    paths.retain(|path| !ignored.contains(path) && !is_tracked(path));
    paths
}

/// Asks git which of the `names`, each with a zero byte at its end, it ignores.
fn check_ignore(root: &Path, names: String) -> Option<Output> {
    let mut git = Command::new("git");
    git.arg("-C").arg(root).args(["check-ignore", "-z", "--no-index", "--stdin"]);
    let pipes = git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut git = pipes.spawn().ok()?;
    let mut stdin = git.stdin.take()?;
    // From a thread: git answers while it reads.
    let writer = std::thread::spawn(move || stdin.write_all(names.as_bytes()));
    let output = git.wait_with_output().ok()?;
    writer.join().ok()?.ok()?;
    matches!(output.status.code(), Some(0 | 1)).then_some(output)
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
