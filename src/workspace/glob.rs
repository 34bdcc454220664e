//! What a glob matches, as a directory that holds nothing else.

use std::collections::BTreeMap;

use super::observe::Unknown;
use super::scan::Node;
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
        match (glob.base(), self.matches(glob, passed_over)?) {
            (_, None) => Ok(None),
            (Some(base), Some(node)) => self.digest(base, node, Unknown::Read).map(Some),
            (None, Some(Node::Dir(entries))) => {
                let mut seen = BTreeMap::new();
                for (name, node) in entries {
                    let Some(path) = RepoPath::parse_canonical(&name) else { continue };
                    seen.insert(name, self.digest(&path, node, Unknown::Read)?);
                }
                let entries = seen.iter().map(|(name, seen)| (name.clone(), seen.content())).collect();
                let tree = Tree { entries };
                let digest = Digest::of(&tree.encode());
                seen.retain(|_, seen| matches!(seen, Seen::Dir { .. }));
                Ok(Some(Seen::Dir { tree, digest, dirs: seen }))
            }
            (None, Some(_)) => panic!("BUG: a project root that is no directory"),
        }
    }

    /// The matches by name and stat, in the same shape.
    pub(super) fn matches(&self, glob: &Pattern, passed_over: &dyn Fn(&str) -> bool) -> Result<Option<Node>> {
        if let Some(base) = glob.base() {
            let node = self.scan(base)?;
            return Ok(node.and_then(|node| matching(base.as_str(), node, glob, passed_over)));
        }
        let mut found = BTreeMap::new();
        let names = std::fs::read_dir(&self.root).map_err(|err| Error::io("read", &self.root, &err))?;
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(path) = RepoPath::parse_canonical(&name) else { continue };
            if path.is_reserved() || !glob.concerns(&path) {
                continue;
            }
            let node = self.scan(&path)?;
            if let Some(node) = node.and_then(|node| matching(&name, node, glob, passed_over)) {
                found.insert(name.into_boxed_str(), node);
            }
        }
        Ok((!found.is_empty()).then_some(Node::Dir(found)))
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
