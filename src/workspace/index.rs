//! The stat index: digests of files by path, valid while the file's stat is unchanged.
//!
//! # Mechanism
//!
//! The index maps a path to the stat and the digest that the file had when it was last hashed. A
//! lookup passes the current stat; if it equals the recorded one, the digest is reused and the file
//! is not read. The stat has size, mtime, ctime, inode, device and the executable bit.
//!
//! Entries of earlier commands are not parsed on load: they are looked up in the [bytes of the
//! index file](stored), one folder at a time, in step with a sorted listing. Updates of this
//! process are kept in memory beside them and merged by [`Index::save`].
//!
//! # Invariants
//!
//! - An entry is stored only if, when hashing began, the file's mtime and ctime were older than a
//!   tick of the file system's clock. A file written twice within one tick keeps its times, so an
//!   equal stat would prove nothing (git calls such entries "racily clean"). A file hashed sooner
//!   after its last change is hashed again by the next command.
//! - Since ctime is part of the stat, setting mtime back (`touch -d`, `cp -p`, tar) does not hide a
//!   change.
//! - Entries of files that a complete listing no longer contains are dropped, so the index does not
//!   outgrow the workspace.
//! - A missing, truncated or damaged index file counts as empty. Losing it costs hashing time only.
//!
//! # Known limits
//!
//! - A change that keeps the whole stat is not noticed: a write through a memory mapping whose
//!   times the kernel has not updated yet, or a file system with a coarser clock than assumed here.
//! - Ticks longer than 20 ms are recognised only by whole-second times (up to 2 s, as on FAT).
//! - The file is not synced. After a power cut it may be damaged, which the checksum detects.

mod stored;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use self::stored::{Changes, Entry, Stored};
use super::scan::{Entries, Node, Stat};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::state_folder;

/// Assumed tick of file times in nanoseconds: twice the longest kernel tick, which is 1 to 10 ms.
pub(super) const TICK: i64 = 20_000_000;
/// Assumed tick in nanoseconds of a time without a fraction: FAT stores even seconds only.
const WHOLE_SECONDS_TICK: i64 = 2_000_000_000;

/// Digests of files by path; see the module docs.
#[derive(Debug)]
pub struct Index {
    path: PathBuf,
    stored: Stored,
    updates: RwLock<Updates>,
}

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

/// Treatment of a folder's stored files that a listing does not contain.
#[derive(Clone, Copy)]
pub enum Unlisted<'a> {
    /// Keep them: the listing is partial.
    Keep,
    /// Forget them unless a file of this name exists: the listing is complete except for
    /// ignored files, and an ignored file may be a dep by its own path.
    ForgetUnless(&'a dyn Fn(&str) -> bool),
}

impl std::fmt::Debug for Unlisted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unlisted::Keep => "Keep",
            Unlisted::ForgetUnless(_) => "ForgetUnless",
        })
    }
}

impl Index {
    /// Loads the index file at `path`; one that is missing or damaged counts as empty.
    pub fn load(path: &Path) -> Index {
        let stored = regular_file::read(path).ok().and_then(Stored::decode).unwrap_or_default();
        Index { path: path.to_owned(), stored, updates: RwLock::default() }
    }

    /// Returns the digest of `path` if `stat` equals the one recorded with it.
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

    /// Reports whether the loaded index file has an entry at or below `path`.
    pub fn has_entries(&self, path: &str) -> bool {
        let (folder, name) = split(path);
        self.stored.folder(folder).find(name).is_some()
            || self.stored.folders_from(path).next().is_some()
    }

