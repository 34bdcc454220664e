//! Matches of a glob, represented as a directory that contains nothing else.

use super::filter::Named;
use super::observe::Mode;
use super::scan::{self, Entries, FileMeta, Node};
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
    pub(super) fn matches<S: FileMeta>(
        &self,
        glob: &Glob,
        ignored: &dyn Fn(&str) -> bool,
    ) -> Result<Option<Node<S>>> {
        if let Some(base) = glob.base() {
            let node = self.scan(base)?;
            return Ok(node.and_then(|node| matching(base.as_str(), node, glob, ignored)));
        }
        let mut found = Entries::new();
        let failed = |err: std::io::Error| Error::io("read", &self.root, &err);
        for entry in std::fs::read_dir(&self.root).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            // A name that no content can have is an error only if it would match.
            let printable = name.to_string_lossy().replace(char::is_control, "\u{fffd}");
            let Some(path) = RepoPath::parse_canonical(&printable) else { continue };
            if path.is_reserved() || !glob.may_overlap(&path) {
                continue;
            }
            let name = scan::checked_name(&name, &entry.path())?;
            let node = self.scan_if(&path, Named::Listed)?;
            if let Some(node) = node.and_then(|node| matching(&name, node, glob, ignored)) {
                found.push((name, node));
            }
        }
        found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Ok((!found.is_empty()).then_some(Node::Dir(found)))
    }
}

/// Prunes `node`, which is at `path`, to the matches of `glob`.
fn matching<S>(
    path: &str,
    node: Node<S>,
    glob: &Glob,
    ignored: &dyn Fn(&str) -> bool,
) -> Option<Node<S>> {
    if ignored(path) {
        return None;
    }
    if glob.matches(path) {
        return Some(node);
    }
    let Node::Dir(entries) = node else {
        return None;
    };
    let kept: Entries<S> = entries
        .into_iter()
        .filter_map(|(name, node)| {
            matching(&format!("{path}/{name}"), node, glob, ignored).map(|node| (name, node))
        })
        .collect();
    (!kept.is_empty()).then_some(Node::Dir(kept))
}
