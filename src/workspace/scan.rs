//! Scans a path by names and stats, without reading any content. Directories are read in parallel.
//! Entries are statted relative to the open directory, so the kernel resolves each directory's path
//! once, not once per file.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use walkdir::WalkDir;

use super::filter::{Context, Filter, Named};
use super::traverse::{par_map, traverse};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

/// A scanned path, with an `S` for each file. Symlinks are followed unless they dangle.
#[derive(Debug, Clone)]
pub enum Node<S = Stat> {
    File(S),
    Dir(Entries<S>),
    /// A dangling symlink, with the text of its target.
    Link(Box<str>),
}

/// The entries of a directory, sorted by name.
pub type Entries<S = Stat> = Vec<(Box<str>, Node<S>)>;

/// The part of a file's metadata that a scan keeps.
pub trait FileMeta: Send + Sync {
    /// Extracts it from the metadata of a file; `link` is the path of the symlink that led to it.
    fn of_file(meta: &Metadata, link: Option<&Path>) -> Self;
}

/// Identity of a file's content as far as the file system reports it.
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

impl FileMeta for Stat {
    fn of_file(meta: &Metadata, _: Option<&Path>) -> Stat {
        Stat::of(meta)
    }
}

/// Returns a time in nanoseconds since 1970.
pub(super) fn nanos(seconds: i64, nanos: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

impl Stat {
    /// Extracts the stat from file metadata.
    pub fn of(meta: &Metadata) -> Stat {
        Stat {
            size: meta.size(),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
            executable: if meta.mode() & 0o100 == 0 { Executable::No } else { Executable::Yes },
        }
    }

    /// Returns the content of a file with this stat and the given digest of its bytes.
    pub fn content(&self, digest: Digest) -> Content {
        match self.executable {
            Executable::No => Content::File(digest),
            Executable::Yes => Content::Executable(digest),
        }
    }
}

/// Scans `path`; `None` if it does not exist or does not count.
///
/// # Errors
/// A path cannot be read, has a name that is not UTF-8 or contains control characters, is not a
/// file, directory or symlink, or is part of a symlink loop.
pub fn scan<S: FileMeta>(
    context: Context<'_>,
    path: &RepoPath,
    named: Named,
) -> Result<Option<Node<S>>> {
    let top = path.to_path(context.root);
    match std::fs::metadata(&top) {
        Ok(meta) if meta.is_dir() => {
            let Some(filter) = context.filter(path, named)? else { return Ok(None) };
            let scan = Scan { context, targets: &LinkTargets::default() };
            let top = Folder { path: top, filter, parent: None };
            traverse(top, |folder| scan.list(folder), assemble).map(Node::Dir).map(Some)
        }
        _ if named == Named::Listed && context.filter(path, named)?.is_none() => Ok(None),
        // Callers that need to know whether the top itself is a symlink have its path.
        Ok(meta) => file_node(&meta, None, || top).map(Some),
        Err(err) if is_absent(&err) => match std::fs::read_link(&top) {
            Ok(target) => link_node(&top, target).map(Some),
            Err(_) => Ok(None),
        },
        Err(err) => Err(unreadable(&top, err)),
    }
}

/// Reports whether the path does not exist, or one of its parents is a file.
pub fn is_absent(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// A path to watch: changes there can change a content.
#[derive(Debug)]
pub enum WatchPoint {
    Folder(PathBuf),
    /// A symlink, dangling or not. One to a folder is reported as a folder, too.
    Link(PathBuf),
}

/// Returns the folders and symlinks at and below `top`, following symlinks.
///
/// Entries that `matters` rejects are skipped with everything below them, and so are unreadable
/// ones.
pub fn watch_points(
    top: &Path,
    matters: &dyn Fn(&Path) -> bool,
) -> impl Iterator<Item = WatchPoint> {
    let is_point =
        |entry: &walkdir::DirEntry| entry.file_type().is_dir() || entry.path_is_symlink();
    let targets = LinkTargets::default();
    // Scanning such links is an error, so it does not matter which of them are watched.
    let fans_out = move |entry: &walkdir::DirEntry| {
        entry.path_is_symlink()
            && entry.metadata().is_ok_and(|meta| meta.is_dir() && !targets.add(&meta))
    };
    let wanted = move |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !is_point(entry) || (matters(entry.path()) && !fans_out(entry))
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

/// Returns every symlink an absolute path goes through, at its real location, and its final target.
///
/// Empty if the path goes through no symlink.
pub fn symlink_chain(path: &Path) -> Vec<PathBuf> {
    /// The kernel's limit.
    const MAX_LINKS: usize = 40;
    let parts = |path: &Path| path.iter().map(ToOwned::to_owned).rev().collect::<Vec<_>>();
    let (mut chain, mut at, mut pending) = (Vec::new(), PathBuf::new(), parts(path));
    while let Some(part) = pending.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(part);
        let Ok(target) = std::fs::read_link(&at) else { continue };
        chain.push(at.clone());
        if chain.len() == MAX_LINKS {
            return chain;
        }
        at.pop();
        pending.extend(parts(&target));
    }
    if !chain.is_empty() {
        chain.push(at);
    }
    chain
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    context: Context<'a>,
    targets: &'a LinkTargets,
}

/// The directories to which symlinks lead, with the number of times each was reached.
///
/// Links can fan out: forty directories with two links each to the next one stand for 2^40 paths.
#[derive(Debug, Default)]
struct LinkTargets(Mutex<HashMap<(u64, u64), usize>>);

impl LinkTargets {
    /// Far more links to one directory than anyone makes.
    const MAX: usize = 10_000;

    /// Counts a link to the directory of `meta`; false if there are too many.
    fn add(&self, meta: &Metadata) -> bool {
        let mut reached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = reached.entry((meta.dev(), meta.ino())).or_default();
        *count += 1;
        *count <= Self::MAX
    }
}

/// A directory and its parents up to the top of the scan.
struct Folder {
    path: PathBuf,
    filter: Filter,
    parent: Option<Arc<Folder>>,
}

/// A directory entry before its subdirectories are read.
enum Found<S> {
    Leaf(Node<S>),
    Dir(PathBuf),
}

/// The entries of a directory: its leaves, and the names of its subdirectories, with whether they
/// count if nothing in them does.
type Listed<S> = (Entries<S>, Vec<(Box<str>, bool)>);

impl Scan<'_> {
    /// Reads one directory and returns its entries and subdirectories.
    fn list<S: FileMeta>(self, folder: Folder) -> Result<(Listed<S>, Vec<Folder>)> {
        /// Minimum number of stats per parallel task.
        const STATS_PER_TASK: usize = 256;
        let listed =
            std::fs::read_dir(&folder.path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let listed = listed.map_err(|err| unreadable(&folder.path, err))?;
        let counted = self.context.counted(&folder.path, &folder.filter, listed)?;
        let found = par_map(counted, STATS_PER_TASK, |(entry, filter)| {
            let name = checked_name(&entry.file_name(), &entry.path())?;
            Ok((name, self.classify(&folder, &entry)?, filter))
        })?;
        let folder = Arc::new(folder);
        let (mut leaves, mut names, mut inside) = (Entries::new(), Vec::new(), Vec::new());
        for (name, found, filter) in found {
            match found {
                Found::Leaf(node) => leaves.push((name, node)),
                Found::Dir(path) => {
                    let may_be_empty = !matches!(filter, Filter::OutsOnly);
                    names.push((name, may_be_empty));
                    inside.push(Folder { path, filter, parent: Some(Arc::clone(&folder)) });
                }
            }
        }
        Ok(((leaves, names), inside))
    }

    fn classify<S: FileMeta>(self, folder: &Folder, entry: &DirEntry) -> Result<Found<S>> {
        let failed = |err| unreadable(&entry.path(), err);
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            return Ok(Found::Dir(entry.path()));
        }
        if !kind.is_symlink() {
            let meta = entry.metadata().map_err(failed)?;
            // It may have become a symlink meanwhile.
            if !meta.is_symlink() {
                return file_node(&meta, None, || entry.path()).map(Found::Leaf);
            }
        }
        let path = entry.path();
        if let Some(link) = self.context.inside(&path)
            && !(self.context.is_out)(&link)
        {
            (self.context.on_link)(&link);
        }
        follow(folder, path, self.targets)
    }
}

/// Merges the leaves of a directory with the entries of its subdirectories.
fn assemble<S>((mut entries, names): Listed<S>, inside: Vec<Entries<S>>) -> Result<Entries<S>> {
    let inside = names.into_iter().zip(inside);
    let inside = inside.filter(|((_, may_be_empty), inside)| *may_be_empty || !inside.is_empty());
    entries.extend(inside.map(|((name, _), inside)| (name, Node::Dir(inside))));
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(entries)
}

/// Returns the target of a symlink.
fn follow<S: FileMeta>(folder: &Folder, path: PathBuf, targets: &LinkTargets) -> Result<Found<S>> {
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => match same_ancestor(folder, &meta) {
            None if targets.add(&meta) => Ok(Found::Dir(path)),
            None => Err(fan_out(&path)),
            Some(above) => Err(Error::usage(format!(
                "`{}` is a symlink to `{}`, which contains it",
                path.display(),
                above.display()
            ))
            .hint("remove the symlink: a directory that contains itself has no end")),
        },
        Ok(meta) => file_node(&meta, Some(&path), || path.clone()).map(Found::Leaf),
        Err(err) => match std::fs::read_link(&path) {
            Ok(target) if is_absent(&err) => link_node(&path, target).map(Found::Leaf),
            _ => Err(unreadable(&path, err)),
        },
    }
}

