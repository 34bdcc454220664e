//! Where a content was made and used: the stages that wrote it and those that read it, over runs.
//!
//! Outs are recorded in the store. Deps are in the lock that each run keeps, so only runs that kept
//! theirs are searched, the latest first.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::digest::Digest;
use crate::error::Result;
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::runs::{Store, lock_naming};

/// Greatest number of runs whose locks are searched.
const MOST_LOCKS: usize = 200;

/// The uses of a content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsesReport {
    pub digest: Digest,
    pub made: Vec<Use>,
    pub used: Vec<Use>,
    /// Number of runs whose locks were searched for deps.
    pub searched: usize,
    /// Number of runs that were not searched: they kept no lock, or there are too many.
    pub unsearched: usize,
}

/// A stage that wrote or read a content at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Use {
    pub stage: StageName,
    pub path: String,
    /// The first and the last run.
    pub first: RunName,
    pub last: RunName,
    pub runs: usize,
}

/// Uses by stage and path.
#[derive(Default)]
struct Uses(BTreeMap<(StageName, String), Use>);

impl Uses {
    fn add(&mut self, stage: StageName, path: String, run: RunName) {
        let key = (stage.clone(), path.clone());
        let new = Use { stage, path, first: run, last: run, runs: 0 };
        let one = self.0.entry(key).or_insert(new);
        (one.first, one.last) = (one.first.min(run), one.last.max(run));
        one.runs += 1;
    }

    fn latest_first(self) -> Vec<Use> {
        let mut uses: Vec<Use> = self.0.into_values().collect();
        uses.sort_by_key(|one| std::cmp::Reverse(one.last));
        uses
    }
}

impl UsesReport {
    /// # Errors
    /// The store cannot be read.
    pub fn read(store: &Store, history: &Path, digest: Digest) -> Result<UsesReport> {
        let (mut made, mut used) = (Uses::default(), Uses::default());
        for (run, artifact) in store.artifacts_with(&digest)? {
            made.add(artifact.stage, artifact.path, run);
        }
        let runs = store.names(usize::MAX)?;
        let mut searched = 0;
        for run in runs.iter().take(MOST_LOCKS) {
            // A lock that cannot be read names nothing.
            let Ok(Some(found)) = lock_naming(history, *run, &digest) else { continue };
            searched += 1;
            for (stage, path) in found {
                used.add(stage, path.to_string(), *run);
            }
        }
        let unsearched = runs.len() - searched;
        let (made, used) = (made.latest_first(), used.latest_first());
        Ok(UsesReport { digest, made, used, searched, unsearched })
    }
}
