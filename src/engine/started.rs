//! `cache/started`: the outs of stages that were started and have not finished, and what they left
//! there ([`Unfinished`]), which is not a user's.
//!
//! An out is appended before it is cleared, and what is there when the stage ends. If the file is
//! lost, the remains count as files of a user, so that the stage is refused; nothing is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::Project;
use super::project::cache_dir;
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::pipeline::Stage;
use crate::plan::trash::Found;
use crate::plan::unfinished::{self, Unfinished};
use crate::plan::{Change, Claims};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::workspace::Observed;
use crate::workspace::write::{self, Durability};

fn file(root: &Path) -> PathBuf {
    cache_dir(root).join("started")
}

/// Returns the outs of stages that had not finished when this was first called. Later calls return
/// the same, to distinguish remains from what this run leaves.
pub(super) fn earlier(project: &Project) -> &Unfinished {
    project.makers.started.get_or_init(|| read(&project.root))
}

/// Returns the reason to run a stage that the lock does not name.
pub(super) fn unlocked_reason(project: &Project, stage: &Stage) -> Change {
    let earlier = earlier(project);
    match stage.outs.iter().any(|out| earlier.names(&out.path)) {
        true => Change::NotRecorded,
        false => Change::NeverRan,
    }
}

/// Reads the outs of unfinished stages; none if the file is missing or is not a plain file.
fn read(root: &Path) -> Unfinished {
    let bytes = regular_file::read(&file(root)).unwrap_or_default();
    Unfinished::decode(&String::from_utf8_lossy(&bytes))
}

/// Reports whether all of the content is what stages left when they ended.
pub(super) fn are_remains(project: &Project, path: &RepoPath, seen: &Observed) -> bool {
    let earlier = earlier(project);
    let mut files = Vec::new();
    list(path, seen, &mut files);
    !files.is_empty() && files.iter().all(|(path, content)| earlier.knows(path, content))
}

/// Adds the outs of a stage, whose command is about to start.
pub(super) fn add(project: &Project, stage: &Stage) -> Result<()> {
    earlier(project);
    append(&project.root, &unfinished::begun(stage.outs.iter().map(|out| &out.path)))
}

/// Records what a stage left at its outs, which it had begun.
///
/// Errors are ignored: all that is there then counts as remains, and goes to the trash.
pub(super) fn end(project: &Project, stage: &Stage) {
    let mut files = Vec::new();
    for path in stage.outs.iter().map(|out| &out.path) {
        let Ok(seen) = project.workspace.observe(path) else { return };
        match (user_link(project, path), &seen) {
            (Some(target), _) => files.push((path.clone(), Content::of_link(&target))),
            (None, Some(seen)) => list(path, seen, &mut files),
            (None, None) => {}
        }
    }
    let _ =
        append(&project.root, &unfinished::left(stage.outs.iter().map(|out| &out.path), &files));
}

/// Adds the files and links in `seen` with their contents.
fn list(path: &RepoPath, seen: &Observed, files: &mut Vec<Found>) {
    let mut open = vec![(path.clone(), seen)];
    while let Some((path, seen)) = open.pop() {
        match seen {
            Observed::Leaf(content) => files.push((path, *content)),
            Observed::Dir { tree, dirs, .. } => {
                open.extend(dirs.iter().map(|(name, dir)| (path.join(name), dir)));
                files.extend(tree.leaves().map(|(name, content)| (path.join(name), *content)));
            }
        }
    }
}

/// Returns the target of a link at `path` that does not lead to an object of the cache.
pub(super) fn user_link(project: &Project, path: &RepoPath) -> Option<PathBuf> {
    let full = path.to_path(&project.root);
    let target = full.read_link().ok()?;
    (!project.cache.is_link_to_object(&full)).then_some(target)
}

fn append(root: &Path, lines: &str) -> Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let file = file(root);
    // The first line feed ends a line that a crash cut off.
    let text = format!("\n{lines}");
    regular_file::open_to_append(&file)
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|err| Error::io("write", &file, &err))
}

/// Removes the outs of stages that the lock now names, and of stages that are not declared.
///
/// Errors are ignored: the claims then last until these stages finish again.
pub(super) fn remove(project: &Project, done: &BTreeSet<&RepoPath>) {
    let (file, mut left) = (file(&project.root), read(&project.root));
    if left.is_empty() {
        return;
    }
    // Stages that were not loaded are up to date, so the lock names their outs.
    let stages = &project.pipeline.stages;
    let outs: Claims = stages.iter().flat_map(|s| &s.outs).map(|out| out.path.clone()).collect();
    left.retain(&outs, &done.iter().map(|path| (*path).clone()).collect());
    let _ = match left.is_empty() {
        true => fs::remove_file(&file).map_err(|err| Error::io("remove", &file, &err)),
        false => write::atomic(&file, left.encode().as_bytes(), Durability::Relaxed),
    };
}
