//! Keeps outs out of git: those that a stage made for the first time are added to `.gitignore`, and
//! so are links to places outside the project.

use std::collections::BTreeSet;

use super::{Project, provenance};
use crate::error::Result;
use crate::pipeline::{Cached, OutsInGit, Stage};
use crate::repo_path::RepoPath;
use crate::workspace::ignore;

/// Adds outs of `made`, stages that ran or were restored, to the `.gitignore` of the project, and
/// removes the lines of outs that are no longer declared. Returns the added outs.
///
/// Leaves out outs that the lock had before, so that a line that someone deletes stays deleted,
/// outs that git tracks or ignores already, outs that are not cached, and inputs.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn ignore_new_outs<'s>(
    project: &Project,
    made: impl Iterator<Item = &'s Stage>,
) -> Result<Vec<RepoPath>> {
    if project.pipeline.outs_in_git == OutsInGit::Tracked
        || !provenance::is_in_checkout(&project.root)
    {
        return Ok(Vec::new());
    }
    let mut new: Vec<RepoPath> = Vec::new();
    for stage in made.filter(|stage| !stage.is_tracked_input()) {
        let locked = project.lock.stages.get(&stage.name);
        let is_new = |path| locked.is_none_or(|trace| !trace.outs.contains_key(path));
        let cached = stage.outs.iter().filter(|out| out.cached == Cached::Yes);
        new.extend(cached.filter(|out| is_new(&out.path)).map(|out| out.path.clone()));
    }
    let external = || project.pipeline.external.keys();
    // The places differ from machine to machine.
    new.extend(external().filter(|path| path.to_path(&project.root).is_symlink()).cloned());
    if !new.is_empty() {
        new = provenance::unknown_to_git(&project.root, new);
    }
    let outs = || project.workspace.outs().iter();
    let declared = || outs().chain(external()).map(ignore::pattern).collect::<BTreeSet<_>>();
    let patterns: Vec<String> = new.iter().map(ignore::pattern).collect();
    ignore::update_outs(&project.root, &patterns, &declared, project.workspace.staging())?;
    Ok(new)
}
