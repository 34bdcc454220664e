//! Finds the outs of a run that its records lack: those of stages that were up to date.

use std::collections::BTreeSet;
use std::path::Path;

use crate::error::Result;
use crate::pipeline::StageName;
use crate::runs::{Artifact, Origin, Run, lock_after};

/// Returns the outs of stages that `run` did not record, as its lock names them; `None` if the lock
/// was not kept.
///
/// # Errors
/// The lock cannot be read.
pub(super) fn outs_from_lock(history: &Path, run: &Run) -> Result<Option<Vec<Artifact>>> {
    let recorded: BTreeSet<&StageName> = run.stages.iter().map(|record| &record.stage).collect();
    let Some(lock) = lock_after(history, run.name)? else { return Ok(None) };
    let others = lock.stages.into_iter().filter(|(stage, _)| !recorded.contains(stage));
    let artifacts = others.flat_map(|(stage, trace)| {
        trace.outs.into_iter().map(move |(path, content)| Artifact {
            stage: stage.clone(),
            path: path.to_string(),
            content: Some((content.kind().to_owned(), content.digest().to_string())),
            origin: Origin::Out,
        })
    });
    Ok(Some(artifacts.collect()))
}
