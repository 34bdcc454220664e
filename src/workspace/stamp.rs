//! Detects that files were written or replaced while a stage ran.
//!
//! # Mechanism
//!
//! A [`Stamp`] is taken of each dep before and after the stage. Unlike a digest of the contents, it
//! also changes if a file is modified and then changed back: the content is the same as before, but
//! the stage may have read the other one. A stamp holds names, sizes, times, inodes and devices of
//! files, and of the folders and links that lead to them. It reads no file.
//!
//! # Invariants
//!
//! - Equal stamps mean that no file was written in between, provided that the first one was taken
//!   after [`Stamp::settles_in`] had passed. Until then a second write could leave the same times.
//! - No program can set ctime back, so a file that was written and got its old mtime again has
//!   changed. So has one that was renamed away and back: the kernel sets the ctime of what it
//!   renames (measured on ext4 and tmpfs; XFS and btrfs do the same).
//! - Where another cause explains a new ctime, it proves nothing. A backup program that adds a hard
//!   link or changes a mode does not disturb a run, and neither does the cache, which adds and
//!   removes names of files that it links. A folder gets a new ctime with each entry; one whose
//!   mtime is new as well tells nothing, and one that holds outs may get its old mtime back.
//!
//! # Known limits
//!
//! - A file with several names (hard links), or whose mode or owner has changed, is compared
//!   without its ctime: setting its mtime back hides a write, and renaming it back hides a rename.
//! - A folder that was renamed away and back is not noticed if an entry of it was added, removed or
//!   renamed as well, or if it holds outs.
//! - A file system that does not keep ctime (FAT) hides what only ctime reveals.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::ops::Bound;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Workspace;
use super::index::TICK;
use super::scan::{Entries, FileMeta, Node, nanos, symlink_chain};
use crate::error::Result;
use crate::pipeline::Glob;
use crate::plan::change::Fate;
use crate::repo_path::RepoPath;

/// State of the files at a path, without their contents.
#[derive(Debug)]
pub struct Stamp {
    /// Path of `files`; `None` for the project root.
    top: Option<RepoPath>,
    files: Option<Node<Mark>>,
    /// Folders and links on the way to the files.
    passed: BTreeMap<PathBuf, Passed>,
    /// Newest ctime of a file or link in nanoseconds since 1970; `i64::MIN` if there is none.
    newest: i64,
}

impl Stamp {
    /// Returns the time from `now` until another write is certain to give a file a new ctime.
    ///
    /// Until then the clock of the file system may not have ticked since the last write.
    pub fn settles_in(&self, now: i64) -> Duration {
        // A time in the future does not say when the file was written.
        let is_recent = self.newest <= now && now < self.newest.saturating_add(TICK);
        let left = if is_recent { self.newest + TICK - now } else { 0 };
        Duration::from_nanos(left as u64)
    }

    fn note_links(&mut self) {
        let links = self.passed.values().filter_map(|passed| Some(passed.link?.1));
        self.newest = links.max().unwrap_or(i64::MIN).max(self.newest);
    }

    /// Returns the files, folders and links that were written, replaced, added or removed since
    /// `before`, a stamp of the same path.
    ///
    /// A folder stands for everything in it if it was added, removed or replaced.
    pub fn changes_since(&self, before: &Stamp) -> Vec<(RepoPath, Fate)> {
        let mut changes = Vec::new();
        compare(self.top.as_ref(), before.files.as_ref(), self.files.as_ref(), &mut changes);
        let passed = self.passed.iter().filter_map(|(path, passed)| {
            let same = before.passed.get(path).is_none_or(|before| passed.is_untouched(before));
            (!same).then(|| (passed.name.clone(), Fate::Changed))
        });
        changes.extend(passed);
        changes
    }
}

impl Workspace {
    /// Returns the stamp of `path`, which need not exist.
    pub fn stamp(&self, path: &RepoPath) -> Result<Stamp> {
        Ok(self.stamp_of(Some(path), self.scan(path)?))
    }

    /// Returns the stamp of the matches of `glob`, except paths for which `ignored` is true.
    pub fn stamp_glob(&self, glob: &Glob, ignored: &dyn Fn(&str) -> bool) -> Result<Stamp> {
        Ok(self.stamp_of(glob.base(), self.matches(glob, ignored)?))
    }

    /// Adds the folders and links on the way to `path`, by which a stage reads the files.
    #[must_use]
    pub fn with_way(&self, mut stamp: Stamp, path: &RepoPath) -> Stamp {
        // The way to the files themselves has been added.
        if stamp.top.as_ref() != Some(path) {
            self.pass_way(path, &mut stamp.passed);
            stamp.note_links();
        }
        stamp
    }

    fn stamp_of(&self, top: Option<&RepoPath>, files: Option<Node<Mark>>) -> Stamp {
        let mut stamp =
            Stamp { top: top.cloned(), files, passed: BTreeMap::new(), newest: i64::MIN };
        if let Some(top) = top {
            self.pass_way(top, &mut stamp.passed);
        }
        if let Some(Node::Dir(entries)) = &stamp.files {
            self.pass_folders(top, entries, &mut stamp.passed);
        }
        if let Some(files) = &stamp.files {
            newest(files, &mut stamp.newest);
        }
        stamp.note_links();
        stamp
    }

