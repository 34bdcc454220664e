//! Stamps of the deps of a stage that is about to run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::repo_path::RepoPath;
use crate::workspace::Stamp;

/// Stamp of each dep, taken just before the stage runs.
#[derive(Debug, Default)]
pub struct DepStamps {
    pub(super) by_dep: BTreeMap<RepoPath, Stamp>,
    /// Duration of taking them, without waits.
    pub took: Duration,
}
