//! Details of reasons: the changed files of a changed directory.

use std::collections::BTreeMap;

use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::pipeline::Glob;
use crate::plan::change::Fate;
use crate::plan::{Change, Decision, Tree};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

/// Maximum number of changed files that are named; with more, only the directory is.
const MOST_NAMED: usize = 1000;

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
    let base = match Glob::parse(path) {
        Ok(Some(glob)) => glob.base().map_or(String::new(), |base| format!("{base}/")),
        _ => format!("{path}/"),
    };
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
    let mut report = |name: &str, fate| {
        let path = RepoPath::parse(&format!("{base}{name}"));
        changes.extend(path.map(|path| Change::DepFile { path, fate }));
    };
    let mut inner = Vec::new();
    for (name, content) in &tree.entries {
        match (old.entries.get(name), content) {
            (Some(before), _) if before == content => {}
            (Some(Content::Tree(before)), Content::Tree(_)) => inner.push((name, before)),
            (Some(_), _) => report(name, Fate::Changed),
            (None, _) => report(name, Fate::Added),
        }
    }
    for name in old.entries.keys().filter(|name| !tree.entries.contains_key(*name)) {
        let is_ignored = |path: RepoPath| {
            path.to_path(&project.root).symlink_metadata().is_ok()
                && project.workspace.is_ignored(&path)
        };
        let path = RepoPath::parse(&format!("{base}{name}"));
        report(name, if path.is_ok_and(is_ignored) { Fate::Ignored } else { Fate::Removed });
    }
    for (name, before) in inner {
        compare(
            project,
            &format!("{base}{name}/"),
            &project.cache.tree(before).ok()?,
            dirs.get(name)?,
            changes,
        )?;
    }
    Some(())
}
