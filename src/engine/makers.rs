//! Facts about who made the files at outs, each read when it is first needed.

use std::sync::OnceLock;

use crate::plan::Claims;
use crate::plan::unfinished::Unfinished;

/// Who made the files at outs, as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Makers {
    /// The outs that the lock names.
    pub locked: OnceLock<Claims>,
    /// The outs of stages that had not finished when this was first read.
    pub started: OnceLock<Unfinished>,
    /// The files that git tracks.
    pub in_git: OnceLock<Claims>,
}
