//! What one execution consumed and produced.

use std::collections::BTreeMap;

use crate::digest::Content;
use crate::plan::Fingerprint;
use crate::repo_path::RepoPath;

#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    pub fingerprint: Fingerprint,
    pub outs: BTreeMap<RepoPath, Content>,
    /// Someone said that the changes since these outs were made do not affect them, and why.
    pub accepted: Option<String>,
}
