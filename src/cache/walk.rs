//! Walks nested trees without recursion, each distinct tree once, and refuses trees that no folder
//! can be. A tree from elsewhere can be small and stand for 2^40 files, or be deeper than any path.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::Cache;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::plan::Tree;

/// Maximum number of folders in each other: a path has at most 4096 bytes.
const MAX_DEPTH: usize = 2048;
/// Maximum number of entries in a tree, counting equal folders as often as they occur.
const MAX_ENTRIES: u64 = 1 << 24;
/// A tree may have more entries if at least one in this many is an entry of its own. In a real
/// folder of many millions of files, most folders differ.
const MAX_REPEATS: u64 = 64;

/// The trees that were walked, with a value of each.
#[derive(Debug)]
pub struct Walked<T> {
    known: HashMap<Digest, (u64, T)>,
    /// The number of entries of all of them, each tree counted once.
    distinct: u64,
}

impl<T> Default for Walked<T> {
    fn default() -> Walked<T> {
        Walked { known: HashMap::new(), distinct: 0 }
    }
}

/// The reason that a walk has no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// The tree stands for more than any folder holds.
    Impossible(&'static str),
    /// An error of one of the functions.
    By(E),
}

/// A tree that is being walked, with the trees inside that are still to be walked.
struct Open {
    digest: Digest,
    tree: Tree,
    inside: Vec<Digest>,
}

impl<T> Walked<T> {
    pub fn get(&self, tree: &Digest) -> Option<&T> {
        self.known.get(tree).map(|(_, value)| value)
    }

    /// Computes the value of the tree `top` and of all trees inside, from the bottom up.
    ///
    /// `read` returns a tree. `close` returns its value; those of the trees inside are known then.
    ///
    /// # Errors
    /// Errors of the functions, and a tree that no folder can be.
    pub fn walk<E>(
        &mut self,
        top: &Digest,
        mut read: impl FnMut(&Digest) -> Result<Tree, E>,
        mut close: impl FnMut(&Tree, &Walked<T>) -> Result<T, E>,
    ) -> Result<&T, Stopped<E>> {
        let mut open = Vec::new();
        let mut next = Some(*top);
        loop {
            if let Some(digest) = next.filter(|digest| !self.known.contains_key(digest)) {
                if open.len() == MAX_DEPTH {
                    return Err(Stopped::Impossible("it is deeper than any path can be"));
                }
                let tree = read(&digest).map_err(Stopped::By)?;
                self.distinct += tree.entries.len() as u64;
                let inside = subtrees(&tree).collect();
                open.push(Open { digest, tree, inside });
            }
            let Some(last) = open.last_mut() else { break };
            next = last.inside.pop();
            if next.is_none()
                && let Some(Open { digest, tree, .. }) = open.pop()
            {
                let entries = self.entries(&tree);
                if entries > MAX_ENTRIES && entries / MAX_REPEATS > self.distinct {
                    return Err(Stopped::Impossible("it repeats few folders millions of times"));
                }
                let value = close(&tree, self).map_err(Stopped::By)?;
                self.known.insert(digest, (entries, value));
            }
        }
        match self.known.entry(*top) {
            Entry::Occupied(found) => Ok(&found.into_mut().1),
            Entry::Vacant(_) => panic!("BUG: a walk ends without its top"),
        }
    }

    /// Returns the number of entries of a tree, with those of the trees inside.
    fn entries(&self, tree: &Tree) -> u64 {
        let inside = subtrees(tree).filter_map(|digest| self.known.get(&digest));
        inside.fold(tree.entries.len() as u64, |sum, (entries, _)| sum.saturating_add(*entries))
    }
}

fn subtrees(tree: &Tree) -> impl Iterator<Item = Digest> {
    let trees = tree.entries.values().filter(|content| matches!(content, Content::Tree(_)));
    trees.map(Content::digest)
}

