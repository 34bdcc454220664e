//! The stat index: digests of files by path, believed while the file's stat is what it was.
//!
//! A stat is not proof: a file written twice within one tick of the file system's clock keeps its times. So an entry is
//! only kept if, when the file was hashed, its times were already older than a tick could be ("racily clean" in git's words);
//! a file hashed sooner after its last change is hashed again next time. With `ctime` in the stat, setting `mtime` back (`touch -d`,
//! `cp -p`, tar) is no way around it.
//!
//! What the last time left is looked up where it [lies](stored) in the file's bytes, a folder at a time, side by side with a sorted listing;
//! what is updates now lies beside it. Files that are found to be gone are forgotten, so the index is as large as the workspace.

mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::stored::{Entry, Stored};
use super::scan::{Entries, Node, Stat, is_ignored_name};
use crate::digest::Digest;
use crate::error::Result;

/// Kernel clocks behind file times tick every 1 to 10 ms; twice that is safe.
pub(super) const TICK: i64 = 20_000_000;
/// File systems that keep whole (FAT: even) seconds show times without a fraction.
const WHOLE_SECONDS_TICK: i64 = 2_000_000_000;

#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    stored: Stored,
    updates: RwLock<Updates>,
}

/// What differs from what is stored, by folder and name; `None` where an entry does not count any more.
type Changes = BTreeMap<Box<str>, BTreeMap<Box<str>, Option<Entry>>>;

#[derive(Debug, Default)]
struct Updates {
    changes: Changes,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Saved,
    Changed,
}

/// What becomes of the files of a folder that are not in a listing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlisted {
    /// The listing is of a part.
    Keep,
    Forget,
}

impl Index {
    pub fn load(path: &Path) -> Index {
        let stored = std::fs::read(path).ok().and_then(Stored::decode).unwrap_or_default();
        Index { path: path.to_owned(), stored, updates: RwLock::default() }
    }

    /// The digest of `path` if its stat is still the one it was hashed with.
    pub fn get(&self, path: &str, stat: &Stat) -> Option<Digest> {
        let (folder, name) = split(path);
        let updates = self.updates();
        let change = updates.changes.get(folder).and_then(|changes| changes.get(name));
        let entry = match change {
            Some(change) => *change,
            None => self.stored.folder(folder).find(name),
        };
        entry.filter(|entry| entry.stat == *stat).map(|entry| entry.digest)
    }

    /// Whether, when this was loaded, anything was known of what lies at or below `path`.
    pub fn has_entries(&self, path: &str) -> bool {
        let (folder, name) = split(path);
        self.stored.folder(folder).find(name).is_some()
            || self.stored.folders_from(path).next().is_some()
    }

    /// The same for all that a folder lists.
    pub fn get_all(&self, folder: &str, listed: &Entries, unlisted: Unlisted) -> Vec<Option<Digest>> {
        let updates = self.updates();
        let changes = updates.changes.get(folder);
        let mut stored = self.stored.folder(folder).iter().peekable();
        let mut gone = Vec::new();
        let known = listed.iter().map(|(name, node)| {
            let Node::File(stat) = node else { return None };
            while let Some(other) = stored.next_if(|other| *other.name < *name.as_bytes()) {
                gone.push(other.name);
            }
            let before = stored.next_if(|other| *other.name == *name.as_bytes());
            let entry = match changes.and_then(|changes| changes.get(name)) {
                Some(change) => *change,
                None => before.map(|before| before.entry()),
            };
            entry.filter(|entry| entry.stat == *stat).map(|entry| entry.digest)
        });
        let known = known.collect();
        gone.extend(stored.map(|other| other.name));
        drop(updates);
        if unlisted == Unlisted::Forget {
            // What listings pass over may be there all the same, for who names it.
            let is_gone = |name: &&[u8]| !std::str::from_utf8(name).is_ok_and(is_ignored_name);
            self.forget(folder, gone.into_iter().filter(is_gone));
        }
        known
    }

