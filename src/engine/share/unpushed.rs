//! Finds the objects of locks that a remote lacks.

use std::collections::HashSet;

use super::missing::Missing;
use super::reach::{Depth, Reach, reach};
use super::round::Round;
use super::select::Selection;
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::error::Result;
use crate::plan::Lock;
use crate::remote::{Amount, Remote};

/// The objects of some locks that a remote lacks.
#[derive(Debug, Default)]
pub struct Unpushed {
    /// In the cache, so that a push sends them.
    pub objects: HashSet<Digest>,
    pub amount: Amount,
}

/// Finds the objects of the outs in `locks` that a push would send. The remote must have been
/// refreshed.
///
/// # Errors
/// A tree in the cache is not possible.
pub fn unpushed(project: &Project, remote: &Remote, locks: &[&Lock]) -> Result<Unpushed> {
    let selection = Selection::of_locks(project, locks, &[])?;
    let contents: HashSet<Content> = selection.outs.iter().map(|out| out.content).collect();
    let round = lacking(project, remote, contents)?;
    let objects = round.outgoing.iter().map(|object| object.digest).collect();
    Ok(Unpushed { objects, amount: round.amount() })
}

/// Returns the outs of `lock` with objects that are neither in the cache nor on the remote. Those
/// that a lock in `before` has as well are left out.
///
/// # Errors
/// A tree in the cache is not possible.
pub fn lost(
    project: &Project,
    remote: &Remote,
    lock: &Lock,
    before: &[Lock],
) -> Result<Vec<Missing>> {
    let traces = before.iter().flat_map(|lock| lock.stages.values());
    let known: HashSet<&Content> = traces.flat_map(|trace| trace.outs.values()).collect();
    let mut outs = Selection::of_locks(project, &[lock], &[])?.outs;
    outs.retain(|out| !known.contains(&out.content));
    let round = lacking(project, remote, outs.iter().map(|out| out.content).collect())?;
    Missing::of(&project.cache, &outs, &round.absent, remote.catalog())
}

fn lacking(project: &Project, remote: &Remote, contents: HashSet<Content>) -> Result<Round> {
    let reached = reach(&project.cache, contents, Depth::Everything, |_| Ok(()))?;
    Ok(Round::of(project, remote.catalog(), &reached, &Reach::default(), Vec::new()))
}