impl Cache {
    /// Returns the first missing object of `content`; `None` if all exist.
    ///
    /// # Errors
    /// The tree is one that no folder can be.
    pub fn first_missing(&self, content: &Content) -> Result<Option<Digest>> {
        let digest = content.digest();
        if !matches!(content, Content::Tree(_)) {
            return Ok((!self.has(&digest)).then_some(digest));
        }
        let read = |digest: &Digest| self.tree(digest).map_err(|_| *digest);
        let close = |tree: &Tree, _: &Walked<()>| {
            let leaves = tree.entries.values().filter(|entry| !matches!(entry, Content::Tree(_)));
            leaves.map(Content::digest).find(|leaf| !self.has(leaf)).map_or(Ok(()), Err)
        };
        match Walked::default().walk(&digest, read, close) {
            Ok(()) => Ok(None),
            Err(Stopped::By(missing)) => Ok(Some(missing)),
            Err(Stopped::Impossible(why)) => Err(impossible(&digest, why)),
        }
    }

    /// Fails if `content` is a tree that no folder can be. What is missing from it does not matter.
    pub fn check_possible(&self, content: &Content) -> Result<()> {
        let Content::Tree(digest) = content else { return Ok(()) };
        let read = |digest: &Digest| Ok::<_, ()>(self.tree(digest).unwrap_or_default());
        match Walked::default().walk(digest, read, |_, _| Ok(())) {
            Err(Stopped::Impossible(why)) => Err(impossible(digest, why)),
            _ => Ok(()),
        }
    }
}

fn impossible(tree: &Digest, why: &str) -> Error {
    Error::damaged(format!("object {tree} is not the tree of a folder")).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores a tree of folders with `names` in each other, around `inner`.
    fn nested(cache: &Cache, levels: usize, names: &[&str], inner: Content) -> Content {
        (0..levels).fold(inner, |inner, _| {
            let entries = names.iter().map(|name| ((*name).into(), inner)).collect();
            Content::Tree(cache.put_bytes(&Tree { entries }.encode()).unwrap())
        })
    }

    #[test]
    fn impossible_trees() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let file = Content::File(cache.put_bytes(b"x").unwrap());
        let why = |tree: &Content| {
            assert!(cache.check_possible(tree).is_err());
            cache.first_missing(tree).unwrap_err().to_string()
        };
        let wide = nested(&cache, 40, &["a", "b"], file);
        assert_eq!(
            why(&wide),
            format!(
                "object {} is not the tree of a folder: it repeats few folders millions of times",
                wide.digest()
            )
        );
        let deep = nested(&cache, 10_000, &["a"], file);
        assert!(why(&deep).ends_with("it is deeper than any path can be"));
        let possible = nested(&cache, MAX_DEPTH, &["a"], nested(&cache, 0, &[], file));
        assert_eq!(cache.first_missing(&possible).unwrap(), None);
        let many = nested(&cache, 23, &["a", "b"], file);
        assert_eq!(cache.first_missing(&many).unwrap(), None);
    }

    #[test]
    fn many_different_folders_are_possible() {
        // 2^20 folders of 2^20 / 64 files, of which each has another name.
        let mut walked = Walked { distinct: 1 << 34, ..Walked::default() };
        let leaf = Content::File(Digest::of(b"x"));
        let top = Digest::of(b"top");
        walked.known.insert(Digest::of(b"inside"), (1 << 34, ()));
        let entries = [("a".into(), Content::Tree(Digest::of(b"inside"))), ("b".into(), leaf)];
        let tree = Tree { entries: entries.into() };
        assert_eq!(walked.walk(&top, |_| Ok::<_, ()>(tree.clone()), |_, _| Ok(())), Ok(&()));
    }

    #[test]
    fn missing_objects_in_trees() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path());
        let lost = Digest::of(b"lost");
        let tree = nested(&cache, 3, &["a", "b"], Content::File(lost));
        assert_eq!(cache.first_missing(&tree).unwrap(), Some(lost));
        let tree = nested(&cache, 3, &["a", "b"], Content::Tree(lost));
        assert_eq!(cache.first_missing(&tree).unwrap(), Some(lost));
    }
}
