//! Outs of which something is missing, for messages.

use std::collections::HashSet;

use super::reach::{Depth, reach};
use super::select::Chosen;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::Result;
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;

/// An out with missing objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub stage: StageName,
    pub path: RepoPath,
    /// Number of missing objects.
    pub objects: usize,
    /// Number of objects that the out is known to consist of.
    pub of: usize,
}

impl Missing {
    /// Returns the outs that lack some of the objects in `lacking`.
    ///
    /// # Errors
    /// A tree is not possible.
    pub(super) fn of(
        cache: &Cache,
        outs: &[Chosen],
        lacking: &HashSet<Digest>,
    ) -> Result<Vec<Missing>> {
        let mut missing = Vec::new();
        if lacking.is_empty() {
            return Ok(missing);
        }
        for Chosen { stage, path, content } in outs {
            let reached = reach(cache, [*content], Depth::Everything, |_| Ok(()))?;
            let of = reached.digests().count();
            let objects = reached.digests().filter(|digest| lacking.contains(digest)).count();
            if objects > 0 {
                let (stage, path) = (stage.clone(), path.clone());
                missing.push(Missing { stage, path, objects, of });
            }
        }
        Ok(missing)
    }
}
