//! `repro runs checkout`: brings back the lock and the outs of a run, with edited texts of the
//! files that define its params.

use std::path::Path;

use super::Project;
use super::checkout::{self, Present};
use super::export::{Existing, export};
use super::size::Tally;
use super::upkeep::revisions;
use crate::error::{Error, Kind, Result};
use crate::pipeline::Cached;
use crate::plan::{Lock, lock};
use crate::repo_path::RepoPath;
use crate::runs::{RunName, Store, lock_after};

use crate::workspace::edit_lock::EditLock;
use crate::workspace::run_lock::RunLock;

/// Result of a checkout.
#[derive(Debug)]
pub struct Report {
    pub outs: checkout::Report,
    /// The lock differs from the one before.
    pub lock_changed: bool,
    /// The latest run whose lock was the one before.
    pub before: Option<RunName>,
}

/// Returns the lock that a run ended with.
///
/// # Errors
/// The lock was not kept, or cannot be read.
pub fn lock_of(root: &Path, run: RunName) -> Result<Lock> {
    lock_after(root, run)?.ok_or_else(|| {
        Error::usage(format!("the lock that {run} ended with was not kept"))
            .hint(format!("`repro get {run} PATH` brings back single outs"))
    })
}

/// Checks that the cache holds every out of a lock that is kept there.
pub fn check_complete(project: &Project, run: RunName, lock: &Lock) -> Result<()> {
    let mut missing = Vec::new();
    for (path, content) in kept(project, lock) {
        if project.cache.first_missing(content)?.is_some() {
            missing.push(path);
        }
    }
    match &missing[..] {
        [] => Ok(()),
        missing => Err(missing
            .iter()
            .fold(
                Error { kind: Kind::Damaged, ..Error::usage(format!("{run} cannot be restored")) },
                |error, path| error.because(format!("the cache does not hold `{path}` any more")),
            )
            .hint(format!("`repro runs reproduce {run}` makes its outs again"))),
    }
}

/// Returns the outs of a lock that the cache keeps.
fn kept<'a>(
    project: &'a Project,
    lock: &'a Lock,
) -> impl Iterator<Item = (&'a RepoPath, &'a crate::digest::Content)> {
    let outs = lock.stages.values().flat_map(|trace| &trace.outs);
    outs.filter(|(path, _)| is_kept(project, path))
}

fn is_kept(project: &Project, path: &RepoPath) -> bool {
    let mut outs = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
    !outs.any(|out| out.path == *path && out.cached == Cached::No)
}

/// Returns the outs of a lock that the cache does not keep and that the workspace does not have.
pub fn not_kept<'a>(project: &Project, lock: &'a Lock) -> Result<Vec<&'a RepoPath>> {
    let mut left = Vec::new();
    for (path, content) in lock.stages.values().flat_map(|trace| &trace.outs) {
        let is_there = || {
            let seen = project.workspace.observe(path)?;
            Ok::<_, Error>(seen.map(|seen| seen.content()) == Some(*content))
        };
        if !is_kept(project, path) && !is_there()? {
            left.push(path);
        }
    }
    Ok(left)
}

/// Replaces the texts of files with params, the lock and the outs by those of a run. Edited outs go
/// to the trash first.
///
/// # Errors
/// The cache lacks an out, or the lock could not be brought back; then nothing has changed.
pub fn checkout(
    project: Project,
    held: &RunLock,
    edits: &EditLock,
    run: RunName,
    lock: &Lock,
    files: &[(RepoPath, String)],
) -> Result<Report> {
    check_complete(&project, run, lock)?;
    let root = project.root.clone();
    let lock_changed = project.lock != *lock;
    // Some run of late may have ended with it.
    let before = if lock_changed { run_with_lock(&root, &project.lock) } else { None };
    if lock_changed && before.is_none() && !project.lock.stages.is_empty() {
        check_in_git(&project)?;
    }
    for (path, text) in files {
        edits.replace(&path.to_path(&root), text.as_bytes())?;
    }
    if lock_changed {
        project.save_lock(lock)?;
    }
    drop(project);
    let project = Project::reload_with_locked(&root, held)?;
    let outs = checkout::checkout(&project, held, &checkout::everything(&project), Present::Stays)?;
    Ok(Report { outs, lock_changed, before })
}

/// Refuses to replace a lock that neither a run nor git's present commit has.
fn check_in_git(project: &Project) -> Result<()> {
    let head = revisions::commit(&project.root, "HEAD");
    let committed = head.map(|commit| revisions::lock_at(&project.root, &commit)).transpose();
    if committed.ok().flatten().flatten().is_some_and(|committed| committed == project.lock) {
        return Ok(());
    }
    Err(Error::usage(format!("`{}` cannot be brought back", lock::FILE))
        .because("it is neither that of a run nor committed to git")
        .hint("commit it, or move it away if you do not need it"))
}

/// Returns the latest of the last runs that ended with this lock.
fn run_with_lock(root: &Path, lock: &Lock) -> Option<RunName> {
    const LATEST: usize = 20;
    let runs = Store::open_existing(root).ok().flatten()?.in_latest_families(LATEST).ok()?;
    let ended_so =
        |run: &RunName| lock_after(root, *run).ok().flatten().is_some_and(|kept| kept == *lock);
    runs.into_iter().find(ended_so)
}

/// Writes the outs and the lock of a run to `to`, an empty or new folder.
///
/// # Errors
/// The folder is not empty; the cache lacks an out.
pub fn copy_to(project: &Project, run: RunName, lock: &Lock, to: &Path) -> Result<Tally> {
    check_complete(project, run, lock)?;
    std::fs::create_dir_all(to).map_err(|err| Error::io("create", to, &err))?;
    let to = &to.canonicalize().map_err(|err| Error::io("open", to, &err))?;
    let mut entries = std::fs::read_dir(to).map_err(|err| Error::io("read", to, &err))?;
    if entries.next().is_some() {
        return Err(Error::usage(format!("`{}` is not empty", to.display()))
            .hint("give a new folder, so that nothing in it is replaced"));
    }
    let mut written = Tally::default();
    for (path, content) in kept(project, lock) {
        let target = path.to_path(to);
        let (tally, _) = export(project, content, (to, &target), Existing::Stays)?;
        written.count += tally.count;
        written.bytes += tally.bytes;
    }
    let file = to.join(lock::FILE);
    std::fs::write(&file, lock.encode()).map_err(|err| Error::io("write", &file, &err))?;
    Ok(written)
}