fn fan_out(path: &Path) -> Error {
    let target = path.canonicalize().unwrap_or_default();
    Error::usage(format!(
        "`{}` is one of more than {} ways to `{}`",
        path.display(),
        LinkTargets::MAX,
        target.display()
    ))
    .hint("remove symlinks that lead from directory to directory: their number multiplies")
}

/// Returns the path of `folder` or its nearest parent that is the directory of `meta`.
fn same_ancestor<'a>(folder: &'a Folder, meta: &Metadata) -> Option<&'a Path> {
    let mut all = std::iter::successors(Some(folder), |folder| folder.parent.as_deref());
    let is_same = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|it| (it.dev(), it.ino()) == (meta.dev(), meta.ino()))
    };
    all.find(|folder| is_same(&folder.path)).map(|folder| &*folder.path)
}

fn unreadable(path: &Path, err: std::io::Error) -> Error {
    let is_loop = err.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    let is_forbidden = err.kind() == std::io::ErrorKind::PermissionDenied;
    let error = Error::environment(format!("cannot read `{}`", path.display())).because(err);
    match (is_loop, is_forbidden) {
        (true, _) => error.hint("remove the symlink: it points to itself and has no content"),
        (_, true) => error.hint("make it readable (`chmod u+r`), or move it out of the directory"),
        _ => error,
    }
}

