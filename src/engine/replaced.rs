//! Finds the parts of displaced content that a user made, as opposed to a stage.

use std::collections::{BTreeMap, HashSet};

use super::{Project, started};
use crate::digest::{Content, Digest};
use crate::error::Result;
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
/// left when it failed is not a user's.
pub(super) fn users_content(
    project: &Project,
    places: &[(&RepoPath, &Observed)],
    absent: &HashSet<Digest>,
) -> Result<Vec<Found>> {
    let locked: BTreeMap<&RepoPath, &Content> =
        project.lock.stages.values().flat_map(|trace| &trace.outs).collect();
    let is_locked = |(path, seen): &(&RepoPath, &Observed)| {
        locked.get(path).is_some_and(|content| **content == seen.content())
    };
    if places.iter().all(is_locked) {
        return Ok(Vec::new());
    }
    let trash = project.trash.read()?;
    let earlier = started::earlier(project);
    let is_users = |path: &RepoPath, content: &Content| {
        let digest = content.digest();
        let may_be = absent.contains(&digest)
            || trash.knows(&digest)
            || !project.makers.locked(&project.lock).cover(path);
        may_be && !earlier.knows(path, content)
    };
    let mut found = Vec::new();
    for (path, seen) in places.iter().filter(|place| !is_locked(place)) {
        collect_users(path, seen, &is_users, &mut found);
    }
    Ok(found)
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
