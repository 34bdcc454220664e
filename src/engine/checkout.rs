//! `repro checkout`: restores the outs that the lock names from the cache, without running stages.

use std::collections::BTreeMap;

use super::replaced::Replaced;
use super::size::Tally;
use super::{Project, commit, ended_orphan, foreign, obstacle};
use crate::digest::Content;
use crate::error::{Error, Kind, Result, did_you_mean};
use crate::exec::kill_orphans;
use crate::pipeline::{Cached, Glob, StageName};
use crate::plan::{Lock, OutContents, Trace, lock};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;
use crate::workspace::run_lock::RunLock;

/// Paths to restore for one stage: its outs, or parts of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    pub stage: StageName,
    pub paths: OutContents,
}

/// Treatment of files that already match the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Present {
    Stays,
    /// They get the kind of link that is configured now.
    Relinked,
}

/// The result of a checkout.
#[derive(Debug)]
pub struct Report {
    /// Remarks for the user.
    pub warnings: Vec<String>,
    /// Stages with restored paths, and the files and bytes written.
    pub brought: Vec<(StageName, Vec<RepoPath>)>,
    pub written: Tally,
}

/// Returns everything that the lock names.
pub fn everything(project: &Project) -> Vec<Part> {
    project.lock.stages.iter().map(|(name, trace)| whole(name, trace)).collect()
}

/// Returns all outs of the stage or matrix family `name`; empty if the lock has none.
pub fn of_stage(project: &Project, name: &str) -> Vec<Part> {
    let is_variant = |stage: &StageName| {
        stage.as_str().split_once('@').is_some_and(|(family, _)| family == name)
    };
    let stages = project.lock.stages.iter();
    stages
        .filter(|(stage, _)| stage.as_str() == name || is_variant(stage))
        .map(|(name, trace)| whole(name, trace))
        .collect()
}

/// Returns the outs, or parts of outs, at a path or matching a glob.
///
/// # Errors
/// If there is none.
pub fn at_path(project: &Project, path: &RepoPath) -> Result<Vec<Part>> {
    let parts = parts_at(project, &project.lock, path)?;
    let not_kept =
        |part: &&Part| !part.paths.keys().any(|path| is_kept(project, &part.stage, path));
    match (&parts[..], parts.iter().find(not_kept)) {
        ([], _) => Err(nothing_at(project, path)),
        ([_], Some(Part { stage, .. })) => {
            Err(Error::usage(format!("`{path}` is not kept in the cache"))
                .hint(format!("`repro run {stage}` writes it")))
        }
        _ => Ok(parts),
    }
}

/// Returns the outs of a lock, or parts of outs, at a path or matching a glob; empty if there is
/// none.
pub(super) fn parts_at(project: &Project, lock: &Lock, path: &RepoPath) -> Result<Vec<Part>> {
    let glob = Glob::parse(path).map_err(|bad| Error::usage(format!("`{path}` has {bad}")))?;
    let mut parts = Vec::new();
    for (name, trace) in &lock.stages {
        let mut paths = OutContents::new();
        for (out, content) in &trace.outs {
            match &glob {
                Some(glob) => {
                    project.cache.check_possible(content)?;
                    matching(project, glob, out, content, &mut paths)?;
                }
                None => paths.extend(part_at(project, path, out, content)?),
            }
        }
        if !paths.is_empty() {
            parts.push(Part { stage: name.clone(), paths });
        }
    }
    Ok(parts)
}

/// Groups contents at paths by their stages.
pub fn parts_of(outs: impl IntoIterator<Item = (StageName, RepoPath, Content)>) -> Vec<Part> {
    let mut parts: BTreeMap<StageName, OutContents> = BTreeMap::new();
    for (stage, path, content) in outs {
        parts.entry(stage).or_default().insert(path, Some(content));
    }
    parts.into_iter().map(|(stage, paths)| Part { stage, paths }).collect()
}

fn whole(name: &StageName, trace: &Trace) -> Part {
    Part { stage: name.clone(), paths: trace.out_contents() }
}

/// Returns the part of an out at `path`, which may be the whole out.
fn part_at(
    project: &Project,
    path: &RepoPath,
    out: &RepoPath,
    content: &Content,
) -> Result<Option<(RepoPath, Option<Content>)>> {
    if path.contains(out) {
        return Ok(Some((out.clone(), Some(*content))));
    }
    let Some(below) = path.strip_prefix(out) else {
        return Ok(None);
    };
    let mut content = *content;
    for name in below.split('/') {
        let Content::Tree(digest) = content else { return Ok(None) };
        match project.cache.tree(&digest)?.entries.get(name) {
            Some(entry) => content = *entry,
            None => return Ok(None),
        }
    }
    Ok(Some((path.clone(), Some(content))))
}

/// Collects the parts of the content at `path` that match.
fn matching(
    project: &Project,
    glob: &Glob,
    path: &RepoPath,
    content: &Content,
    paths: &mut OutContents,
) -> Result<()> {
    if glob.matches(path.as_str()) {
        paths.insert(path.clone(), Some(*content));
        return Ok(());
    }
    let Content::Tree(digest) = content else { return Ok(()) };
    if !glob.base().is_none_or(|base| base.overlaps(path)) {
        return Ok(());
    }
    let tree = project.cache.tree(digest)?;
    tree.entries
        .iter()
        .try_for_each(|(name, entry)| matching(project, glob, &path.join(name), entry, paths))
}