    /// Remembers a digest of content that was read, start to end, after `hashed_at` (nanoseconds since 1970),
    /// with `stat` the same before and after.
    pub fn insert(&self, path: &str, stat: Stat, digest: Digest, hashed_at: i64) {
        let (folder, name) = split(path);
        if is_settled(&stat, hashed_at) {
            self.set(folder, name, Some(Entry { stat, digest }));
        } else {
            self.forget(folder, std::iter::once(name.as_bytes()));
        }
    }

    /// Forgets what is stored of files at and below `path` that do not lie there any more. Those in a folder that is still there
    /// are left to [`Index::get_all`].
    pub fn forget_gone(&self, path: &str, node: Option<&Node>) {
        if !matches!(node, Some(Node::File(_))) {
            let (folder, name) = split(path);
            self.forget(folder, std::iter::once(name.as_bytes()));
        }
        for folder in self.stored.folders_from(path) {
            let below = folder[path.len()..].split('/').skip(1);
            if below.clone().any(is_ignored_name) {
                continue;
            }
            let there = below.fold(node, |node, name| match node {
                Some(Node::Dir(entries)) => {
                    let at = entries.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
                    Some(&entries[at].1)
                }
                _ => None,
            });
            if !matches!(there, Some(Node::Dir(_))) {
                self.forget(folder, self.stored.folder(folder).iter().map(|other| other.name));
            }
        }
    }

