//! The object of a directory: its entries by name. Directories nest as trees in trees, so a change deep
//! inside costs the objects on the way down to it and no others.
//!
//! ```text
//! repro.tree 1
//! file 6437b3ac…9d85 blues.00000.wav
//! tree 1c0a44f7…02fe jazz
//! ```
//! Sorted by name, bytewise; one line an entry; a name never has a slash or a control character in it.

use std::collections::BTreeMap;

use crate::digest::{Content, Digest};
use crate::repo_path::RepoPath;

const HEADER: &str = "repro.tree 1\n";

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    pub entries: BTreeMap<Box<str>, Content>,
}

/// The bytes are not a tree object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATree;

impl Tree {
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::with_capacity(HEADER.len() + self.entries.len() * 96);
        text.push_str(HEADER);
        for (name, content) in &self.entries {
            // Not by `write!`, which would take most of the time of a look at a large directory.
            let hex = content.digest().to_hex();
            for piece in [content.kind(), " ", &*hex, " ", name, "\n"] {
                text.push_str(piece);
            }
        }
        text.into_bytes()
    }

    /// The inverse of [`Tree::encode`]; an entry whose name is not one plain file name is refused, so
    /// that a tree from elsewhere cannot name anything outside its directory.
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

/// One name of a file, nothing that leads elsewhere.
pub fn is_plain_name(name: &str) -> bool {
    !name.contains('/') && RepoPath::parse_canonical(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_trees_are_refused() {
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
        fn a_tree_reads_back(names in proptest::collection::btree_set("[a-z .é]{1,6}", 0..8)) {
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
