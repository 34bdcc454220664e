//! Compares the outs of the lock with a remote: what was not pushed, and what was not fetched.

use std::collections::{BTreeMap, HashSet};

use super::reach::{Depth, reach};
use super::select::{Extent, Name, select};
use crate::digest::Digest;
use crate::engine::Project;
use crate::error::Result;
use crate::pipeline::StageName;
use crate::remote::{Amount, Remote};

/// The objects of a stage's outs that are not everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Number of objects that the outs are known to consist of.
    pub of: usize,
    /// In the cache and not on the remote.
    pub unpushed: Amount,
    /// On the remote and not in the cache.
    pub unfetched: Amount,
    /// A folder is not in the cache, so there may be more objects that were not fetched.
    pub is_incomplete: bool,
    /// Neither in the cache nor on the remote.
    pub missing: usize,
    /// The trace of the stage is not on the remote.
    pub is_trace_unpushed: bool,
}

impl Differences {
    /// Reports whether `repro push` would send something.
    pub fn is_unpushed(&self) -> bool {
        self.unpushed.objects > 0 || self.is_trace_unpushed
    }

    pub fn is_empty(&self) -> bool {
        !self.is_unpushed() && self.unfetched.objects == 0 && self.missing == 0
    }
}

/// Compares the selected outs of the lock with a remote, which must have been refreshed.
///
/// # Errors
/// The selection is not valid.
pub fn compare(
    project: &Project,
    remote: &Remote,
    names: &[Name],
) -> Result<BTreeMap<StageName, Differences>> {
    let (cache, catalog) = (&project.cache, remote.catalog());
    let selection = select(project, &Extent::Lock, names)?;
    let mut stages: BTreeMap<StageName, Differences> = BTreeMap::new();
    let mut seen: HashSet<(StageName, Digest)> = HashSet::new();
    for chosen in &selection.outs {
        let reached = reach(cache, [chosen.content], Depth::Everything, |_| Ok(()))?;
        let digests: Vec<Digest> = reached.digests().copied().collect();
        let absent = cache.missing(digests.clone());
        let found = stages.entry(chosen.stage.clone()).or_default();
        found.is_incomplete |= reached.absent.iter().any(|tree| catalog.has(tree));
        for digest in digests {
            if !seen.insert((chosen.stage.clone(), digest)) {
                continue;
            }
            found.of += 1;
            match (absent.contains(&digest), catalog.bytes(&digest)) {
                (false, Some(_)) => {}
                (false, None) => {
                    let bytes = cache.size(&digest).unwrap_or_default();
                    found.unpushed += Amount { objects: 1, bytes };
                }
                (true, Some(bytes)) => found.unfetched += Amount { objects: 1, bytes },
                (true, None) => found.missing += 1,
            }
        }
    }
    for (stage, trace) in &project.lock.stages {
        if let Some(found) = stages.get_mut(stage) {
            found.is_trace_unpushed = catalog.trace(&trace.fingerprint.key()).is_none();
        }
    }
    Ok(stages)
}
