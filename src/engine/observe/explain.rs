//! Details of reasons: the changed files of a changed directory.

use std::collections::BTreeMap;

use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::folder_diff::{self, MOST_NAMED};
use crate::plan::change::Fate;
use crate::plan::tree::EntryChange;
use crate::plan::{Change, Decision, Tree};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Replaces each change of a directory by the changes of its files, if the cache still has the old
/// tree of the directory.
pub(in crate::engine) fn spell_out(
    project: &Project,
    decision: Decision,
    deps: &BTreeMap<RepoPath, Observed>,
) -> Decision {
    match decision {
        Decision::Fresh(trace) => Decision::Fresh(trace),
        Decision::Restore(trace, changes) => {
            Decision::Restore(trace, detailed(project, changes, deps))
        }
        Decision::Run(changes) => Decision::Run(detailed(project, changes, deps)),
        Decision::Blocked(changes) => Decision::Blocked(changes),
    }
}

fn detailed(
    project: &Project,
    changes: Vec<Change>,
    deps: &BTreeMap<RepoPath, Observed>,
) -> Vec<Change> {
    let mut detailed = Vec::with_capacity(changes.len());
    for change in changes {
        let files = match &change {
            Change::Dep { path, old: Some(Content::Tree(old)), new: Some(Content::Tree(_)) } => {
                deps.get(path).and_then(|seen| files(project, path, old, seen))
            }
            _ => None,
        };
        match files {
            Some(files) if !files.is_empty() && files.len() <= MOST_NAMED => detailed.extend(files),
            _ => detailed.push(change),
        }
    }
    detailed
}

fn files(project: &Project, path: &RepoPath, old: &Digest, seen: &Observed) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    let base = folder_diff::base(path);
    compare(project, &base, &project.cache.tree(old).ok()?, seen, &mut changes)?;
    Some(changes)
}

fn compare(
    project: &Project,
    base: &str,
    old: &Tree,
    seen: &Observed,
    changes: &mut Vec<Change>,
) -> Option<()> {
    let Observed::Dir { tree, dirs, .. } = seen else {
        return None;
    };
    let mut inner = Vec::new();
    for (name, change) in tree.changes_since(old) {
        let path = RepoPath::parse(&format!("{base}{name}"));
        let is_ignored = |path: &RepoPath| {
            path.to_path(&project.root).symlink_metadata().is_ok()
                && project.workspace.is_ignored(path)
        };
        let fate = match change {
            EntryChange::Inside { old, .. } => {
                inner.push((name, old));
                continue;
            }
            EntryChange::Added => Fate::Added,
            EntryChange::Changed => Fate::Changed,
            EntryChange::Removed if path.as_ref().is_ok_and(is_ignored) => Fate::Ignored,
            EntryChange::Removed => Fate::Removed,
        };
        changes.extend(path.map(|path| Change::DepFile { path, fate }));
    }
    for (name, before) in inner {
        compare(
            project,
            &format!("{base}{name}/"),
            &project.cache.tree(&before).ok()?,
            dirs.get(name)?,
            changes,
        )?;
    }
    Some(())
}
