//! What lies at a path, by name and stat alone: no content is read.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

/// Names that are no part of the content of a directory that people write: they appear there by themselves, and no stage's
/// result should hang on them. In what a stage writes they are content like all else.
const PASSED_OVER: [&str; 5] = [".git", "__pycache__", ".ipynb_checkpoints", ".DS_Store", "Thumbs.db"];

/// What lies at a path. Links that lead somewhere are followed.
#[derive(Debug, Clone)]
pub enum Node {
    File(Stat),
    Dir(BTreeMap<Box<str>, Node>),
    /// A link whose target does not exist, with the target's text.
    Link(Box<str>),
}

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
        let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Stat {
            size: meta.size(),
            mtime: nanos(meta.mtime(), meta.mtime_nsec()),
            ctime: nanos(meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
            device: meta.dev(),
            executable: if meta.mode() & 0o100 == 0 { Executable::No } else { Executable::Yes },
        }
    }
}

/// What lies at `path` below `root`; `None` if nothing does. `is_made` tells what stages write.
///
/// # Errors
/// Something below cannot be read, has a name that is no UTF-8, is no file, directory or link, or is a loop of links.
pub fn scan(root: &Path, path: &RepoPath, is_made: &IsMade<'_>) -> Result<Option<Node>> {
    let top = path.under(root);
    match std::fs::metadata(&top) {
        Ok(meta) if meta.is_dir() => Ok(Some(scan_dir(root, &top, is_made)?)),
        Ok(meta) => file_node(&top, &meta).map(Some),
        Err(err) if is_absent(&err) => match std::fs::read_link(&top) {
            Ok(target) => link_node(&top, target).map(Some),
            Err(_) => Ok(None),
        },
        Err(err) => Err(Error::io("read", &top, &err)),
    }
}

/// Nothing is there, or a file stands where a directory should.
pub fn is_absent(err: &std::io::Error) -> bool {
    matches!(err.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Whether a name in what people write is no part of any content.
pub fn is_nobodys(name: &str) -> bool {
    PASSED_OVER.contains(&name) || name.starts_with(super::write::TEMPORARY)
}

/// The folders at and below `top`, links followed, as far as `matters` accepts them. What cannot be read has none.
pub fn folders(top: &Path, matters: &dyn Fn(&Path) -> bool) -> impl Iterator<Item = PathBuf> {
    let nobodys = |entry: &DirEntry| entry.file_name().to_str().is_some_and(is_nobodys);
    let wanted = move |entry: &DirEntry| entry.depth() == 0 || (matters(entry.path()) && !nobodys(entry));
    let walk = WalkDir::new(top).follow_links(true).into_iter().filter_entry(wanted);
    walk.flatten().filter(|entry| entry.file_type().is_dir()).map(DirEntry::into_path)
}

fn scan_dir(root: &Path, top: &Path, is_made: &IsMade<'_>) -> Result<Node> {
    let mut open: Open = vec![(Box::default(), BTreeMap::new())];
    let entries = WalkDir::new(top).min_depth(1).follow_links(true).into_iter();
    for entry in entries.filter_entry(|entry| !is_passed_over(root, entry, is_made)) {
        let (depth, name, node) = match entry {
            Ok(entry) => (entry.depth(), plain_name(entry.path())?, entry_node(&entry)?),
            Err(err) => broken_entry(top, &err)?,
        };
        while open.len() > depth {
            close_last(&mut open);
        }
        match node {
            Node::Dir(entries) => open.push((name, entries)),
            leaf => insert(&mut open, name, leaf),
        }
    }
    while open.len() > 1 {
        close_last(&mut open);
    }
    let (_, entries) = open.pop().unwrap_or_default();
    Ok(Node::Dir(entries))
}

/// The directories that are open on the way down, with the name of each.
type Open = Vec<(Box<str>, BTreeMap<Box<str>, Node>)>;

fn close_last(open: &mut Open) {
    if let Some((name, entries)) = open.pop() {
        insert(open, name, Node::Dir(entries));
    }
}

fn insert(open: &mut Open, name: Box<str>, node: Node) {
    if let Some((_, entries)) = open.last_mut() {
        entries.insert(name, node);
    }
}

fn is_passed_over(root: &Path, entry: &DirEntry, is_made: &IsMade<'_>) -> bool {
    let name = entry.file_name();
    if name.as_encoded_bytes().starts_with(super::write::TEMPORARY.as_bytes()) {
        return true;
    }
    let made = || {
        let inside = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
        inside.and_then(RepoPath::parse_canonical).is_some_and(|path| is_made(&path))
    };
    PASSED_OVER.iter().any(|passed| name == *passed) && !made()
}

/// Whether a path is, or lies in, something that a stage writes.
pub type IsMade<'a> = dyn Fn(&RepoPath) -> bool + 'a;

fn entry_node(entry: &DirEntry) -> Result<Node> {
    if entry.file_type().is_dir() {
        return Ok(Node::Dir(BTreeMap::new()));
    }
    let meta = entry.metadata().map_err(|err| {
        Error::environment(format!("cannot read `{}`", entry.path().display())).because(err)
    })?;
    file_node(entry.path(), &meta)
}

fn file_node(path: &Path, meta: &Metadata) -> Result<Node> {
    if meta.is_file() {
        return Ok(Node::File(Stat::of(meta)));
    }
    Err(Error::usage(format!("`{}` is neither a file nor a directory", path.display()))
        .hint("sockets, pipes and devices have no content to depend on; move it out of there"))
}

/// An entry that the walk could not follow: a broken link, or a fault.
fn broken_entry(top: &Path, err: &walkdir::Error) -> Result<(usize, Box<str>, Node)> {
    let path = err.path().unwrap_or(top);
    if let Some(above) = err.loop_ancestor() {
        return Err(Error::usage(format!(
            "`{}` is a link back to `{}`, above it",
            path.display(),
            above.display()
        ))
        .hint("a directory that holds itself has no end; remove the link"));
    }
    let absent = err.io_error().is_some_and(is_absent);
    if absent && let Ok(target) = std::fs::read_link(path) {
        return Ok((err.depth(), plain_name(path)?, link_node(path, target)?));
    }
    Err(Error::environment(format!("cannot read `{}`", path.display())).because(err))
}

fn link_node(path: &Path, target: PathBuf) -> Result<Node> {
    let target = target.into_os_string().into_string();
    target.map(|target| Node::Link(target.into())).map_err(|_| not_utf8(path))
}

fn plain_name(path: &Path) -> Result<Box<str>> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(|| not_utf8(path))?;
    if name.chars().any(char::is_control) {
        return Err(Error::usage(format!("`{}` has a control character in its name", path.display()))
            .hint("rename it"));
    }
    Ok(name.into())
}

fn not_utf8(path: &Path) -> Error {
    Error::usage(format!("the name of `{}` is not UTF-8", path.display()))
        .hint("rename it: a lock that others read can only hold names that mean the same to all")
}
