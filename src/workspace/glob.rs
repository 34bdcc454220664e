//! Matches of a glob, represented as a directory that contains nothing else.

use super::observe::Mode;
use super::scan::{Entries, Node};
use super::{Observed, Workspace};
use crate::error::{Error, Result};
use crate::pipeline::Glob;
use crate::repo_path::RepoPath;

impl Workspace {
    /// Returns the matches of `glob` as the tree of its [base](Glob::base), pruned to the
    /// matches; `None` if there are none.
    ///
    /// Paths for which `ignored` is true do not match.
    pub fn observe_glob(
        &self,
        glob: &Glob,
        ignored: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Observed>> {
        match (glob.base(), self.matches(glob, ignored)?) {
            (_, None) => Ok(None),
            (base, Some(node)) => {
                self.digest(base.map_or("", RepoPath::as_str), node, Mode::Partial).map(Some)
            }
        }
    }

    /// Returns the same tree by names and stats, without digests.
    pub(super) fn matches(
        &self,
        glob: &Glob,
        ignored: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Node>> {
        if let Some(base) = glob.base() {
            let node = self.scan(base)?;
            return Ok(node.and_then(|node| matching(base.as_str(), node, glob, ignored)));
        }
        let mut found = Entries::new();
        let names =
            std::fs::read_dir(&self.root).map_err(|err| Error::io("read", &self.root, &err))?;
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let Some(path) = RepoPath::parse_canonical(&name) else { continue };
            if path.is_reserved() || !glob.may_overlap(&path) {
                continue;
            }
            let node = self.scan(&path)?;
            if let Some(node) = node.and_then(|node| matching(&name, node, glob, ignored)) {
                found.push((name.into_boxed_str(), node));
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok((!found.is_empty()).then_some(Node::Dir(found)))
    }
}

/// Prunes `node`, which is at `path`, to the matches of `glob`.
fn matching(path: &str, node: Node, glob: &Glob, ignored: &dyn Fn(&str) -> bool) -> Option<Node> {
    if ignored(path) {
        return None;
    }
    if glob.matches(path) {
        return Some(node);
    }
    let Node::Dir(entries) = node else {
        return None;
    };
    let kept: Entries = entries
        .into_iter()
        .filter_map(|(name, node)| {
            matching(&format!("{path}/{name}"), node, glob, ignored).map(|node| (name, node))
        })
        .collect();
    (!kept.is_empty()).then_some(Node::Dir(kept))
}
