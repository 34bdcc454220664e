//! Restores outs after git has changed `pipeline.lock`: a switch of branches, a merge, a rebase.
//!
//! Only stages whose records differ from those before are touched. An out that a user has edited
//! stays, and so does one of which the cache lacks something.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command::Git;
use super::lock_driver;
use crate::digest::Content;
use crate::engine::Project;
use crate::engine::checkout::{Part, Present, Report, checkout, is_kept};
use crate::engine::replaced::users_content;
use crate::engine::upkeep::revisions;
use crate::error::Result;
use crate::pipeline::{self, StageName};
use crate::plan::OutContents;
use crate::plan::lock::{self, Blocks};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// The state that git has moved the files to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Commit(String),
    /// The files on the disk, which may differ from the commit.
    Workspace,
}

/// The effect on one project.
#[derive(Debug)]
pub struct Followed {
    pub report: Report,
    /// Outs that a user has edited.
    pub edited: Vec<RepoPath>,
    /// Outs that the cache does not hold.
    pub missing: Vec<RepoPath>,
    /// The pipeline declares a remote that this program can use.
    pub has_remote: bool,
}

/// Returns the roots of the projects in the repository at `top` whose lock differs between a commit
/// and the target; without a commit, of all projects.
pub fn changed_projects(top: &Path, from: Option<&str>, to: &Target) -> Vec<PathBuf> {
    let git = Git::at(top);
    let locks = ":(top,glob)**/pipeline.lock";
    let listed = match from {
        None => git.bytes(&["ls-files", "-z", "--full-name", "--", locks]),
        Some(from) => {
            let mut args = vec!["diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", from];
            if let Target::Commit(commit) = to {
                args.push(commit);
            }
            args.extend(["--", locks]);
            git.bytes(&args)
        }
    };
    let listed = String::from_utf8_lossy(&listed.unwrap_or_default()).into_owned();
    let folders = listed.split_terminator('\0').filter_map(|path| path.strip_suffix(lock::FILE));
    let roots = folders.map(|folder| top.join(folder).components().collect::<PathBuf>());
    roots.filter(|root| root.join(pipeline::FILE).is_file()).collect()
}

/// Restores the outs of the project at `root` whose records have changed since the commit `from`.
///
/// # Errors
/// The pipeline or the lock is not valid, a run is in progress, or a file cannot be written.
pub fn follow(root: &Path, from: Option<&str>) -> Result<Followed> {
    let (project, held) = Project::load_with_locked(root)?;
    let before = from.and_then(|from| revisions::file_at(root, from, lock::FILE).ok().flatten());
    let before = lock_driver::read(&String::from_utf8_lossy(&before.unwrap_or_default()));
    let before = before.unwrap_or_default();
    let (blocks_before, blocks_now) = (by_name(&before), by_name(&project.blocks));
    let mut edited = Vec::new();
    let mut missing = Vec::new();
    let mut parts = Vec::new();
    for (stage, trace) in &project.lock.stages {
        if blocks_before.get(stage.as_str()) == blocks_now.get(stage.as_str()) {
            continue;
        }
        let earlier = before.trace(stage.as_str()).ok().flatten();
        let mut paths = OutContents::new();
        for (path, content) in trace.out_contents() {
            let seen = project.workspace.observe(&path)?;
            let present = seen.as_ref().map(Observed::content);
            if present == content || !is_kept(&project, stage, &path) {
                continue;
            }
            let was_locked = || {
                let earlier = earlier.as_ref().and_then(|trace| trace.outs.get(&path));
                earlier.copied() == present
            };
            if let Some(seen) = &seen
                && !was_locked()
                && is_users(&project, &path, seen)?
            {
                edited.push(path);
            } else if content.is_some_and(|content| is_missing(&project, &content)) {
                missing.push(path);
            } else {
                paths.insert(path, content);
            }
        }
        if !paths.is_empty() {
            parts.push(Part { stage: StageName::clone(stage), paths });
        }
    }
    let report = checkout(&project, &held, &parts, Present::Stays)?;
    let has_remote = cfg!(feature = "remote") && !project.pipeline.remotes.is_empty();
    Ok(Followed { report, edited, missing, has_remote })
}

fn by_name(blocks: &Blocks) -> BTreeMap<&str, &str> {
    blocks.iter().map(|(name, lines)| (name, lines.trim_end_matches('\n'))).collect()
}

fn is_users(project: &Project, path: &RepoPath, seen: &Observed) -> Result<bool> {
    let absent = project.cache.missing(seen.leaf_digests());
    users_content(project, &[(path, seen)], &absent).map(|found| !found.is_empty())
}

fn is_missing(project: &Project, content: &Content) -> bool {
    // A tree that cannot be read is as good as missing.
    project.cache.first_missing(content).map_or(true, |missing| missing.is_some())
}
