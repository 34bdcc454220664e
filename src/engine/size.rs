//! Sizes: number of files and bytes, as stored in the cache.

use serde::Serialize;

use super::Project;
use crate::cache::walk::Walked;
use crate::digest::{Content, Digest};
use crate::plan::Tree;

/// A number of files and their total size in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    pub count: usize,
    pub bytes: u64,
}

impl Tally {
    pub fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }

    fn plus(self, other: Tally) -> Tally {
        Tally { count: self.count + other.count, bytes: self.bytes + other.bytes }
    }

    pub fn of(sizes: impl IntoIterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        sizes.into_iter().for_each(|bytes| tally.add(bytes));
        tally
    }
}

/// Measures the part of `content` that is in the cache.
pub fn measure(project: &Project, content: &Content) -> Tally {
    let leaf = |digest: &Digest| {
        let size = project.cache.object_path(digest).metadata().map(|meta| meta.len());
        Tally::of(size)
    };
    let Content::Tree(top) = content else { return leaf(&content.digest()) };
    let read = |digest: &Digest| Ok::<_, ()>(project.cache.tree(digest).unwrap_or_default());
    let close = |tree: &Tree, walked: &Walked<Tally>| {
        let tallies = tree.entries.values().map(|entry| match entry {
            Content::Tree(digest) => walked.get(digest).copied().unwrap_or_default(),
            entry => leaf(&entry.digest()),
        });
        Ok(tallies.fold(Tally::default(), Tally::plus))
    };
    Walked::default().walk(top, read, close).copied().unwrap_or_default()
}