fn file_node<S: FileMeta>(
    meta: &Metadata,
    link: Option<&Path>,
    path: impl FnOnce() -> PathBuf,
) -> Result<Node<S>> {
    if meta.is_file() {
        return Ok(Node::File(S::of_file(meta, link)));
    }
    Err(Error::usage(format!("`{}` is neither a file nor a directory", path().display()))
        .hint("move it out of the directory: sockets, pipes and devices have no content"))
}

fn link_node<S>(path: &Path, target: PathBuf) -> Result<Node<S>> {
    let target = target.into_os_string().into_string();
    target.map(|target| Node::Link(target.into())).map_err(|_| not_utf8(path))
}

/// Returns the name of the file at `path` if it can be part of a content.
///
/// # Errors
/// The name is not UTF-8 or contains a control character.
pub fn checked_name(name: &OsStr, path: &Path) -> Result<Box<str>> {
    let name = name.to_str().ok_or_else(|| not_utf8(path))?;
    if name.chars().any(char::is_control) {
        return Err(Error::usage(format!(
            "`{}` has a control character in its name",
            path.display()
        ))
        .hint("rename it"));
    }
    Ok(name.into())
}

fn not_utf8(path: &Path) -> Error {
    Error::usage(format!("the name of `{}` is not UTF-8", path.display()))
        .hint("rename it: the lock can only contain names that are the same on every machine")
}
