//! Digests of what lies in the workspace: stats from a scan, contents from the index or by hashing on all cores.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rayon::iter::{IndexedParallelIterator as _, IntoParallelIterator as _, ParallelIterator as _};

use super::Workspace;
use super::index::Others;
use super::scan::{Entries, Node, Stat};
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

/// How a look treats what the index knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// At all that lies there: of files that do not any more nothing stays known.
    Whole,
    /// At what a glob matches.
    Part,
    /// Only as far as everything is known.
    Recall,
}

impl Workspace {
    /// What lies at `path`; `None` if nothing does.
    ///
    /// # Errors
    /// Those of [`scan`](super::scan::scan), and a file that cannot be read or does not hold still.
    pub fn observe(&self, path: &RepoPath) -> Result<Option<Seen>> {
        let node = self.scan(path)?;
        self.index.forget_gone(path.as_str(), node.as_ref());
        node.map(|node| self.digest(path.as_str(), node, Look::Whole)).transpose()
    }

    /// What lies at `path`, as far as that is known without reading a file; `None` if it is not.
    pub fn recall(&self, path: &RepoPath) -> Option<Option<Content>> {
        let node = self.scan(path).ok()?;
        let seen = node.map(|node| self.digest(path.as_str(), node, Look::Recall)).transpose().ok()?;
        Some(seen.map(|seen| seen.content()))
    }

    /// `path` is empty for the root.
    pub(super) fn digest(&self, path: &str, node: Node, look: Look) -> Result<Seen> {
        match node {
            Node::Link(target) => Ok(Seen::Leaf(Content::Link(Digest::of(target.as_bytes())))),
            Node::File(stat) => {
                let known = self.index.get(path, &stat);
                self.file(path, &stat, known, look).map(Seen::Leaf)
            }
            Node::Dir(entries) => self.dir(path, entries, look),
        }
    }

    fn dir(&self, path: &str, entries: Entries, look: Look) -> Result<Seen> {
        let others = if look == Look::Whole { Others::Go } else { Others::Stay };
        let known = self.index.get_all(path, &entries, others);
        let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        let seen = entries.into_par_iter().zip(known).map(|((name, node), known)| {
            let seen = match node {
                Node::File(stat) => match known {
                    Some(digest) => Seen::Leaf(stat.content(digest)),
                    None => Seen::Leaf(self.file(&inside(&name), &stat, None, look)?),
                },
                node => self.digest(&inside(&name), node, look)?,
            };
            Ok((name, seen))
        });
        let seen: Vec<(Box<str>, Seen)> = seen.collect::<Result<_>>()?;
        let entries = seen.iter().map(|(name, seen)| (name.clone(), seen.content())).collect();
        let tree = Tree { entries };
        let digest = Digest::of(&tree.encode());
        let dirs = seen.into_iter().filter(|(_, seen)| matches!(seen, Seen::Dir { .. })).collect();
        Ok(Seen::Dir { tree, digest, dirs })
    }

    fn file(&self, path: &str, stat: &Stat, known: Option<Digest>, look: Look) -> Result<Content> {
        if let Some(digest) = known {
            return Ok(stat.content(digest));
        }
        let full = self.root.join(path);
        if look == Look::Recall {
            return Err(Error::environment(format!("`{}` was not read", full.display())));
        }
        let (digest, after, hashed_at) = hash_still_file(&full)?;
        self.index.insert(path, after, digest, hashed_at);
        Ok(stat.content(digest))
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