    /// Records the folders and links that lead to `top`, itself included.
    fn pass_way(&self, top: &RepoPath, passed: &mut BTreeMap<PathBuf, Passed>) {
        let above = top.ancestors().filter_map(RepoPath::parse_canonical);
        for path in above.chain([top.clone()]) {
            self.pass(path.to_path(&self.root), &path, passed);
        }
        // The target of a link may lie behind further links.
        if passed.values().any(|passed| passed.link.is_some()) {
            for hop in symlink_chain(&top.to_path(&self.root)) {
                self.pass(hop, top, passed);
            }
        }
    }

    /// Records the folders below `path`.
    fn pass_folders(
        &self,
        path: Option<&RepoPath>,
        entries: &Entries<Mark>,
        passed: &mut BTreeMap<PathBuf, Passed>,
    ) {
        for (name, node) in entries {
            let Node::Dir(entries) = node else { continue };
            let Some(path) = inside(path, name) else { continue };
            self.pass(path.to_path(&self.root), &path, passed);
            self.pass_folders(Some(&path), entries, passed);
        }
    }

    /// Records what is at `full` unless it is a file. `name` is reported if it changes.
    fn pass(&self, full: PathBuf, name: &RepoPath, passed: &mut BTreeMap<PathBuf, Passed>) {
        let Ok(meta) = full.symlink_metadata() else { return };
        let link = meta.is_symlink().then(|| (meta.ino(), ctime(&meta)));
        let target = if meta.is_symlink() { full.metadata().ok() } else { Some(meta) };
        let folder = target.filter(Metadata::is_dir).map(|meta| {
            let times = (meta.mtime(), meta.mtime_nsec(), ctime(&meta));
            FolderMark {
                place: (meta.dev(), meta.ino()),
                times: if self.holds_outs(name) { None } else { Some(times) },
                attributes: (0, meta.mode(), meta.uid(), meta.gid()),
            }
        });
        if link.is_some() || folder.is_some() {
            passed.entry(full).or_insert(Passed { name: name.clone(), link, folder });
        }
    }

    /// Reports whether a stage writes below the folder at `path`.
    fn holds_outs(&self, path: &RepoPath) -> bool {
        let below = format!("{path}/");
        let mut from = self.outs.range::<str, _>((Bound::Excluded(&*below), Bound::Unbounded));
        from.next().is_some_and(|out| out.as_str().starts_with(&below))
    }
}

/// Link count (0 for a folder), mode, owner and group. Changing them changes ctime as well.
type Attributes = (u64, u32, u32, u32);

/// The metadata of a file that reveal a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    size: u64,
    place: (u64, u64),
    mtime: i64,
    ctime: i64,
    attributes: Attributes,
    /// ctime of the link that leads to the file; 0 if there is none.
    link: i64,
}

impl FileMeta for Mark {
    fn of_file(meta: &Metadata, link: Option<&Path>) -> Mark {
        let link = link.and_then(|link| link.symlink_metadata().ok());
        Mark {
            size: meta.size(),
            place: (meta.dev(), meta.ino()),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: ctime(meta),
            attributes: (meta.nlink(), meta.mode(), meta.uid(), meta.gid()),
            link: link.as_ref().map_or(0, ctime),
        }
    }
}

impl Mark {
    fn is_untouched(&self, before: &Mark) -> bool {
        let content = |mark: &Mark| {
            let is_executable = mark.attributes.1 & 0o100 != 0;
            (mark.size, mark.place, mark.mtime, mark.link, is_executable)
        };
        let has_other_names = self.attributes.0 > 1;
        let is_explained = has_other_names || self.attributes != before.attributes;
        content(self) == content(before) && (self.ctime == before.ctime || is_explained)
    }
}

/// A folder or link on the way to a file.
#[derive(Debug)]
struct Passed {
    name: RepoPath,
    /// Inode and ctime of the link.
    link: Option<(u64, i64)>,
    /// The folder, or the folder that the link leads to.
    folder: Option<FolderMark>,
}

#[derive(Debug)]
struct FolderMark {
    place: (u64, u64),
    /// mtime in seconds and nanoseconds, and ctime; `None` if they tell nothing.
    times: Option<(i64, i64, i64)>,
    attributes: Attributes,
}

impl Passed {
    fn is_untouched(&self, before: &Passed) -> bool {
        self.link == before.link
            && match (&self.folder, &before.folder) {
                (Some(folder), Some(before)) => folder.is_untouched(before),
                // Something else took its place, or it was gone: its files show that.
                _ => true,
            }
    }
}

impl FolderMark {
    fn is_untouched(&self, before: &FolderMark) -> bool {
        let is_explained = self.attributes != before.attributes
            || self
                .times
                .zip(before.times)
                .is_none_or(|(now, then)| (now.0, now.1) != (then.0, then.1));
        self.place == before.place && (self.times == before.times || is_explained)
    }
}

fn ctime(meta: &Metadata) -> i64 {
    nanos(meta.ctime(), meta.ctime_nsec())
}

