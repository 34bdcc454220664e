//! Chooses the files that a worktree gets from a project as it is now.
//!
//! - Files that git tracks, and those that it neither tracks nor ignores. Without git, everything
//!   that counts by the rules of `.reproignore`. From another worktree, everything.
//! - What `pipeline.toml` reads or the stages declare, even if git ignores it: files of params,
//!   deps that no stage makes, and working directories.
//! - Outs that a run in the worktree could not restore: those that the cache does not hold, and
//!   tracked inputs that were edited. All other outs stay out; a run restores what it needs.
//! - Folders without files, where git does not know the folder.
//! - The lock.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::place;
use crate::engine::provenance::{self, Listed};
use crate::engine::{Project, project};
use crate::error::{Error, Result};
use crate::pipeline::command_files::{named_paths, outside_paths};
use crate::pipeline::{self, Cached, Glob, Out, Persist, Pipeline, Stage};
use crate::plan::lock;
use crate::repo_path::RepoPath;
use crate::workspace::Observed;
use crate::workspace::duplicate::{Entries, Wanted};

const RUNS: &str = crate::runs::FOLDER;

/// Lists the files for a worktree of the project, and those at the paths `also`.
pub(super) fn wanted(project: &Project, also: &BTreeSet<RepoPath>) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let stages = || project.pipeline.stages.iter();
    let mut left_out: BTreeSet<PathBuf> = [place::STATE, RUNS].map(PathBuf::from).into();
    let shared = &project.pipeline.shared_by_worktrees;
    let external = project.pipeline.external.keys().filter(|path| {
        // Data that has moved into the project belongs to it.
        path.to_path(&project.root).is_symlink()
    });
    left_out.extend(shared.iter().chain(external).map(|path| path.as_str().into()));
    let mut kept = Vec::new();
    for (stage, out) in stages().flat_map(|stage| stage.outs.iter().map(move |out| (stage, out))) {
        match is_restorable(project, stage, out)? {
            true => left_out.extend([&out.path, out.place()].map(|path| path.as_str().into())),
            false => kept.push(out.place()),
        }
    }
    let is_left_out = |path: &Path| {
        path.file_name().is_some_and(|name| name == ".git")
            || path.ancestors().any(|at| left_out.contains(at))
    };
    let mut want =
        |path: &Path, entries| project.workspace.want(path, entries, &is_left_out, &mut wanted);

    let is_worktree = project.history != project.root;
    let listed = if is_worktree { None } else { provenance::project_files(&project.root) };
    // Git lists nothing of a project in a folder that it ignores.
    let listed = listed.filter(|git| git.files.iter().any(|file| *file == *pipeline::FILE));
    match listed {
        Some(listed) => {
            let Listed { files, folders } = with_submodules(&project.root, listed);
            files.iter().try_for_each(|file| want(file, Entries::All))?;
            for folder in &folders {
                add_empty_folders(&project.root, folder, &mut |path| want(path, Entries::All))?;
            }
        }
        None if is_worktree => want(Path::new(""), Entries::All)?,
        None => want(Path::new(""), Entries::Counted)?,
    }

    let (_, asked) = project::load_with_sources(&project.root, &[])?;
    let sources = asked.sources.files.keys().chain(asked.sources.folders.keys());
    let deps = stages().flat_map(|stage| &stage.deps).map(|dep| match &dep.glob {
        None => Some(&dep.path),
        Some(glob) => glob.base(),
    });
    let wdirs = stages().filter_map(|stage| stage.wdir.as_ref());
    for path in sources.chain(deps.flatten()).chain(kept).chain(also) {
        want(Path::new(path.as_str()), Entries::Counted)?;
    }
    want(Path::new(lock::FILE), Entries::All)?;
    let is_there = |path: &&RepoPath| path.to_path(&project.root).is_dir();
    wanted.folders.extend(wdirs.filter(is_there).map(|path| PathBuf::from(path.as_str())));
    Ok(wanted)
}

/// Returns the deps that no stage makes.
pub(in crate::engine) fn sources(pipeline: &Pipeline) -> impl Iterator<Item = &RepoPath> {
    let outs = || pipeline.stages.iter().flat_map(|stage| &stage.outs);
    let deps = pipeline.stages.iter().flat_map(|stage| &stage.deps);
    let paths = deps.filter_map(|dep| dep.glob.as_ref().map_or(Some(&dep.path), Glob::base));
    paths.filter(move |path| !outs().any(|out| out.path.overlaps(path)))
}

