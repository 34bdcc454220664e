//! What one execution consumed and produced.

use std::collections::BTreeMap;

use crate::digest::Content;
use crate::plan::Fingerprint;
use crate::repo_path::RepoPath;

/// What lies at each of some paths, or will; `None` where nothing does.
pub type OutContents = BTreeMap<RepoPath, Option<Content>>;

#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub fingerprint: Fingerprint,
    /// What was written. A declared out that is not among them is optional, and nothing lay there.
    pub outs: BTreeMap<RepoPath, Content>,
    /// Someone said that the changes since these outs were made do not affect them, and why.
    pub accepted: Option<String>,
}

impl Trace {
    /// What lay at each declared out afterwards.
    pub fn out_contents(&self) -> OutContents {
        self.fingerprint
            .outs
            .iter()
            .map(|path| (path.clone(), self.outs.get(path).copied()))
            .collect()
    }
}
