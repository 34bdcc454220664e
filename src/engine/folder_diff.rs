//! The changed files in two versions of a folder, from the trees in the cache.

use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::pipeline::Glob;
use crate::plan::change::Fate;
use crate::plan::tree::EntryChange;
use crate::repo_path::RepoPath;

/// Maximum number of changed files that are named; with more, only the folder is.
pub(super) const MOST_NAMED: usize = 1000;
/// Maximum number of folders that are compared.
const MOST_FOLDERS: usize = 100_000;

/// A changed file, or a folder that exists in one version only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileChange {
    pub path: RepoPath,
    pub fate: Fate,
    pub old: Option<Content>,
    pub new: Option<Content>,
}

/// Returns the folder in which the entries of a path lie, with a slash at its end. For a glob, that
/// is the folder above all matches.
pub(super) fn base(path: &RepoPath) -> String {
    match Glob::parse(path) {
        Ok(Some(glob)) => glob.base().map_or(String::new(), |base| format!("{base}/")),
        _ => format!("{path}/"),
    }
}

/// Returns the changes in the folder or glob `path`, sorted by path; `None` if the cache lacks a
/// tree, or if there are too many.
pub(super) fn changes(
    cache: &Cache,
    path: &RepoPath,
    old: &Digest,
    new: &Digest,
) -> Option<Vec<FileChange>> {
    let mut changes = Vec::new();
    let mut open = vec![(base(path), *old, *new)];
    let mut seen = 0;
    while let Some((base, old, new)) = open.pop() {
        let (old, new) = (cache.tree(&old).ok()?, cache.tree(&new).ok()?);
        for (name, change) in new.changes_since(&old) {
            let fate = match change {
                EntryChange::Inside { old, new } => {
                    open.push((format!("{base}{name}/"), old, new));
                    continue;
                }
                EntryChange::Added => Fate::Added,
                EntryChange::Changed => Fate::Changed,
                EntryChange::Removed => Fate::Removed,
            };
            let path = RepoPath::parse(&format!("{base}{name}")).ok()?;
            let (old, new) = (old.entries.get(name).copied(), new.entries.get(name).copied());
            let room = MOST_NAMED.saturating_sub(changes.len());
            // A folder with few files is named by its files.
            let files = match (old, new) {
                (Some(Content::Tree(tree)), None) | (None, Some(Content::Tree(tree))) => {
                    files(cache, &path, &tree, room)
                }
                _ => None,
            };
            let Some(files) = files else {
                changes.push(FileChange { path, fate, old, new });
                continue;
            };
            let file = |(path, content)| match fate {
                Fate::Removed => FileChange { path, fate, old: Some(content), new: None },
                _ => FileChange { path, fate, old: None, new: Some(content) },
            };
            changes.extend(files.into_iter().map(file));
        }
        seen += 1;
        if changes.len() > MOST_NAMED || seen + open.len() > MOST_FOLDERS {
            return None;
        }
    }
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    Some(changes)
}

/// Returns the files in a folder; `None` if there are more than `most`, or the cache lacks a tree.
fn files(
    cache: &Cache,
    folder: &RepoPath,
    tree: &Digest,
    most: usize,
) -> Option<Vec<(RepoPath, Content)>> {
    let mut files = Vec::new();
    let mut open = vec![(folder.clone(), *tree)];
    let mut seen = 0;
    while let Some((folder, tree)) = open.pop() {
        for (name, content) in cache.tree(&tree).ok()?.entries {
            let path = RepoPath::parse(&format!("{folder}/{name}")).ok()?;
            match content {
                Content::Tree(inner) => open.push((path, inner)),
                content => files.push((path, content)),
            }
        }
        seen += 1;
        if files.len() > most || seen + open.len() > most {
            return None;
        }
    }
    Some(files).filter(|files| !files.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Tree;

    fn tree(cache: &Cache, entries: &[(&str, Content)]) -> Content {
        let entries = entries.iter().map(|(name, content)| ((*name).into(), *content)).collect();
        Content::Tree(cache.put_bytes(&Tree { entries }.encode()).unwrap())
    }

    #[test]
    fn changed_files() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let file = |text: &str| Content::File(Digest::of(text.as_bytes()));
        let run = Content::Executable(Digest::of(b"1"));
        let inner = tree(&cache, &[("x", file("1")), ("y", file("1"))]);
        let other = tree(&cache, &[("x", file("2")), ("y", file("1"))]);
        let old = [("a", file("1")), ("b", file("1")), ("d", inner), ("e", inner), ("f", inner)];
        let old = tree(&cache, &old);
        let nested = tree(&cache, &[("g", inner)]);
        let new = [("a", run), ("c", nested), ("d", other), ("e", inner), ("f", file("1"))];
        let new = tree(&cache, &new);
        let path = |text: &str| RepoPath::parse(text).unwrap();
        let named = |dep: &str, old: Content, new: Content| -> Option<Vec<String>> {
            let changes = changes(&cache, &path(dep), &old.digest(), &new.digest())?;
            Some(changes.iter().map(|one| format!("{} {}", one.path, one.fate)).collect())
        };
        let expected =
            "s/a changed, s/b removed, s/c/g/x added, s/c/g/y added, s/d/x changed, s/f changed";
        let expected: Vec<&str> = expected.split(", ").collect();
        assert_eq!(named("s", old, new).unwrap(), expected);
        assert_eq!(named("s/**/*.py", old, new).unwrap(), expected);
        assert_eq!(named("s", old, old).unwrap(), [""; 0]);
        assert_eq!(named("s", old, Content::Tree(Digest::of(b"lost"))), None);
        let many: Vec<(String, Content)> =
            (0..=MOST_NAMED).map(|n| (n.to_string(), file("1"))).collect();
        let many: Vec<(&str, Content)> = many.iter().map(|(n, c)| (n.as_str(), *c)).collect();
        assert_eq!(named("s", tree(&cache, &[]), tree(&cache, &many)), None);
        assert_eq!(named("s", tree(&cache, &[]), tree(&cache, &many[1..])).unwrap().len(), 1000);
    }
}
