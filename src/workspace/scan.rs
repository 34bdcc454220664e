//! What lies at a path, by name and stat alone: no content is read. Directories are read on all processors, and what is in them
//! is asked for by name below the open directory: a path is taken apart once for each directory, not for each file.

use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use super::par_map;
use super::traverse::traverse;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

/// Names that are no part of the content of a directory that people write: they appear there by themselves, and no stage's
/// result should hang on them. In what a stage writes they are content like all else.
const IGNORED_NAMES: [&str; 5] =
    [".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db"];

/// What lies at a path. Links that lead somewhere are followed.
#[derive(Debug, Clone)]
pub enum Node {
    File(Stat),
    Dir(Entries),
    /// A link whose target does not exist, with the target's text.
    Link(Box<str>),
}

/// What is in a directory, sorted by name.
pub type Entries = Vec<(Box<str>, Node)>;

/// The identity of a file's content as far as the file system tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i64,
    /// Nanoseconds since 1970; unlike `mtime`, no program can set it back.
    pub ctime: i64,
    pub inode: u64,
    pub device: u64,
    pub executable: Executable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Executable {
    No,
    Yes,
}

impl Stat {
    pub fn of(meta: &Metadata) -> Stat {
        let nanos =
            |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Stat {
            size: meta.size(),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
            executable: if meta.mode() & 0o100 == 0 { Executable::No } else { Executable::Yes },
        }
    }

    /// Of a file with this stat and these bytes.
    pub fn content(&self, digest: Digest) -> Content {
        match self.executable {
            Executable::No => Content::File(digest),
            Executable::Yes => Content::Executable(digest),
        }
    }
}

/// What lies at `path` below `root`; `None` if nothing does. `is_out` tells what stages write.
///
/// # Errors
/// Something below cannot be read, has a name that is no UTF-8, is no file, directory or link, or is a loop of links.
pub fn scan(root: &Path, path: &RepoPath, is_out: &IsOut<'_>) -> Result<Option<Node>> {
    let top = path.to_path(root);
    match std::fs::metadata(&top) {
        Ok(meta) if meta.is_dir() => {
            let scan = Scan { root, is_out };
            let top = Folder { path: top, parent: None };
            traverse(top, |folder| scan.list(folder), assemble).map(Node::Dir).map(Some)
        }
        Ok(meta) => file_node(&meta, || top).map(Some),
        Err(err) if is_absent(&err) => match std::fs::read_link(&top) {
            Ok(target) => link_node(&top, target).map(Some),
            Err(_) => Ok(None),
        },
        Err(err) => Err(unreadable(&top, err)),
    }
}

/// Nothing is there, or a file stands where a directory should.
pub fn is_absent(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Whether a name in what people write is no part of any content.
pub fn is_ignored_name(name: &str) -> bool {
    IGNORED_NAMES.contains(&name) || name.starts_with(super::write::TEMPORARY)
}

/// Where a change may happen that changes a content.
#[derive(Debug)]
pub enum WatchPoint {
    Folder(PathBuf),
    /// Also one that leads nowhere. One that leads to a folder is both.
    Link(PathBuf),
}

/// The folders and links at and below `top`, links followed, as far as `matters` accepts them. What cannot be read has none.
pub fn watch_points(top: &Path, matters: &dyn Fn(&Path) -> bool) -> impl Iterator<Item = WatchPoint> {
    let nobodys = |entry: &walkdir::DirEntry| entry.file_name().to_str().is_some_and(is_ignored_name);
    let wanted = move |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || (matters(entry.path()) && !nobodys(entry))
    };
    let walk = WalkDir::new(top).follow_links(true).into_iter().filter_entry(wanted);
    walk.flat_map(|entry| {
        let (path, is_link, is_dir) = match &entry {
            Ok(entry) => (entry.path(), entry.path_is_symlink(), entry.file_type().is_dir()),
            Err(err) => (
                err.path().unwrap_or(Path::new("")),
                err.path().is_some_and(Path::is_symlink),
                false,
            ),
        };
        let folder = is_dir.then(|| WatchPoint::Folder(path.to_owned()));
        folder.into_iter().chain(is_link.then(|| WatchPoint::Link(path.to_owned())))
    })
}

/// All that a path, which is absolute, hangs on by way of links: each link on the way, where it really is, and last what they lead to.
pub fn symlink_chain(path: &Path) -> Vec<PathBuf> {
    /// As the kernel has it.
    const MOST: usize = 40;
    let parts = |path: &Path| path.iter().map(ToOwned::to_owned).rev().collect::<Vec<_>>();
    let (mut way, mut at, mut open) = (Vec::new(), PathBuf::new(), parts(path));
    while let Some(part) = open.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        let Ok(target) = std::fs::read_link(&at) else { continue };
        way.push(at.clone());
        if way.len() == MOST {
            return way;
        }
        at.pop();
        open.extend(parts(&target));
    }
    if !way.is_empty() {
        way.push(at);
    }
    way
}

/// Whether a path is, or lies in, something that a stage writes.
pub type IsOut<'a> = dyn Fn(&RepoPath) -> bool + Sync + 'a;

#[derive(Clone, Copy)]
struct Scan<'a> {
    root: &'a Path,
    is_out: &'a IsOut<'a>,
}

