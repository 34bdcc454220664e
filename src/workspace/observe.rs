//! Digests of what lies in the workspace: stats from a scan, contents from the index or by hashing on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::Workspace;
use super::scan::{Executable, Node, Stat};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::plan::Tree;
use crate::repo_path::RepoPath;

/// What lies at a path, with the digest of everything in it.
#[derive(Debug, Clone)]
pub enum Seen {
    /// A file, or a link that leads nowhere.
    Leaf(Content),
    Dir {
        tree: Tree,
        digest: Digest,
        dirs: BTreeMap<Box<str>, Seen>,
    },
}

impl Seen {
    /// A directory with nothing in it.
    pub fn nothing() -> Seen {
        let tree = Tree::default();
        Seen::Dir { digest: Digest::of(&tree.encode()), tree, dirs: BTreeMap::new() }
    }

    pub fn content(&self) -> Content {
        match self {
            Seen::Leaf(content) => *content,
            Seen::Dir { digest, .. } => Content::Tree(*digest),
        }
    }
}

/// What to do about a file that the index does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unknown {
    Read,
    GiveUp,
}

impl Workspace {
    /// What lies at `path`; `None` if nothing does.
    ///
    /// # Errors
    /// Those of [`scan`](super::scan::scan), and a file that cannot be read or does not hold still.
    pub fn observe(&self, path: &RepoPath) -> Result<Option<Seen>> {
        let node = self.scan(path)?;
        node.map(|node| self.digest(path, node, Unknown::Read)).transpose()
    }

    /// What lies at `path`, as far as that is known without reading a file; `None` if it is not.
    pub fn recall(&self, path: &RepoPath) -> Option<Option<Content>> {
        let node = self.scan(path).ok()?;
        let seen = node.map(|node| self.digest(path, node, Unknown::GiveUp)).transpose().ok()?;
        Some(seen.map(|seen| seen.content()))
    }

    pub(super) fn digest(&self, path: &RepoPath, node: Node, unknown: Unknown) -> Result<Seen> {
        match node {
            Node::Link(target) => Ok(Seen::Leaf(Content::Link(Digest::of(target.as_bytes())))),
            Node::File(stat) => {
                let digest = self.file_digest(path, &stat, unknown)?;
                Ok(Seen::Leaf(match stat.executable {
                    Executable::No => Content::File(digest),
                    Executable::Yes => Content::Executable(digest),
                }))
            }
            Node::Dir(entries) => {
                let seen: Vec<(Box<str>, Seen)> = entries
                    .into_iter()
                    .collect::<Vec<_>>()
                    .into_par_iter()
                    .map(|(name, node)| {
                        self.digest(&path.join(&name), node, unknown).map(|seen| (name, seen))
                    })
                    .collect::<Result<_>>()?;
                let entries = seen.iter().map(|(name, seen)| (name.clone(), seen.content())).collect();
                let tree = Tree { entries };
                let digest = Digest::of(&tree.encode());
                let dirs = seen.into_iter().filter(|(_, seen)| matches!(seen, Seen::Dir { .. })).collect();
                Ok(Seen::Dir { tree, digest, dirs })
            }
        }
    }

    fn file_digest(&self, path: &RepoPath, stat: &Stat, unknown: Unknown) -> Result<Digest> {
        if let Some(digest) = self.index().get(path.as_str(), stat) {
            return Ok(digest);
        }
        let full = path.under(&self.root);
        if unknown == Unknown::GiveUp {
            return Err(Error::environment(format!("`{}` was not read", full.display())));
        }
        let (digest, stat, hashed_at) = hash_still_file(&full)?;
        self.index_mut().insert(path.as_str(), stat, digest, hashed_at);
        Ok(digest)
    }
}

/// Hashes a file, again if it changes meanwhile.
fn hash_still_file(path: &Path) -> Result<(Digest, Stat, i64)> {
    const TRIES: usize = 3;
    let failed = |err: std::io::Error| Error::io("read", path, &err);
    for _ in 0..TRIES {
        let hashed_at = now();
        let mut file = File::open(path).map_err(failed)?;
        let before = Stat::of(&file.metadata().map_err(failed)?);
        let digest = hash(&mut file, before.size).map_err(failed)?;
        let after = Stat::of(&file.metadata().map_err(failed)?);
        if before == after {
            return Ok((digest, after, hashed_at));
        }
    }
    Err(Error::environment(format!("`{}` changes while it is read", path.display()))
        .hint("wait until the program that writes it has ended"))
}

fn hash(file: &mut File, size: u64) -> std::io::Result<Digest> {
    // Read, not mapped: a file that shrinks under a mapping kills the process.
    const CHUNK: u64 = 8 << 20;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; size.clamp(1, CHUNK) as usize];
    loop {
        let filled = fill(file, &mut chunk)?;
        if filled == 0 {
            return Ok(hasher.finalize().into());
        }
        if filled >= 256 << 10 {
            hasher.update_rayon(&chunk[..filled]);
        } else {
            hasher.update(&chunk[..filled]);
        }
    }
}

fn fill(file: &mut File, chunk: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match file.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(filled)
}

/// Nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
