//! `repro gc --remote`: keeps on a remote what the lock, git revisions and the runs there refer to,
//! and what was pushed lately.

use std::collections::HashSet;
use std::time::Duration;

use super::exchange::Exchange;
use super::push::kept_outs;
use super::reach::{Depth, Reach, reach};
use crate::digest::{Content, Digest};
use crate::engine::Project;
use crate::engine::upkeep::revisions::{self, Revisions};
use crate::engine::upkeep::roots::ProjectRoots;
use crate::error::{Error, Result};
use crate::plan::Lock;
use crate::remote::{Kept, Meter, PrunePlan, Remote, seconds_ago};
use crate::workspace::run_lock::RunLock;

/// Time for which everything on a remote is kept by default.
pub const GRACE: Duration = Duration::from_secs(14 * 86_400);

/// The kept and the unreferenced parts of a remote.
#[derive(Debug)]
pub struct RemoteGc {
    pub plan: PrunePlan,
    /// Number of git revisions and of runs that count as roots.
    pub revisions: usize,
    pub runs: usize,
}

/// Finds what is kept and what is not. Fetches folders that are not in the cache, since they say
/// what is kept; deletes nothing. The remote must have been refreshed.
///
/// # Errors
/// A folder on the remote cannot be read: then it is unknown what it keeps.
pub fn plan(
    project: &Project,
    _held: &RunLock,
    remote: &Remote,
    revisions: &[Revisions],
    grace: Duration,
) -> Result<RemoteGc> {
    let found = match revisions {
        [] => revisions::Locks::default(),
        revisions => revisions::locks(&project.root, revisions)?,
    };
    let since = seconds_ago(grace.as_secs());
    let own = remote.own_roots(since);
    let locks: Vec<&Lock> = std::iter::once(&project.lock).chain(&found.locks).collect();
    let roots = ProjectRoots::of(project);
    let traces = || locks.iter().flat_map(|lock| lock.stages.values());
    let mut contents: HashSet<Content> =
        traces().flat_map(|trace| kept_outs(&roots, trace)).collect();
    contents.extend(own.contents);
    let listings = traces().flat_map(|trace| trace.fingerprint.deps.values().copied());
    let mut kept: HashSet<Digest> = HashSet::new();
    kept.extend(walk(project, remote, contents, Depth::Everything)?.digests());
    kept.extend(walk(project, remote, listings.collect(), Depth::Listings)?.digests());
    let plan = remote.plan_prune(Kept { contents: &kept, since })?;
    project.cache.sync()?;
    Ok(RemoteGc { plan, revisions: found.revisions, runs: own.runs })
}

/// Deletes what a plan does not keep.
///
/// # Errors
/// The store cannot be written.
pub fn sweep(
    project: &Project,
    held: &RunLock,
    remote: &mut Remote,
    (revisions, grace): (&[Revisions], Duration),
    found: RemoteGc,
) -> Result<RemoteGc> {
    let RemoteGc { plan: first, revisions: count, runs } = found;
    let again =
        |remote: &mut Remote| plan(project, held, remote, revisions, grace).map(|found| found.plan);
    let plan = remote.prune(first, again)?;
    Ok(RemoteGc { plan, revisions: count, runs })
}

/// Returns the objects of contents, as far as the remote has their folders.
fn walk(
    project: &Project,
    remote: &Remote,
    contents: HashSet<Content>,
    depth: Depth,
) -> Result<Reach> {
    let meter = Meter::default();
    let reached = reach(&project.cache, contents, depth, |trees| {
        let fetched = remote.download(&trees, &Exchange(&project.cache), &meter);
        let mut errors = fetched.faults.into_iter().map(|(_, error)| error).chain(fetched.failed);
        match errors.next() {
            None => Ok(()),
            Some(error) => Err(unknown(error)),
        }
    })?;
    Ok(reached)
}

fn unknown(error: Error) -> Error {
    error.because("what that folder refers to is unknown, so nothing is deleted")
}
