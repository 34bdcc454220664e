//! Everything that contents consist of: their folders and files, each object once.

use std::collections::HashSet;

use crate::cache::Cache;
use crate::cache::inventory::{FoundTree, Integrity};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::parallel;

/// Maximum number of folders in each other: a path has at most 4096 bytes.
const MAX_DEPTH: usize = 2048;
/// Maximum number of different objects.
const MAX_OBJECTS: usize = 1 << 24;

/// The objects that some contents consist of.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub files: Vec<Digest>,
    /// Trees, each after one that refers to it.
    pub trees: Vec<Digest>,
    /// Trees that are not in the cache; what is in them is unknown.
    pub absent: HashSet<Digest>,
}

impl Reach {
    pub(super) fn digests(&self) -> impl Iterator<Item = &Digest> {
        self.files.iter().chain(&self.trees)
    }
}

/// The parts of contents that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Everything,
    /// Folders without the files in them.
    Listings,
}

/// Finds the objects of `contents`. Calls `provide` with the trees of each level that the cache
/// lacks or that are damaged there, so that it can add them.
///
/// # Errors
/// Errors of `provide`; an object is not a tree, or the trees are such as no folder has.
pub(super) fn reach(
    cache: &Cache,
    contents: impl IntoIterator<Item = Content>,
    depth: Depth,
    mut provide: impl FnMut(Vec<Digest>) -> Result<()>,
) -> Result<Reach> {
    let mut reach = Reach::default();
    let mut files = HashSet::new();
    let mut trees = HashSet::new();
    let mut level = Vec::new();
    let mut sort = |contents: &mut dyn Iterator<Item = Content>, reach: &mut Reach| {
        let mut level = Vec::new();
        for content in contents {
            match content {
                Content::Tree(digest) if trees.insert(digest) => level.push(digest),
                Content::Tree(_) => {}
                other if depth == Depth::Everything && files.insert(other.digest()) => {
                    reach.files.push(other.digest());
                }
                _ => {}
            }
        }
        level
    };
    level.extend(sort(&mut contents.into_iter(), &mut reach));
    for _ in 0..MAX_DEPTH {
        if level.is_empty() {
            return Ok(reach);
        }
        reach.trees.extend(&level);
        let mut found = read(cache, level);
        let is_broken = |tree: &FoundTree| matches!(tree, FoundTree::Broken(_));
        let broken = found.iter().filter(|(_, tree)| is_broken(tree));
        let lacking: Vec<Digest> = broken.map(|(digest, _)| *digest).collect();
        if !lacking.is_empty() {
            provide(lacking.clone())?;
            found.retain(|(_, tree)| !is_broken(tree));
            found.extend(read(cache, lacking));
        }
        level = Vec::new();
        for (digest, found) in found {
            match found {
                FoundTree::Tree(tree) => {
                    level.extend(sort(&mut tree.entries.into_values(), &mut reach));
                }
                FoundTree::NotATree => {
                    let what = format!("object {} is not the tree of a folder", digest.short());
                    return Err(Error::damaged(what));
                }
                FoundTree::Broken(_) => drop(reach.absent.insert(digest)),
            }
        }
        if reach.files.len() + reach.trees.len() > MAX_OBJECTS {
            return Err(impossible("it has more than 16 million different files"));
        }
    }
    Err(impossible("it is deeper than any path can be"))
}

/// Reads trees. Damaged ones are removed from the cache, so that others can take their place.
fn read(cache: &Cache, trees: Vec<Digest>) -> Vec<(Digest, FoundTree)> {
    parallel::map(trees, |digest| {
        let found = cache.check_tree(&digest);
        if let FoundTree::Broken(Integrity::Damaged) = found {
            drop(cache.remove_damaged_object(&digest));
        }
        (digest, found)
    })
}

fn impossible(why: &str) -> Error {
    Error::damaged("a tree is not that of a folder").because(why)
}
