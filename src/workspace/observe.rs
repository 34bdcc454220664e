//! Digests of what lies in the workspace: stats from a scan, contents from the index or by hashing on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::index::Unlisted;
use super::traverse::traverse;
use super::scan::{Entries, Node, Stat, is_absent};
use super::{Workspace, hash, par_map};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::plan::Tree;
use crate::repo_path::RepoPath;

/// What lies at a path, with the digest of everything in it.
#[derive(Debug, Clone)]
pub enum Observed {
    /// A file, or a link that leads nowhere.
    Leaf(Content),
    Dir {
        tree: Tree,
        digest: Digest,
        dirs: BTreeMap<Box<str>, Observed>,
    },
}

impl Observed {
    /// A directory with nothing in it.
    pub fn empty_dir() -> Observed {
        let tree = Tree::default();
        Observed::Dir { digest: Digest::of(&tree.encode()), tree, dirs: BTreeMap::new() }
    }

    pub fn content(&self) -> Content {
        match self {
            Observed::Leaf(content) => *content,
            Observed::Dir { digest, .. } => Content::Tree(*digest),
        }
    }
}

/// How a mode treats what the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// At all that lies there: of files that do not any more nothing stays known.
    Complete,
    /// At what a glob matches.
    Partial,
    /// Only as far as everything is known.
    IndexOnly,
}

impl Workspace {
    /// What lies at `path`; `None` if nothing does.
    ///
    /// # Errors
    /// Those of [`scan`](super::scan::scan), and a file that cannot be read or does not hold still.
    pub fn observe(&self, path: &RepoPath) -> Result<Option<Observed>> {
        let node = self.scan(path)?;
        self.index.forget_gone(path.as_str(), node.as_ref());
        node.map(|node| self.digest(path.as_str(), node, Mode::Complete)).transpose()
    }

    /// What lies at `path`, as far as that is known without reading a file; `None` if it is not.
    pub fn indexed_content(&self, path: &RepoPath) -> Option<Option<Content>> {
        if !self.index.has_entries(path.as_str()) {
            let missing =
                path.to_path(&self.root).symlink_metadata().is_err_and(|err| is_absent(&err));
            return missing.then_some(None);
        }
        let node = self.scan(path).ok()?;
        let seen =
            node.map(|node| self.digest(path.as_str(), node, Mode::IndexOnly)).transpose().ok()?;
        Some(seen.map(|seen| seen.content()))
    }

    /// `path` is empty for the root.
    pub(super) fn digest(&self, path: &str, node: Node, mode: Mode) -> Result<Observed> {
        match node {
            Node::Link(target) => Ok(Observed::Leaf(link(&target))),
            Node::File(stat) => {
                let known = self.index.get(path, &stat).map(|digest| stat.content(digest));
                known.map_or_else(|| self.read(path, &stat, mode), Ok).map(Observed::Leaf)
            }
            Node::Dir(entries) => {
                let top = (path.to_owned(), entries);
                traverse(top, |(path, entries)| self.list_folder(&path, entries, mode), assemble)
            }
        }
    }

    /// What is known of a folder before those in it are looked at, and those.
    fn list_folder(
        &self,
        path: &str,
        entries: Entries,
        mode: Mode,
    ) -> Result<(Listed, Vec<(String, Entries)>)> {
        let unlisted = if mode == Mode::Complete { Unlisted::Forget } else { Unlisted::Keep };
        let known = self.index.get_all(path, &entries, unlisted);
        let inside =
            |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let (mut leaves, mut names) = (Vec::with_capacity(entries.len()), Vec::new());
        let (mut unread, mut folders) = (Vec::new(), Vec::new());
        for ((name, node), known) in entries.into_iter().zip(known) {
            match (node, known) {
                (Node::File(stat), Some(digest)) => leaves.push((name, stat.content(digest))),
                (Node::File(stat), None) => unread.push((name, stat)),
                (Node::Link(target), _) => leaves.push((name, link(&target))),
                (Node::Dir(entries), _) => {
                    folders.push((inside(&name), entries));
                    names.push(name);
                }
            }
        }
        leaves.extend(par_map(unread, 1, |(name, stat): (Box<str>, Stat)| {
            let content = self.read(&inside(&name), &stat, mode)?;
            Ok((name, content))
        })?);
        Ok(((leaves, names), folders))
    }

    fn read(&self, path: &str, stat: &Stat, mode: Mode) -> Result<Content> {
        let full = self.root.join(path);
        if mode == Mode::IndexOnly {
            return Err(Error::environment(format!("`{}` was not read", full.display())));
        }
        let (digest, after, hashed_at) = hash_stable_file(&full, *stat)?;
        self.index.insert(path, after, digest, hashed_at);
        Ok(after.content(digest))
    }
}

/// The leaves of a folder, and the names of the folders in it.
type Listed = (Vec<(Box<str>, Content)>, Vec<Box<str>>);

/// A folder, given what is in the folders in it.
fn assemble((leaves, names): Listed, inside: Vec<Observed>) -> Result<Observed> {
    let dirs: BTreeMap<Box<str>, Observed> = names.into_iter().zip(inside).collect();
    let contents = dirs.iter().map(|(name, seen)| (name.clone(), seen.content()));
    let tree = Tree { entries: leaves.into_iter().chain(contents).collect() };
    Ok(Observed::Dir { digest: Digest::of(&tree.encode()), tree, dirs })
}

fn link(target: &str) -> Content {
    Content::Link(Digest::of(target.as_bytes()))
}

/// Hashes a file that was seen as `before`, again if it is another meanwhile.
fn hash_stable_file(path: &Path, mut before: Stat) -> Result<(Digest, Stat, i64)> {
    const TRIES: usize = 4;
    let failed = |err: std::io::Error| Error::io("read", path, &err);
    for _ in 0..TRIES {
        let hashed_at = now();
        let file = File::open(path).map_err(failed)?;
        let digest = match hash::digest(&file, before.size) {
            Err(err) if err.kind() == std::io::ErrorKind::UnexpectedEof => None,
            other => Some(other.map_err(failed)?),
        };
        let after = Stat::of(&file.metadata().map_err(failed)?);
        match digest {
            Some(digest) if before == after => return Ok((digest, after, hashed_at)),
            _ => before = after,
        }
    }
    Err(Error::environment(format!("`{}` changes while it is read", path.display()))
        .hint("wait until the program that writes it has ended"))
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
