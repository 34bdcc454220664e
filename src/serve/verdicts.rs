//! The verdicts of `repro status` on the workspace, for all who ask.
//!
//! One check runs at a time, and those who ask meanwhile get its result. A check costs a stat per
//! path: contents that have not changed are known from the stat index.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::engine::status::assess;
use crate::engine::{OnForeign, Project};
use crate::error::Result;
use crate::pipeline::{StageIx, StageSet};
use crate::report::status::StatusReport;

/// Age up to which a result is given again: several pages ask when something changes.
const RECENT: Duration = Duration::from_millis(300);

/// The project and its verdicts.
#[derive(Debug)]
pub(super) struct Assessed {
    pub(super) project: Project,
    pub(super) status: StatusReport,
}

/// The last result.
#[derive(Debug, Default)]
pub(super) struct Verdicts(Mutex<Option<(Instant, Arc<Assessed>)>>);

impl Verdicts {
    /// Returns the verdicts on the workspace as it is now.
    ///
    /// # Errors
    /// The pipeline is not valid.
    pub(super) fn present(&self, root: &Path) -> Result<Arc<Assessed>> {
        let mut last = self.lock();
        if let Some((at, known)) = &*last
            && at.elapsed() < RECENT
        {
            return Ok(Arc::clone(known));
        }
        let assessed = Arc::new(check(root)?);
        *last = Some((Instant::now(), Arc::clone(&assessed)));
        Ok(assessed)
    }

    /// Returns the last verdicts: a run in progress changes the workspace, so that a check would
    /// read large files again and again.
    ///
    /// # Errors
    /// None are known, and the pipeline is not valid.
    pub(super) fn known_or_present(&self, root: &Path) -> Result<Arc<Assessed>> {
        let known = self.lock().as_ref().map(|(_, known)| Arc::clone(known));
        known.map_or_else(|| self.present(root), Ok)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Arc<Assessed>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(root: &Path) -> Result<Assessed> {
    let project = Project::load(root, &[])?;
    let count = project.pipeline.stages.len();
    let all = StageSet::of(count, StageIx::all(count));
    let verdicts = assess(&project, &all, &StageSet::none(count), OnForeign::Refuse);
    // Errors are ignored: a read-only checkout has a status too, only the index is not kept.
    let _ = project.workspace.save_index();
    let status = StatusReport::new(&project, verdicts);
    Ok(Assessed { project, status })
}
