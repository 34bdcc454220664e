//! The remotes that `repro run` and `repro sweep` ask before a stage runs.

use std::sync::Arc;

use crate::engine::Project;
use crate::engine::run::{NoSupply, Supply};

/// Variable that keeps all runs from asking remotes.
const NO_REMOTE: &str = "REPRO_NO_REMOTE";

/// Permission to ask remotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remotes {
    Asked,
    Off,
}

impl Remotes {
    /// Returns the choice on the command line or in the environment.
    pub(super) fn of(no_remote: bool) -> Remotes {
        let is_set = std::env::var_os(NO_REMOTE).is_some_and(|value| !value.is_empty());
        if no_remote || is_set { Remotes::Off } else { Remotes::Asked }
    }
}

/// Returns what the runs of a project are supplied from.
pub(super) fn supply(project: &Project, remotes: Remotes) -> Arc<dyn Supply> {
    match remotes {
        #[cfg(feature = "remote")]
        Remotes::Asked => crate::engine::share::auto::supply(project),
        _ => none(project),
    }
}

fn none(_: &Project) -> Arc<dyn Supply> {
    Arc::new(NoSupply)
}
