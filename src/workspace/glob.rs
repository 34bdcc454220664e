//! What a glob matches, as a directory that holds nothing else.

use std::collections::BTreeMap;

use super::scan::{self, Node};
use super::{Seen, Workspace};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::Pattern;
use crate::plan::Tree;
use crate::repo_path::RepoPath;

impl Workspace {
    /// The matches of a glob, as the tree of its [base](Pattern::base) without all else; `None` if there is none. What lies
    /// at a path that is `passed_over` is no match.
    pub fn observe_glob(&self, glob: &Pattern, passed_over: &dyn Fn(&str) -> bool) -> Result<Option<Seen>> {
        if let Some(base) = glob.base() {
            let node = scan::scan(&self.root, base, &self.made)?
                .and_then(|node| matching(base.as_str(), node, glob, passed_over));
            return node.map(|node| self.digest(base, node)).transpose();
        }
        let mut seen = BTreeMap::new();
        let names = std::fs::read_dir(&self.root).map_err(|err| Error::io("read", &self.root, &err))?;
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(path) = RepoPath::parse_canonical(&name) else { continue };
            if path.is_reserved() || !glob.concerns(&path) {
                continue;
            }
            if let Some(node) = scan::scan(&self.root, &path, &self.made)?
                .and_then(|node| matching(&name, node, glob, passed_over))
            {
                seen.insert(name.into_boxed_str(), self.digest(&path, node)?);
            }
        }
        if seen.is_empty() {
            return Ok(None);
        }
        let tree = Tree { entries: seen.iter().map(|(name, seen)| (name.clone(), seen.content())).collect() };
        let digest = Digest::of(&tree.encode());
        seen.retain(|_, seen| matches!(seen, Seen::Dir { .. }));
        Ok(Some(Seen::Dir { tree, digest, dirs: seen }))
    }
}

fn matching(path: &str, node: Node, glob: &Pattern, passed_over: &dyn Fn(&str) -> bool) -> Option<Node> {
    if passed_over(path) {
        return None;
    }
    if glob.matches(path) {
        return Some(node);
    }
    let Node::Dir(entries) = node else {
        return None;
    };
    let kept: BTreeMap<Box<str>, Node> = entries
        .into_iter()
        .filter_map(|(name, node)| {
            matching(&format!("{path}/{name}"), node, glob, passed_over).map(|node| (name, node))
        })
        .collect();
    (!kept.is_empty()).then_some(Node::Dir(kept))
}
