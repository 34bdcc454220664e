//! Records a finished stage: stores its outs, the listings of its deps and its trace, in this
//! order. The outs are in the workspace already, whether a command or a user made them.

use std::collections::BTreeMap;

use super::observe::Observation;
use super::{Project, commit};
use crate::error::Result;
use crate::pipeline::{Cached, Out, Stage};
use crate::plan::{SourceVersion, Trace};
use crate::workspace::Observed;

/// Facts about how the outs were made, apart from the fingerprint.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// The reason of a user who accepted the outs as correct.
    pub accepted: Option<String>,
    /// The version of the origin that was fetched.
    pub version: Option<SourceVersion>,
}

/// Stores `outs`, and pairs them with the observed fingerprint in a trace.
///
pub(super) fn record(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
    outs: &[(&Out, &Observed)],
    Made { accepted, version }: Made,
) -> Result<Trace> {
    let kept = || outs.iter().filter(|(out, _)| out.cached == Cached::Yes);
    for (out, found) in kept() {
        commit::store(project, &out.path, found)?;
    }
    // A tracked input stays a file of its own, which people can edit.
    if !stage.is_tracked_input() && project.links.prefer_shared() {
        for (out, found) in kept() {
            commit::relink(project, &out.path, found, project.links.kinds())?;
        }
    }
    for dep in observation.deps.values() {
        commit::store_listing(project, dep)?;
    }
    let fingerprint = observation.fingerprint.clone();
    let outs: BTreeMap<_, _> =
        outs.iter().map(|(out, found)| (out.path.clone(), found.content())).collect();
    let trace = Trace { fingerprint, outs, accepted, version };
    // A tracked input has no trace in the cache, since its fingerprint does not determine its
    // content.
    if !stage.is_tracked_input() {
        project.cache.put_trace(&trace)?;
    }
    Ok(trace)
}