/// A directory, and those it lies in.
struct Folder {
    path: PathBuf,
    parent: Option<Arc<Folder>>,
}

/// An entry, as far as it is known before directories are gone into.
enum Found {
    Leaf(Node),
    Dir(PathBuf),
}

/// What is in a directory: the leaves, and the names of the directories.
type Listed = (Entries, Vec<Box<str>>);

impl Scan<'_> {
    fn list(self, folder: Folder) -> Result<(Listed, Vec<Folder>)> {
        /// So many stats are worth another thread.
        const MANY: usize = 256;
        let listed =
            std::fs::read_dir(&folder.path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let mut listed = listed.map_err(|err| unreadable(&folder.path, err))?;
        listed.retain(|entry| !self.is_ignored(entry));
        let found = par_map(listed, MANY, |entry| Ok((checked_name(&entry)?, classify(&folder, &entry)?)))?;
        let folder = Arc::new(folder);
        let (mut leaves, mut names, mut inside) = (Entries::new(), Vec::new(), Vec::new());
        for (name, found) in found {
            match found {
                Found::Leaf(node) => leaves.push((name, node)),
                Found::Dir(path) => {
                    names.push(name);
                    inside.push(Folder { path, parent: Some(Arc::clone(&folder)) });
                }
            }
        }
        Ok(((leaves, names), inside))
    }

    fn is_ignored(self, entry: &DirEntry) -> bool {
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(super::write::TEMPORARY.as_bytes()) {
            return true;
        }
        let made = || {
            let path = entry.path();
            let inside = path.strip_prefix(self.root).ok().and_then(Path::to_str);
            inside.and_then(RepoPath::parse_canonical).is_some_and(|path| (self.is_out)(&path))
        };
        IGNORED_NAMES.iter().any(|passed| name == *passed) && !made()
    }
}

/// The leaves of a directory, and what is in the directories of these names.
fn assemble((mut entries, names): Listed, inside: Vec<Entries>) -> Result<Entries> {
    entries.extend(names.into_iter().zip(inside.into_iter().map(Node::Dir)));
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

fn classify(folder: &Folder, entry: &DirEntry) -> Result<Found> {
    let failed = |err| unreadable(&entry.path(), err);
    let kind = entry.file_type().map_err(failed)?;
    if kind.is_dir() {
        return Ok(Found::Dir(entry.path()));
    }
    if !kind.is_symlink() {
        let meta = entry.metadata().map_err(failed)?;
        // It may have become a link meanwhile.
        if !meta.is_symlink() {
            return file_node(&meta, || entry.path()).map(Found::Leaf);
        }
    }
    follow(folder, entry.path())
}

/// What a link leads to.
fn follow(folder: &Folder, path: PathBuf) -> Result<Found> {
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => match same_ancestor(folder, &meta) {
            None => Ok(Found::Dir(path)),
            Some(above) => Err(Error::usage(format!(
                "`{}` is a link back to `{}`, above it",
                path.display(),
                above.display()
            ))
            .hint("a directory that holds itself has no end; remove the link")),
        },
        Ok(meta) => file_node(&meta, || path).map(Found::Leaf),
        Err(err) => match std::fs::read_link(&path) {
            Ok(target) if is_absent(&err) => link_node(&path, target).map(Found::Leaf),
            _ => Err(unreadable(&path, err)),
        },
    }
}

/// Which directory on the way down to `folder`, that one included, `meta` is of.
fn same_ancestor<'a>(folder: &'a Folder, meta: &Metadata) -> Option<&'a Path> {
    let mut all = std::iter::successors(Some(folder), |folder| folder.parent.as_deref());
    let is_it = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (meta.dev(), meta.ino()))
    };
    all.find(|folder| is_it(&folder.path)).map(|folder| &*folder.path)
}

fn unreadable(path: &Path, err: std::io::Error) -> Error {
    let is_loop = err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    let is_forbidden = err.kind() == std::io::ErrorKind::PermissionDenied;
    let error = Error::environment(format!("cannot read `{}`", path.display())).because(err);
    match (is_loop, is_forbidden) {
        (true, _) => error.hint("a link that leads to itself has no content; remove it"),
        (_, true) => error.hint("permit yourself to read it, or move it out of there"),
        _ => error,
    }
}

fn file_node(meta: &Metadata, path: impl FnOnce() -> PathBuf) -> Result<Node> {
    if meta.is_file() {
        return Ok(Node::File(Stat::of(meta)));
    }
    Err(Error::usage(format!("`{}` is neither a file nor a directory", path().display()))
        .hint("sockets, pipes and devices have no content to depend on; move it out of there"))
}

fn link_node(path: &Path, target: PathBuf) -> Result<Node> {
    let target = target.into_os_string().into_string();
    target.map(|target| Node::Link(target.into())).map_err(|_| not_utf8(path))
}

fn checked_name(entry: &DirEntry) -> Result<Box<str>> {
    let name = entry.file_name().into_string().map_err(|_| not_utf8(&entry.path()))?;
    if name.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "`{}` has a control character in its name",
            entry.path().display()
        ))
        .hint("rename it"));
    }
    Ok(name.into())
}

fn not_utf8(path: &Path) -> Error {
    Error::usage(format!("the name of `{}` is not UTF-8", path.display()))
        .hint("rename it: a lock that others read can only hold names that mean the same to all")
}
