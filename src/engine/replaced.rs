//! Finds the parts of displaced content that a user made, as opposed to a stage.

use std::collections::{BTreeMap, HashSet};

use super::{Project, started};
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::pipeline::{Cached, Stage};
use crate::plan::Trace;
use crate::plan::trash::{Displaced, Found};
use crate::plural::count;
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// The entries of the trash for what a user made and what was replaced or removed.
#[derive(Debug, Default)]
pub(super) struct Replaced(Vec<Displaced>);

impl Replaced {
    pub(super) fn new(entries: Vec<Displaced>) -> Replaced {
        Replaced(entries)
    }

    /// Maximum number of paths that the warnings name.
    const MOST_NAMED: usize = 5;

    pub(super) fn append(&mut self, mut other: Replaced) {
        self.0.append(&mut other.0);
    }

    /// Returns warnings that name the commands to bring the content back.
    pub(super) fn warnings(&self) -> Vec<String> {
        let named = self.0.iter().take(Self::MOST_NAMED);
        let mut warnings: Vec<String> = named
            .map(|Displaced { id, path, .. }| {
                format!(
                    "your version of `{path}` was replaced; `repro trash restore {id}` brings it \
                     back"
                )
            })
            .collect();
        if let Some(more) = self.0.len().checked_sub(Self::MOST_NAMED).filter(|more| *more > 0) {
            let more = count(more, "more path");
            warnings
                .push(format!("your versions of {more} were replaced; `repro trash` lists them"));
        }
        warnings
    }
}

/// Returns the largest parts of the contents at `places` that a user made: all of their files were
/// unknown to the cache, came into it as a user's, or are where the lock names no out. What a stage
/// left when it failed is not a user's, nor is what the lock names, unless it was adopted.
pub(super) fn users_content(
    project: &Project,
    places: &[(&RepoPath, &Observed)],
    absent: &HashSet<Digest>,
) -> Result<Vec<Found>> {
    let traces = project.lock.stages.values();
    let locked: BTreeMap<&RepoPath, &Trace> =
        traces.flat_map(|trace| trace.outs.keys().map(move |path| (path, trace))).collect();
    let in_lock = |path: &RepoPath, seen: &Observed| match locked.get(path) {
        Some(trace) if trace.outs.get(path) == Some(&seen.content()) => match trace.accepted {
            None => InLock::Written,
            Some(_) => InLock::Accepted,
        },
        _ => InLock::No,
    };
    let places: Vec<(&RepoPath, &Observed, InLock)> = places
        .iter()
        .map(|(path, seen)| (*path, *seen, in_lock(path, seen)))
        .filter(|(.., in_lock)| *in_lock != InLock::Written)
        .collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let known = known_as_users(project)?;
    let earlier = started::earlier(project);
    let mut found = Vec::new();
    for (path, seen, in_lock) in places {
        // The cache lacks what a stage wrote to an out with `cache = false`.
        let counts_if_absent = in_lock == InLock::No || is_cached(project, path);
        let is_users = |path: &RepoPath, content: &Content| {
            let digest = content.digest();
            let may_be = known.contains(&digest)
                || counts_if_absent && absent.contains(&digest)
                || !project.makers.locked(&project.lock).cover(path);
            may_be && !earlier.knows(path, content)
        };
        collect_users(path, seen, &is_users, &mut found);
    }
    Ok(found)
}

/// Reports whether a user made some of the content at an out of a stage that the lock names.
pub(super) fn is_adopted(
    project: &Project,
    stage: &Stage,
    path: &RepoPath,
    seen: &Observed,
) -> Result<bool> {
    let trace = project.lock.stages.get(&stage.name);
    if trace.is_none_or(|trace| trace.accepted.is_none()) {
        return Ok(false);
    }
    let absent = project.cache.missing(seen.leaf_digests());
    users_content(project, &[(path, seen)], &absent).map(|found| !found.is_empty())
}

/// The relation of the content at a path to an out that the lock names there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InLock {
    /// The lock names other content, or no out with this path.
    No,
    Written,
    /// The user accepted it: the stage may have written it or not.
    Accepted,
}

fn is_cached(project: &Project, path: &RepoPath) -> bool {
    let mut outs = project.pipeline.stages.iter().flat_map(|stage| &stage.outs);
    !outs.any(|out| out.path == *path && out.cached == Cached::No)
}

/// Returns the digests of what came into the trash, or was announced to it, and of everything
/// inside.
fn known_as_users(project: &Project) -> Result<HashSet<Digest>> {
    let mut known = HashSet::new();
    let mut open: Vec<Content> = project.trash.read()?.known().copied().collect();
    while let Some(content) = open.pop() {
        if known.insert(content.digest())
            && let Content::Tree(digest) = content
            && let Ok(tree) = project.cache.tree(&digest)
        {
            open.extend(tree.entries.into_values());
        }
    }
    Ok(known)
}

/// Collects the user's parts, and returns the number of files if all of them are the user's.
fn collect_users(
    path: &RepoPath,
    seen: &Observed,
    is_users: &impl Fn(&RepoPath, &Content) -> bool,
    found: &mut Vec<Found>,
) -> Option<usize> {
    match seen {
        Observed::Leaf(content) if is_users(path, content) => {
            found.push((path.clone(), *content));
            Some(1)
        }
        Observed::Leaf(_) => None,
        Observed::Dir { tree, digest, dirs } => {
            let before = found.len();
            let mut files = Some(0);
            for (name, content) in &tree.entries {
                let leaf = Observed::Leaf(*content);
                let inside = dirs.get(name).unwrap_or(&leaf);
                let more = collect_users(&path.join(name), inside, is_users, found);
                files = files.zip(more).map(|(files, more)| files + more);
            }
            // A folder with one file is named by the file.
            if files.is_some_and(|files| files > 1) {
                found.truncate(before);
                found.push((path.clone(), Content::Tree(*digest)));
            }
            files
        }
    }
}