    /// Returns [`Index::get`] for every entry of a folder's listing, in its order.
    ///
    /// `unlisted` says what happens to stored files that the listing does not contain.
    pub fn get_all(
        &self,
        folder: &str,
        listed: &Entries,
        unlisted: Unlisted<'_>,
    ) -> Vec<Option<Digest>> {
        let updates = self.updates();
        let changes = updates.changes.get(folder);
        // Both lists are sorted by name, so one pass pairs them.
        let mut stored = self.stored.folder(folder).iter().peekable();
        let mut gone = Vec::new();
        let known = listed.iter().map(|(name, node)| {
            // A stored file with the name of what is now a folder or a link is not consumed here,
            // so the next step counts it as gone.
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
        // `forget` takes the lock itself.
        drop(updates);
        if let Unlisted::ForgetUnless(exists) = unlisted {
            let is_gone = |name: &&[u8]| !std::str::from_utf8(name).is_ok_and(exists);
            self.forget(folder, gone.into_iter().filter(is_gone));
        }
        known
    }

    /// Records the digest of a file that was read completely after `hashed_at` (nanoseconds since
    /// 1970), with the same `stat` before and after.
    pub fn insert(&self, path: &str, stat: Stat, digest: Digest, hashed_at: i64) {
        let (folder, name) = split(path);
        if is_settled(&stat, hashed_at) {
            self.set(folder, name, Some(Entry { stat, digest }));
        } else {
            self.forget(folder, std::iter::once(name.as_bytes()));
        }
    }

    /// Forgets stored files at and below `path` that no longer exist according to `node`.
    ///
    /// Files in folders that still exist are left to [`Index::get_all`]. `is_folder` reports
    /// whether a folder exists on disk: ignored ones are not in `node`, but may hold a dep.
    pub fn forget_gone(&self, path: &str, node: Option<&Node>, is_folder: &dyn Fn(&str) -> bool) {
        if !matches!(node, Some(Node::File(_))) {
            let (folder, name) = split(path);
            self.forget(folder, std::iter::once(name.as_bytes()));
        }
        for folder in self.stored.folders_from(path) {
            let below = folder[path.len()..].split('/').skip(1);
            let found = below.fold(node, |node, name| match node {
                Some(Node::Dir(entries)) => {
                    let at = entries.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
                    Some(&entries[at].1)
                }
                _ => None,
            });
            if !matches!(found, Some(Node::Dir(_))) && !is_folder(folder) {
                self.forget(folder, self.stored.folder(folder).iter().map(|other| other.name));
            }
        }
    }

    fn forget<'a>(&self, folder: &str, names: impl Iterator<Item = &'a [u8]>) {
        for name in names.filter_map(|name| std::str::from_utf8(name).ok()) {
            let is_known = |updates: &Updates| {
                let folder_changes = updates.changes.get(folder);
                match folder_changes.and_then(|changes| changes.get(name)) {
                    Some(change) => change.is_some(),
                    None => self.stored.folder(folder).find(name).is_some(),
                }
            };
            // An unknown name needs no removal, and without one the file is not written again.
            if is_known(&self.updates()) {
                self.set(folder, name, None);
            }
        }
    }

    fn set(&self, folder: &str, name: &str, entry: Option<Entry>) {
        let mut updates = self.updates_mut();
        updates.state = State::Changed;
        match updates.changes.get_mut(folder) {
            Some(changes) => {
                changes.insert(name.into(), entry);
            }
            None => {
                updates.changes.insert(folder.into(), BTreeMap::from([(name.into(), entry)]));
            }
        }
    }

    /// Writes the index if it has changed. It is not synced: a torn file is detected on load.
    pub fn save(&self) -> Result<()> {
        let mut updates = self.updates_mut();
        if updates.state == State::Changed {
            let bytes = self.stored.with(&updates.changes);
            if let Some(folder) = self.path.parent() {
                state_folder::create(folder).map_err(|err| Error::io("create", folder, &err))?;
            }
            super::write::atomic(&self.path, &bytes, super::write::Durability::Relaxed)?;
            // The changes stay: `stored` is still the file as it was loaded.
            updates.state = State::Saved;
        }
        Ok(())
    }

    // Poisoning is ignored: every entry is inserted in one step, so a panic elsewhere leaves the
    // map consistent.
    fn updates(&self) -> RwLockReadGuard<'_, Updates> {
        self.updates.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn updates_mut(&self) -> RwLockWriteGuard<'_, Updates> {
        self.updates.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Splits a path into its folder, empty for the root, and its name.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Reports whether the file's times were older than a clock tick at `hashed_at`.
fn is_settled(stat: &Stat, hashed_at: i64) -> bool {
    [stat.mtime, stat.ctime].into_iter().all(|time| {
        let tick = if time % 1_000_000_000 == 0 { WHOLE_SECONDS_TICK } else { TICK };
        // A time in the future (the clock was set back) may be reached again by a later write.
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
    fn racy_stats_are_not_stored() {
        let now = 1000 * SECOND + 500;
        let cases = [
            ("long ago", stat(now - SECOND - 1, now - SECOND - 1), true),
            ("just written", stat(now - 1, now - 1), false),
            ("mtime set back just now", stat(now - 90 * SECOND - 1, now - 1), false),
            ("in the future", stat(now + SECOND, now - SECOND - 1), false),
            ("whole seconds, recent", stat(999 * SECOND, 999 * SECOND), false),
            ("whole seconds, old", stat(990 * SECOND, 990 * SECOND), true),
        ];
        for (what, stat, stored) in cases {
            let index = Index::load(Path::new("/nonexistent/index"));
            index.insert("a", stat, Digest::of(b"x"), now);
            assert_eq!(index.get("a", &stat).is_some(), stored, "{what}");
            let all = index.get_all(
                "",
                &vec![("a".into(), Node::File(stat))],
                Unlisted::ForgetUnless(&|_| false),
            );
            assert_eq!(all[0].is_some(), stored, "{what}");
        }
    }

    #[test]
    fn round_trip_and_damage() {
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
    fn ignored_names_are_not_forgotten() {
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
        let is_folder = |folder: &str| folder != "d/gone";
        index.forget_gone("d", Some(&Node::Dir(listed(&["b"]))), &is_folder);
        index.get_all("d", &listed(&["b"]), Unlisted::ForgetUnless(&|_| true));
        let left: Vec<&str> =
            paths.into_iter().filter(|path| index.get(path, &stat(5, 6)).is_some()).collect();
        assert_eq!(left, paths[..4]);
    }

    #[test]
    fn missing_files_are_forgotten() {
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
        let whole =
            index.get_all("d", &listed(&["b", "bb", "c"]), Unlisted::ForgetUnless(&|_| false));
        assert_eq!(whole, [Some(Digest::of(b"d/b")), None, Some(Digest::of(b"d/c"))]);
        assert_eq!(left(&index), paths[1..]);
        let inside = Node::Dir(vec![("f".into(), Node::File(stat(5, 6)))]);
        let node = Node::Dir(vec![("b".into(), Node::File(stat(5, 6))), ("e".into(), inside)]);
        let index = Index::load(&path);
        index.forget_gone("d", Some(&node), &|_| false);
        assert_eq!(left(&index), ["d/b", "d/c", "d/e/f", "x"]);
        index.forget_gone("x", None, &|_| false);
        assert!(
            index.has_entries("d/e")
                && index.has_entries("d/b")
                && !index.has_entries("d/ol")
                && !index.has_entries("d/e/g")
        );
        index.insert("d/b", stat(5, 7), Digest::of(b"new"), SECOND);
        assert_eq!(left(&index), ["d/c", "d/e/f"]);
        assert_eq!(index.get("d/b", &stat(5, 7)), Some(Digest::of(b"new")));
    }
}