fn nothing_at(project: &Project, path: &RepoPath) -> Error {
    let error = Error::usage(format!("`{}` has no stage and no out at `{path}`", lock::FILE));
    let stages = project.lock.stages.keys().map(StageName::as_str);
    let families = stages.clone().filter_map(|name| name.split_once('@')).map(|(family, _)| family);
    let outs =
        project.lock.stages.values().flat_map(|trace| trace.outs.keys().map(RepoPath::as_str));
    match did_you_mean(path.as_str(), stages.clone().chain(families).chain(outs)) {
        Some(meant) => error.hint(format!("did you mean `{meant}`?")),
        None => {
            error.hint(format!("its stages are {}", stages.take(20).collect::<Vec<_>>().join(", ")))
        }
    }
}

/// Restores parts of the lock.
///
/// # Errors
/// One error per stage with a missing object. The other stages are still restored.
pub fn checkout(
    project: &Project,
    _held: &RunLock,
    parts: &[Part],
    present: Present,
) -> Result<Report> {
    project.cache.sweep_temporaries();
    // Orphaned processes would write into the restored outs.
    let orphans = kill_orphans(&project.markers())?;
    let warnings = orphans.iter().map(|stage| ended_orphan(stage)).collect();
    let mut report = Report { warnings, brought: Vec::new(), written: Tally::default() };
    let mut errors = Vec::new();
    for part in parts {
        let mut replaced = Replaced::default();
        let brought = bring(project, part, present, &mut replaced);
        report.warnings.extend(replaced.warnings());
        match brought {
            Ok((paths, written)) => {
                report.written.count += written.count;
                report.written.bytes += written.bytes;
                if !paths.is_empty() {
                    report.brought.push((part.stage.clone(), paths));
                }
            }
            Err(error) => errors.push(restore_error(&part.stage, error)),
        }
    }
    // Without an index, the next run hashes again and gets the same result.
    let _ = project.workspace.save_index();
    if errors.is_empty() { Ok(report) } else { Err(Error::several(errors)) }
}

/// Restores the paths that differ and returns them, with the files and bytes written. Adds to
/// `replaced` what the cache did not hold before.
fn bring(
    project: &Project,
    part: &Part,
    present: Present,
    replaced: &mut Replaced,
) -> Result<(Vec<RepoPath>, Tally)> {
    let mut differing = OutContents::new();
    let mut found: BTreeMap<RepoPath, Option<Observed>> = BTreeMap::new();
    for (path, content) in part.paths.iter().filter(|(path, _)| is_kept(project, &part.stage, path))
    {
        let seen = project.workspace.observe(path)?;
        if seen.as_ref().map(Observed::content) != *content {
            differing.insert(path.clone(), *content);
        }
        found.insert(path.clone(), seen);
    }
    for content in differing.values().flatten() {
        if let Some(digest) = project.cache.first_missing(content)? {
            return Err(Error::damaged(format!(
                "the cache does not hold object {}",
                digest.short()
            )));
        }
    }
    for path in differing.keys() {
        foreign::refuse_obstacle(project, path)?;
        replaced.append(obstacle::clear(project, path)?);
        clear_path(project, &part.stage, path, replaced)?;
    }
    let (mut written, others) = commit::restore(project, &differing, &found)?;
    replaced.append(others);
    let mut paths: Vec<RepoPath> = differing.keys().cloned().collect();
    if present == Present::Relinked {
        for (path, seen) in found.iter().filter(|(path, _)| !differing.contains_key(*path)) {
            let Some(seen) = seen else { continue };
            let relinked = commit::relink(project, path, seen, project.links.kinds())?;
            if relinked.count > 0 {
                paths.push(path.clone());
            }
            written.count += relinked.count;
            written.bytes += relinked.bytes;
        }
    }
    Ok((paths, written))
}

/// Reports whether the cache keeps the out. Other outs stay as they are; only a run makes them.
pub(super) fn is_kept(project: &Project, stage: &StageName, path: &RepoPath) -> bool {
    let stage = project.pipeline.find(stage.as_str()).map(|ix| &project.pipeline.stages[ix]);
    !stage
        .iter()
        .flat_map(|stage| &stage.outs)
        .any(|out| out.path.contains(path) && out.cached == Cached::No)
}

/// Stores and removes a file or link that stands where a folder above `path` belongs.
fn clear_path(
    project: &Project,
    stage: &StageName,
    path: &RepoPath,
    replaced: &mut Replaced,
) -> Result<()> {
    let outs = project.lock.stages.get(stage).map(|trace| &trace.outs);
    let Some(out) = outs.and_then(|outs| outs.keys().find(|out| out.contains(path))) else {
        return Ok(());
    };
    let mut above: Vec<&str> =
        path.ancestors().take_while(|above| above.len() >= out.as_str().len()).collect();
    above.reverse();
    for above in above {
        let folder = RepoPath::parse_canonical(above)
            .unwrap_or_else(|| panic!("BUG: `{above}` is above a path"));
        match folder.to_path(&project.root).symlink_metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                if let Some(seen) = project.workspace.observe(&folder)? {
                    replaced.append(commit::store_durably(project, &folder, &seen)?);
                }
                return project.workspace.remove(&folder);
            }
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

fn restore_error(name: &StageName, error: Error) -> Error {
    let whole = Error {
        kind: error.kind,
        what: format!("cannot restore the outs of stage `{name}`"),
        ..Error::usage("")
    };
    let whole = error.causes.iter().fold(whole.because(&error.what), Error::because);
    match (error.kind, error.hint) {
        (_, Some(hint)) => whole.hint(hint),
        (Kind::Damaged, None) => whole.hint(format!("`repro run {name}` makes them again")),
        (_, None) => whole,
    }
}