/// Returns the path of an entry of a folder, `None` for the root.
fn inside(folder: Option<&RepoPath>, name: &str) -> Option<RepoPath> {
    folder.map_or_else(|| RepoPath::parse_canonical(name), |folder| Some(folder.join(name)))
}

fn newest(node: &Node<Mark>, newest_ctime: &mut i64) {
    match node {
        Node::File(mark) => *newest_ctime = mark.ctime.max(mark.link).max(*newest_ctime),
        Node::Link(_) => {}
        Node::Dir(entries) => entries.iter().for_each(|(_, node)| newest(node, newest_ctime)),
    }
}

/// Collects the paths that differ between two scans of `path`.
fn compare(
    path: Option<&RepoPath>,
    before: Option<&Node<Mark>>,
    after: Option<&Node<Mark>>,
    changes: &mut Vec<(RepoPath, Fate)>,
) {
    match (before, after) {
        (None, None) => {}
        (Some(Node::File(before)), Some(Node::File(after))) if after.is_untouched(before) => {}
        (Some(Node::Link(before)), Some(Node::Link(after))) if after == before => {}
        (Some(Node::Dir(before)), Some(Node::Dir(after))) => {
            for (name, before, after) in paired(before, after) {
                let is_untouched = matches!((before, after),
                    (Some(Node::File(before)), Some(Node::File(after)))
                        if after.is_untouched(before));
                if !is_untouched {
                    compare(inside(path, name).as_ref(), before, after, changes);
                }
            }
        }
        (before, after) => {
            let fate = match (before, after) {
                (None, _) => Fate::Added,
                (_, None) => Fate::Removed,
                _ => Fate::Changed,
            };
            changes.extend(path.map(|path| (path.clone(), fate)));
        }
    }
}

/// An entry before and after.
type Pair<'a> = (&'a str, Option<&'a Node<Mark>>, Option<&'a Node<Mark>>);

/// Pairs the entries of two sorted listings by name.
fn paired<'a>(
    before: &'a Entries<Mark>,
    after: &'a Entries<Mark>,
) -> impl Iterator<Item = Pair<'a>> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        let name: &str = match (before.peek(), after.peek()) {
            (Some((before, _)), Some((after, _))) => before.min(after),
            (Some((name, _)), None) | (None, Some((name, _))) => name,
            (None, None) => return None,
        };
        let before = before.next_if(|(other, _)| **other == *name).map(|(_, node)| node);
        let after = after.next_if(|(other, _)| **other == *name).map(|(_, node)| node);
        Some((name, before, after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark() -> Mark {
        let attributes = (1, 0o100_644, 1000, 1000);
        Mark { size: 3, place: (1, 7), mtime: 5, ctime: 6, attributes, link: 0 }
    }

    #[test]
    fn marks_of_files() {
        let before = mark();
        let linked = Mark { attributes: (2, 0o100_644, 1000, 1000), ..before };
        let cases = [
            ("the same", before, before, true),
            ("written", before, Mark { mtime: 8, ctime: 8, ..before }, false),
            ("written, mtime set back", before, Mark { ctime: 8, ..before }, false),
            ("replaced", before, Mark { place: (1, 8), ..before }, false),
            ("its link replaced", before, Mark { link: 8, ..before }, false),
            ("hard link added", before, Mark { ctime: 8, ..linked }, true),
            ("hard link removed", linked, Mark { ctime: 8, ..before }, true),
            ("hard links came and went", linked, Mark { ctime: 8, ..linked }, true),
            ("hard link written", linked, Mark { mtime: 8, ctime: 8, ..linked }, false),
            (
                "mode changed",
                before,
                Mark { ctime: 8, attributes: (1, 0o100_600, 1000, 1000), ..before },
                true,
            ),
            (
                "made executable",
                before,
                Mark { ctime: 8, attributes: (1, 0o100_755, 1000, 1000), ..before },
                false,
            ),
        ];
        for (what, before, after, untouched) in cases {
            assert_eq!(after.is_untouched(&before), untouched, "{what}");
        }
    }

    #[test]
    fn changed_paths_by_name() {
        let file = |name: &str, mtime| (name.into(), Node::File(Mark { mtime, ..mark() }));
        let dir = |name: &str, entries| (name.into(), Node::Dir(entries));
        let before = Node::Dir(vec![
            file("a", 1),
            dir("b", vec![file("c", 1), file("d", 1)]),
            dir("e", vec![file("f", 1)]),
        ]);
        let after = Node::Dir(vec![
            file("a", 1),
            dir("b", vec![file("c", 2), file("d", 1)]),
            file("new", 1),
        ]);
        let mut changes = Vec::new();
        let top = RepoPath::parse("top").unwrap();
        compare(Some(&top), Some(&before), Some(&after), &mut changes);
        let changes: Vec<_> = changes.iter().map(|(path, fate)| (path.as_str(), *fate)).collect();
        let expected =
            [("top/b/c", Fate::Changed), ("top/e", Fate::Removed), ("top/new", Fate::Added)];
        assert_eq!(changes, expected);
    }
}
