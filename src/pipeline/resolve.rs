//! Real paths of deps and outs: the names on the way to them, with links replaced by their targets.
//!
//! Mechanism: a path is walked name by name. Each link is replaced by the path that it leads to, up
//! to the first out of a stage: what a stage writes may become a link or cease to be one at any
//! time, and the graph must not depend on that.
//!
//! Does not access the disk: the entries at the names come from the caller.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::repo_path::RepoPath;

/// The entry at a path, as far as it matters for paths that lead through it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PathEntry {
    Absent,
    File,
    Folder,
    /// A link to this path of the project.
    Link(RepoPath),
    /// A link that leads out of the project, or to the project root.
    LinkOutside,
}

/// Treatment of a link at the last name of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    Followed,
    Kept,
}

/// The names of all outs, and the entries on disk.
pub(super) struct Resolver<'a> {
    pub(super) entry: &'a dyn Fn(&RepoPath) -> PathEntry,
    /// Paths of outs, as declared or without links.
    pub(super) outs: BTreeSet<RepoPath>,
}

impl Resolver<'_> {
    /// Returns the path without links; `None` if there are none, or if one leads outside or in a
    /// circle.
    pub(super) fn real(&self, path: &RepoPath, last: Last) -> Option<RepoPath> {
        /// The kernel's limit.
        const MAX_LINKS: usize = 40;
        let names = |path: &RepoPath| -> Vec<String> {
            path.as_str().split('/').rev().map(str::to_owned).collect()
        };
        let (mut at, mut rest): (Option<RepoPath>, _) = (None, names(path));
        let (mut links, mut is_made) = (0, false);
        while let Some(name) = rest.pop() {
            let here = match &at {
                Some(at) => at.join(&name),
                None => RepoPath::parse(&name).ok()?,
            };
            is_made |= self.outs.contains(&here);
            let is_kept = is_made || (rest.is_empty() && last == Last::Kept);
            match if is_kept { PathEntry::Absent } else { (self.entry)(&here) } {
                PathEntry::Absent | PathEntry::File | PathEntry::Folder => at = Some(here),
                PathEntry::LinkOutside => return None,
                PathEntry::Link(_) if links == MAX_LINKS => return None,
                PathEntry::Link(target) => {
                    links += 1;
                    (at, is_made) = (None, false);
                    rest.extend(names(&target));
                }
            }
        }
        at.filter(|real| real != path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn real_paths() {
        let links = [
            ("in/now.csv", Some("out/v.csv")),
            ("old", Some("in")),
            ("out/v.csv", Some("cache/objects/1")),
            ("made/x", Some("elsewhere")),
            ("big", None),
            ("a", Some("b")),
            ("b", Some("a")),
        ];
        let entry = |asked: &RepoPath| match links.iter().find(|(at, _)| *at == asked.as_str()) {
            Some((_, Some(target))) => PathEntry::Link(path(target)),
            Some((_, None)) => PathEntry::LinkOutside,
            None => PathEntry::Folder,
        };
        let outs = BTreeSet::from([path("out/v.csv"), path("made")]);
        let resolver = Resolver { entry: &entry, outs };
        for (text, last, expected) in [
            ("in/now.csv", Last::Followed, Some("out/v.csv")),
            ("in/now.csv", Last::Kept, None),
            ("old/now.csv", Last::Followed, Some("out/v.csv")),
            ("old/now.csv", Last::Kept, Some("in/now.csv")),
            ("old", Last::Followed, Some("in")),
            ("old/x/y", Last::Kept, Some("in/x/y")),
            ("out/v.csv", Last::Followed, None),
            ("made/x/y", Last::Followed, None),
            ("big/x", Last::Followed, None),
            ("a/x", Last::Followed, None),
            ("in/x", Last::Followed, None),
        ] {
            let real = resolver.real(&path(text), last);
            assert_eq!(real.as_ref().map(RepoPath::as_str), expected, "{text} {last:?}");
        }
    }
}
