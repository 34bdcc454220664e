//! The inputs and outs of one execution of a stage.

use std::collections::BTreeMap;

use crate::digest::Content;
use crate::plan::{Fingerprint, SourceVersion};
use crate::repo_path::RepoPath;

/// Contents by path, present or expected; `None` where the path is absent.
pub type OutContents = BTreeMap<RepoPath, Option<Content>>;

/// A record of one execution: its fingerprint and the contents of its outs.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub fingerprint: Fingerprint,
    /// The outs that were written. A declared out missing here was optional and absent.
    pub outs: BTreeMap<RepoPath, Content>,
    /// The reason a user gave for accepting the outs although inputs have changed since.
    pub accepted: Option<String>,
    /// The version of the origin that the outs came from, for a stage that has one.
    pub version: Option<SourceVersion>,
}

impl Trace {
    /// Returns the content of each declared out after the execution.
    pub fn out_contents(&self) -> OutContents {
        self.fingerprint
            .outs
            .iter()
            .map(|path| (path.clone(), self.outs.get(path).copied()))
            .collect()
    }
}
