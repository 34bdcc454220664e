//! Facts about who made the files at outs, each read when it is first needed.

use std::sync::OnceLock;

use crate::plan::unfinished::Unfinished;
use crate::plan::{Claims, Lock};

/// The known makers of the files at outs.
#[derive(Debug, Default)]
pub(super) struct Makers {
    locked: OnceLock<Claims>,
    /// The outs of stages that had not finished when this was first read.
    pub started: OnceLock<Unfinished>,
    /// The files that git tracks.
    pub in_git: OnceLock<Claims>,
}

impl Makers {
    /// Returns the outs that the lock names.
    pub(super) fn locked(&self, lock: &Lock) -> &Claims {
        self.locked.get_or_init(|| Claims::of_lock(lock))
    }
}
