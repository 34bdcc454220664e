//! Outs that are incomplete, for messages.

use std::collections::HashSet;

use super::reach::{Depth, reach};
use super::select::Chosen;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::Result;
use crate::pipeline::StageName;
use crate::remote::Catalog;
use crate::repo_path::RepoPath;

/// An out of which the cache lacks objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub stage: StageName,
    pub path: RepoPath,
    /// Number of objects that it lacks.
    pub objects: usize,
    /// Number of these that the remote has, so that only a failure or an interruption kept them.
    pub on_remote: usize,
    /// Number of objects that the out is known to consist of.
    pub of: usize,
}

impl Missing {
    /// Returns the outs that lack some of the objects in `lacking`. A remote may have some of them.
    ///
    /// # Errors
    /// A tree is not possible.
    pub(super) fn of(
        cache: &Cache,
        outs: &[Chosen],
        lacking: &HashSet<Digest>,
        catalog: &Catalog,
    ) -> Result<Vec<Missing>> {
        let mut missing = Vec::new();
        if lacking.is_empty() {
            return Ok(missing);
        }
        for Chosen { stage, path, content } in outs {
            let reached = reach(cache, [*content], Depth::Everything, |_| Ok(()))?;
            let of = reached.digests().count();
            let lacks = reached.digests().filter(|digest| lacking.contains(digest));
            let lacks: Vec<&Digest> = lacks.collect();
            let objects = lacks.len();
            if objects > 0 {
                let on_remote = lacks.into_iter().filter(|digest| catalog.has(digest)).count();
                let (stage, path) = (stage.clone(), path.clone());
                missing.push(Missing { stage, path, objects, on_remote, of });
            }
        }
        Ok(missing)
    }
}
