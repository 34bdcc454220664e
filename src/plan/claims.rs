//! Claims: paths whose content stages made, or that something else is known to own.

use std::collections::BTreeSet;

use crate::plan::Lock;
use crate::repo_path::RepoPath;

/// A set of paths that stand for themselves and everything in them.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Claims(BTreeSet<RepoPath>);

impl Claims {
    /// Claims the outs of all stages in a lock, written or not.
    pub fn of_lock(lock: &Lock) -> Claims {
        let traces = lock.stages.values();
        traces.flat_map(|trace| trace.fingerprint.outs.iter().cloned()).collect()
    }

    /// Reports whether the path, or a folder around it, is claimed.
    pub fn cover(&self, path: &RepoPath) -> bool {
        self.0.contains(path) || path.ancestors().any(|above| self.0.contains(above))
    }
}

impl FromIterator<RepoPath> for Claims {
    fn from_iter<I: IntoIterator<Item = RepoPath>>(paths: I) -> Claims {
        Claims(paths.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepoPath {
        RepoPath::parse(text).unwrap()
    }

    #[test]
    fn claims_cover_what_is_inside() {
        let claims: Claims = [path("out"), path("a/b")].into_iter().collect();
        for (text, covered) in
            [("out", true), ("out/x/y", true), ("outer", false), ("a", false), ("a/b/c", true)]
        {
            assert_eq!(claims.cover(&path(text)), covered, "{text}");
        }
    }
}
