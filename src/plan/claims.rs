//! Claims: paths whose content stages made, or that something else is known to own.
//!
//! The state file with the outs of unfinished stages holds claims as lines, one JSON string each. A
//! line that was cut off by a crash is not a string and claims nothing.

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

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the claims without those of `paths`.
    pub fn without(&self, paths: &BTreeSet<&RepoPath>) -> Claims {
        self.0.iter().filter(|path| !paths.contains(path)).cloned().collect()
    }

    pub fn encode(&self) -> String {
        self.0.iter().map(|path| format!("{}\n", serde_json::json!(path.as_str()))).collect()
    }

    pub fn decode(text: &str) -> Claims {
        let paths = text.lines().filter_map(|line| serde_json::from_str::<String>(line).ok());
        paths.filter_map(|path| RepoPath::parse_canonical(&path)).collect()
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
        assert_eq!(claims.without(&[&path("out")].into()), [path("a/b")].into_iter().collect());
    }

    #[test]
    fn cut_line_claims_nothing() {
        let claims: Claims = [path("a \"b\""), path("models/old")].into_iter().collect();
        let text = claims.encode();
        assert_eq!(text, "\"a \\\"b\\\"\"\n\"models/old\"\n");
        assert_eq!(Claims::decode(&text), claims);
        for length in text.len() - 7..text.len() - 1 {
            assert_eq!(Claims::decode(&text[..length]), [path("a \"b\"")].into_iter().collect());
        }
        assert!(Claims::decode("\n\"../x\"\nx\n").is_empty());
    }
}