    fn forget<'a>(&self, folder: &str, names: impl Iterator<Item = &'a [u8]>) {
        for name in names.filter_map(|name| std::str::from_utf8(name).ok()) {
            let counts =
                |updates: &Updates| match updates.changes.get(folder).and_then(|all| all.get(name)) {
                    Some(change) => change.is_some(),
                    None => self.stored.folder(folder).find(name).is_some(),
                };
            if counts(&self.updates()) {
                self.set(folder, name, None);
            }
        }
    }

    fn set(&self, folder: &str, name: &str, entry: Option<Entry>) {
        let mut updates = self.updates_mut();
        updates.state = State::Changed;
        match updates.changes.get_mut(folder) {
            Some(changes) => drop(changes.insert(name.into(), entry)),
            None => {
                drop(updates.changes.insert(folder.into(), BTreeMap::from([(name.into(), entry)])))
            }
        }
    }

    /// Writes the index if it has changed. It is not synced: a torn file is noticed and costs a hashing.
    pub fn save(&self) -> Result<()> {
        let mut updates = self.updates_mut();
        if updates.state == State::Changed {
            let bytes = self.stored.with(&updates.changes);
            super::write::atomic(&self.path, &bytes, super::write::Durability::Relaxed)?;
            updates.state = State::Saved;
        }
        Ok(())
    }

    // A panic elsewhere leaves what is updates as it was: every entry is put there whole.
    fn updates(&self) -> RwLockReadGuard<'_, Updates> {
        self.updates.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn updates_mut(&self) -> RwLockWriteGuard<'_, Updates> {
        self.updates.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The folder of a path, empty for the root, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn is_settled(stat: &Stat, hashed_at: i64) -> bool {
    [stat.mtime, stat.ctime].into_iter().all(|time| {
        let tick = if time % 1_000_000_000 == 0 { WHOLE_SECONDS_TICK } else { TICK };
        // A time in the future (a clock set back since) cannot be told from one still to come.
        time.saturating_add(tick) < hashed_at
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::scan::Executable;

    const SECOND: i64 = 1_000_000_000;

    fn stat(mtime: i64, ctime: i64) -> Stat {
        Stat { size: 3, mtime, ctime, inode: 7, device: 1, executable: Executable::No }
    }

    fn listed(names: &[&str]) -> Entries {
        names.iter().map(|name| ((*name).into(), Node::File(stat(5, 6)))).collect()
    }

    #[test]
    fn only_settled_stats_are_believed() {
        let now = 1000 * SECOND + 500;
        let cases = [
            ("long ago", stat(now - SECOND - 1, now - SECOND - 1), true),
            ("just written", stat(now - 1, now - 1), false),
            ("mtime set back just now", stat(now - 90 * SECOND - 1, now - 1), false),
            ("in the future", stat(now + SECOND, now - SECOND - 1), false),
            ("whole seconds, recent", stat(999 * SECOND, 999 * SECOND), false),
            ("whole seconds, old", stat(990 * SECOND, 990 * SECOND), true),
        ];
        for (what, stat, believed) in cases {
            let index = Index::load(Path::new("/nonexistent/index"));
            index.insert("a", stat, Digest::of(b"x"), now);
            assert_eq!(index.get("a", &stat).is_some(), believed, "{what}");
            let all = index.get_all("", &vec![("a".into(), Node::File(stat))], Unlisted::Forget);
            assert_eq!(all[0].is_some(), believed, "{what}");
        }
    }

    #[test]
    fn an_index_reads_back_and_a_damaged_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let index = Index::load(&path);
        index.insert("data/é x", stat(5, 6), Digest::of(b"x"), SECOND);
        index.save().unwrap();
        assert_eq!(Index::load(&path).get("data/é x", &stat(5, 6)), Some(Digest::of(b"x")));
        assert_eq!(Index::load(&path).get("data/é x", &stat(5, 7)), None);
        let mut bytes = std::fs::read(&path).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(Stored::decode(bytes.clone()).is_none(), "byte {at}");
            bytes[at] ^= 1;
            assert!(Stored::decode(bytes[..at].to_vec()).is_none(), "length {at}");
        }
    }

    #[test]
    fn what_listings_pass_over_is_not_forgotten_by_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let paths =
            ["d/.DS_Store", "d/.git/config", "d/.git/hooks/x", "d/e/__pycache__/y", "d/gone/x"];
        let index = Index::load(&path);
        for path in paths {
            index.insert(path, stat(5, 6), Digest::of(path.as_bytes()), SECOND);
        }
        index.save().unwrap();
        let index = Index::load(&path);
        index.forget_gone("d", Some(&Node::Dir(listed(&["b"]))));
        index.get_all("d", &listed(&["b"]), Unlisted::Forget);
        let left: Vec<&str> =
            paths.into_iter().filter(|path| index.get(path, &stat(5, 6)).is_some()).collect();
        assert_eq!(left, paths[..4]);
    }

    #[test]
    fn what_is_gone_is_forgotten_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let paths = ["d/a", "d/b", "d/c", "d/e/f", "d/e.x/g", "d/old/deep/h", "x"];
        let index = Index::load(&path);
        for path in paths {
            index.insert(path, stat(5, 6), Digest::of(path.as_bytes()), SECOND);
        }
        index.save().unwrap();
        let left = |index: &Index| -> Vec<&str> {
            index.save().unwrap();
            let saved = Index::load(&path);
            paths.into_iter().filter(|path| saved.get(path, &stat(5, 6)).is_some()).collect()
        };
        let index = Index::load(&path);
        let part = index.get_all("d", &listed(&["b"]), Unlisted::Keep);
        assert_eq!(part, [Some(Digest::of(b"d/b"))]);
        assert_eq!(left(&index), paths);
        let whole = index.get_all("d", &listed(&["b", "bb", "c"]), Unlisted::Forget);
        assert_eq!(whole, [Some(Digest::of(b"d/b")), None, Some(Digest::of(b"d/c"))]);
        assert_eq!(left(&index), paths[1..]);
        let inside = Node::Dir(vec![("f".into(), Node::File(stat(5, 6)))]);
        let node = Node::Dir(vec![("b".into(), Node::File(stat(5, 6))), ("e".into(), inside)]);
        let index = Index::load(&path);
        index.forget_gone("d", Some(&node));
        assert_eq!(left(&index), ["d/b", "d/c", "d/e/f", "x"]);
        index.forget_gone("x", None);
        assert!(
            index.has_entries("d/e") && index.has_entries("d/b") && !index.has_entries("d/ol") && !index.has_entries("d/e/g")
        );
        index.insert("d/b", stat(5, 7), Digest::of(b"new"), SECOND);
        assert_eq!(left(&index), ["d/c", "d/e/f"]);
        assert_eq!(index.get("d/b", &stat(5, 7)), Some(Digest::of(b"new")));
    }
}
