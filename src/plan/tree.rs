//! Tree objects: the entries of a directory by name. A subdirectory is a tree of its own, so a
//! change deep inside creates new objects only for the directories on the way down to it.
//!
//! ```text
//! repro.tree 1
//! file 6437b3ac…9d85 blues.00000.wav
//! tree 1c0a44f7…02fe jazz
//! ```
//!
//! Entries are sorted by the bytes of their names, one per line. A name contains neither slashes
//! nor control characters.

use std::collections::BTreeMap;

use crate::digest::{Content, Digest};
use crate::repo_path::RepoPath;

const HEADER: &str = "repro.tree 1\n";

/// The entries of one directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub entries: BTreeMap<Box<str>, Content>,
}

/// The change of an entry of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryChange {
    Added,
    Changed,
    Removed,
    /// A subdirectory, by its trees before and after.
    Inside {
        old: Digest,
        new: Digest,
    },
}

/// Error: the bytes are not a tree object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATree;

impl Tree {
    /// Returns the files and links in the directory itself.
    pub fn leaves(&self) -> impl Iterator<Item = (&Box<str>, &Content)> {
        self.entries.iter().filter(|(_, content)| !matches!(content, Content::Tree(_)))
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::with_capacity(HEADER.len() + self.entries.len() * 96);
        text.push_str(HEADER);
        for (name, content) in &self.entries {
            // `write!` is too slow: it would dominate the time to hash a large directory.
            let hex = content.digest().to_hex();
            for piece in [content.kind(), " ", &*hex, " ", name, "\n"] {
                text.push_str(piece);
            }
        }
        text.into_bytes()
    }

    /// Lists the entries that differ from `old`: those that exist now by name, then those that are
    /// gone.
    pub fn changes_since<'t>(
        &'t self,
        old: &'t Tree,
    ) -> impl Iterator<Item = (&'t str, EntryChange)> {
        let present = self.entries.iter().filter_map(|(name, content)| {
            let change = match (old.entries.get(name), content) {
                (Some(before), _) if before == content => return None,
                (Some(Content::Tree(old)), Content::Tree(new)) => {
                    EntryChange::Inside { old: *old, new: *new }
                }
                (Some(_), _) => EntryChange::Changed,
                (None, _) => EntryChange::Added,
            };
            Some((&**name, change))
        });
        let gone = old.entries.keys().map(|name| &**name);
        let gone = gone.filter(|name| !self.entries.contains_key(*name));
        present.chain(gone.map(|name| (name, EntryChange::Removed)))
    }

    /// Decodes the result of [`Tree::encode`].
    ///
    /// Rejects an entry whose name is not a single file name, so that a foreign tree cannot name
    /// anything outside its directory.
    pub fn decode(bytes: &[u8]) -> Result<Tree, NotATree> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotATree)?;
        let body = text.strip_prefix(HEADER).ok_or(NotATree)?;
        let mut tree = Tree::default();
        for line in body.split_terminator('\n') {
            let mut fields = line.splitn(3, ' ');
            let (Some(kind), Some(digest), Some(name)) =
                (fields.next(), fields.next(), fields.next())
            else {
                return Err(NotATree);
            };
            let digest: Digest = digest.parse().map_err(|_| NotATree)?;
            let content = Content::from_kind(kind, digest).ok_or(NotATree)?;
            if !is_plain_name(name) || tree.entries.insert(name.into(), content).is_some() {
                return Err(NotATree);
            }
        }
        Ok(tree)
    }
}

/// Reports whether `name` is a single file name that cannot lead to another directory.
pub fn is_plain_name(name: &str) -> bool {
    !name.contains('/') && RepoPath::parse_canonical(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn malformed_trees_are_rejected() {
        let digest = Digest::of(b"x");
        for name in ["..", ".", "a/b", "/etc", "", "a\tb"] {
            let bytes = format!("repro.tree 1\nfile {digest} {name}\n");
            assert_eq!(Tree::decode(bytes.as_bytes()), Err(NotATree), "{name:?}");
        }
        for bytes in
            ["", "repro.tree 2\n", "repro.tree 1\nfile abc x\n", "repro.tree 1\nodd 00 x\n"]
        {
            assert_eq!(Tree::decode(bytes.as_bytes()), Err(NotATree), "{bytes:?}");
        }
        let twice = format!("repro.tree 1\nfile {digest} a\nfile {digest} a\n");
        assert_eq!(Tree::decode(twice.as_bytes()), Err(NotATree));
    }

    proptest! {
        #[test]
        fn tree_round_trip(names in proptest::collection::btree_set("[a-z .é]{1,6}", 0..8)) {
            let entries = names
                .iter()
                .filter(|name| is_plain_name(name))
                .map(|name| (name.as_str().into(), Content::File(Digest::of(name.as_bytes()))))
                .collect();
            let tree = Tree { entries };
            prop_assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
        }
    }
}
