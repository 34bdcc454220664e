//! Computes digests of workspace paths: stats come from a scan, contents from the stat index or
//! from hashing on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::index::Unlisted;
use super::scan::{Entries, Node, Stat, is_absent};
use super::traverse::{par_map, traverse};
use super::{Workspace, hash};
use crate::clock::now_nanos;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::plan::Tree;
use crate::repo_path::RepoPath;

/// Observed content of a path, with the digest of everything in it.
#[derive(Debug, Clone)]
pub enum Observed {
    /// A file or a dangling symlink.
    Leaf(Content),
    Dir {
        tree: Tree,
        digest: Digest,
        dirs: BTreeMap<Box<str>, Observed>,
    },
}

impl Observed {
    /// Returns an empty directory.
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

    /// Returns the digests of all files and links.
    pub fn leaf_digests(&self) -> Vec<Digest> {
        let mut digests = Vec::new();
        let mut open = vec![self];
        while let Some(seen) = open.pop() {
            match seen {
                Observed::Leaf(content) => digests.push(content.digest()),
                Observed::Dir { tree, dirs, .. } => {
                    digests.extend(tree.leaves().map(|(_, content)| content.digest()));
                    open.extend(dirs.values());
                }
            }
        }
        digests
    }
}

/// The state of a path as far as it is known without reading files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indexed {
    /// The index does not have all files of the path, or the path cannot be scanned.
    Unknown,
    /// The path does not exist.
    Absent,
    Present(Content),
}

/// Scope of an observation, which determines its use of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Everything at the path: index entries of missing files are forgotten.
    Complete,
    /// Only the matches of a glob: other index entries are kept.
    Partial,
    /// Fails if a file is not in the index, instead of reading it.
    IndexOnly,
}

impl Workspace {
    /// Returns the content of `path`; `None` if it does not exist.
    ///
    /// # Errors
    /// Fails as [`scan`](super::scan::scan) does, or if a file cannot be read or keeps changing.
    pub fn observe(&self, path: &RepoPath) -> Result<Option<Observed>> {
        let node = self.scan(path)?;
        let is_folder = |folder: &str| self.root.join(folder).is_dir();
        self.index.forget_gone(path.as_str(), node.as_ref(), &is_folder);
        node.map(|node| self.digest(path.as_str(), node, Mode::Complete)).transpose()
    }

    /// Returns the content of `path` as far as the index has it, without reading files.
    pub fn indexed_content(&self, path: &RepoPath) -> Indexed {
        // Most likely the first run, which scans the path anyway when it observes the stage.
        if !self.index.has_entries(path.as_str()) {
            let missing =
                path.to_path(&self.root).symlink_metadata().is_err_and(|err| is_absent(&err));
            return if missing { Indexed::Absent } else { Indexed::Unknown };
        }
        match self.scan(path) {
            Ok(None) => Indexed::Absent,
            Ok(Some(node)) => match self.digest(path.as_str(), node, Mode::IndexOnly) {
                Ok(observed) => Indexed::Present(observed.content()),
                Err(_) => Indexed::Unknown,
            },
            Err(_) => Indexed::Unknown,
        }
    }

    /// Computes the digests of a scanned `node` at `path`, which is empty for the root.
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

    /// Returns the leaves of a folder with their contents, and the folders inside.
    fn list_folder(
        &self,
        path: &str,
        entries: Entries,
        mode: Mode,
    ) -> Result<(Listed, Vec<(String, Entries)>)> {
        let folder = self.root.join(path);
        let exists = |name: &str| folder.join(name).symlink_metadata().is_ok();
        let unlisted = match mode {
            Mode::Complete => Unlisted::ForgetUnless(&exists),
            Mode::Partial | Mode::IndexOnly => Unlisted::Keep,
        };
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

    /// Hashes a file and records its digest in the index.
    fn read(&self, path: &str, stat: &Stat, mode: Mode) -> Result<Content> {
        let full = self.root.join(path);
        if mode == Mode::IndexOnly {
            return Err(Error::environment(format!("`{}` is not in the index", full.display())));
        }
        let (digest, after, hashed_at) = hash_stable_file(&full, *stat)?;
        self.index.insert(path, after, digest, hashed_at);
        Ok(after.content(digest))
    }
}

/// The leaves of a folder, and the names of the folders inside.
type Listed = (Vec<(Box<str>, Content)>, Vec<Box<str>>);

/// Builds a folder from its leaves and the observed folders inside.
fn assemble((leaves, names): Listed, inside: Vec<Observed>) -> Result<Observed> {
    let dirs: BTreeMap<Box<str>, Observed> = names.into_iter().zip(inside).collect();
    let contents = dirs.iter().map(|(name, observed)| (name.clone(), observed.content()));
    let tree = Tree { entries: leaves.into_iter().chain(contents).collect() };
    Ok(Observed::Dir { digest: Digest::of(&tree.encode()), tree, dirs })
}

fn link(target: &str) -> Content {
    Content::Link(Digest::of(target.as_bytes()))
}

/// Hashes a file with the stat `before`; retries if the stat changes meanwhile.
///
/// Returns the digest, the file's stat, and the time before the read.
fn hash_stable_file(path: &Path, mut before: Stat) -> Result<(Digest, Stat, i64)> {
    const TRIES: usize = 4;
    let failed = |err: std::io::Error| Error::io("read", path, &err);
    for _ in 0..TRIES {
        let hashed_at = now_nanos();
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
    Err(Error::environment(format!("`{}` keeps changing while it is read", path.display()))
        .hint("wait until the program that writes it has finished"))
}