/// Reports whether a run restores the out, or makes it, if it is missing.
fn is_restorable(project: &Project, stage: &Stage, out: &Out) -> Result<bool> {
    if out.cached == Cached::No || out.persist == Persist::Yes {
        return Ok(false);
    }
    let locked = project.lock.stages.get(&stage.name).and_then(|trace| trace.outs.get(&out.path));
    let Some(locked) = locked else { return Ok(!stage.is_tracked_input()) };
    // A content that cannot be looked up cannot be restored, either.
    if !matches!(project.cache.first_missing(locked), Ok(None)) {
        return Ok(false);
    }
    if !stage.is_tracked_input() {
        return Ok(true);
    }
    let seen = project.workspace.observe(&out.path)?;
    Ok(seen.as_ref().map(Observed::content) == Some(*locked))
}

/// Replaces each repository inside, such as a submodule, by its files.
fn with_submodules(root: &Path, listed: Listed) -> Listed {
    let mut all = Listed { files: Vec::new(), folders: listed.folders };
    let mut open = listed.files;
    while let Some(file) = open.pop() {
        let full = root.join(&file);
        if !full.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
            all.files.push(file);
        } else if let Some(inside) = provenance::project_files(&full) {
            let below = |path: &PathBuf| file.join(path);
            open.extend(inside.files.iter().map(below));
            all.folders.extend(inside.folders.iter().map(below));
        }
    }
    all
}

/// Adds the folders at and below `folder` in which there is no file.
fn add_empty_folders(
    root: &Path,
    folder: &Path,
    want: &mut dyn FnMut(&Path) -> Result<()>,
) -> Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(root.join(&folder)).into_iter().flatten().flatten();
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            want(&folder)?;
        }
        for entry in entries {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(folder.join(entry.file_name()));
            }
        }
    }
    Ok(())
}

/// Links the shared folders of the main project, at `home`, into the worktree at `root`. Returns a
/// warning for each that does not exist.
pub(super) fn share(pipeline: &Pipeline, home: &Path, root: &Path) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let external = pipeline.external.keys().filter(|path| path.to_path(home).is_symlink());
    for path in pipeline.shared_by_worktrees.iter().chain(external) {
        let (target, link) = (path.to_path(home), path.to_path(root));
        if target.symlink_metadata().is_err() {
            warnings.push(format!(
                "`{path}`, which worktrees share, does not exist: each worktree makes its own"
            ));
            continue;
        }
        let parent = link.parent().unwrap_or(root);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::path::absolute(&target))
            .and_then(|target| symlink(target, &link))
            .map_err(|err| Error::io("link", &link, &err))?;
    }
    Ok(warnings)
}

/// Refuses stages whose commands name relative paths out of the project, which would lead
/// elsewhere from a worktree.
pub(super) fn check_commands(project: &Project) -> Result<()> {
    let mut errors = Vec::new();
    for stage in &project.pipeline.stages {
        let cmd = stage.cmd.as_deref().unwrap_or_default();
        if let Some(path) = outside_paths(cmd, stage.wdir.as_ref()).first() {
            let Stage { name, line, .. } = stage;
            errors.push(
                Error::usage(format!(
                    "stage `{name}` names `{path}`, which is outside the project"
                ))
                .because("it would be another path in a worktree, which is in another folder")
                .hint(format!(
                    "name it absolutely at pipeline.toml:{line}, or by a link in the project"
                )),
            );
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::several(errors)) }
}

/// Returns a warning for each file that a command names and that is not in the worktree at `root`.
pub(super) fn missing(project: &Project, root: &Path) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    for stage in &project.pipeline.stages {
        let cmd = stage.cmd.as_deref().unwrap_or_default();
        let is_made = |path: &RepoPath| {
            let mut outs = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
            outs.any(|out| out.place().overlaps(path) || out.path.overlaps(path))
        };
        for path in named_paths(cmd, stage.wdir.as_ref()) {
            let exists = |root: &Path| path.to_path(root).symlink_metadata().is_ok();
            if exists(&project.root) && !exists(root) && !is_made(&path) && !path.is_reserved() {
                let warning = format!(
                    "stage `{}` names `{path}`, which is not in the worktree: it is ignored, and \
                     not a dep",
                    stage.family.as_ref().unwrap_or(&stage.name)
                );
                if !warnings.contains(&warning) {
                    warnings.push(warning);
                }
            }
        }
    }
    warnings
}
