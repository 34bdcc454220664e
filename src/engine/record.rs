//! Records a finished stage: stores its outs, the listings of its deps and its trace, in this
//! order. The outs are in the workspace already, whether a command or a user made them.

use std::collections::BTreeMap;

use super::observe::Observation;
use super::{Project, commit};
use crate::error::Result;
use crate::pipeline::{Cached, Out, Stage};
use crate::plan::Trace;
use crate::workspace::Observed;

/// Stores `outs`, and pairs them with the observed fingerprint in a trace.
///
/// `accepted` is the reason of a user who accepted the outs as correct.
pub(super) fn record(
    project: &Project,
    stage: &Stage,
    observation: &Observation,
    outs: &[(&Out, &Observed)],
    accepted: Option<String>,
) -> Result<Trace> {
    let kept = || outs.iter().filter(|(out, _)| out.cached == Cached::Yes);
    for (out, found) in kept() {
        commit::store(project, &out.path, found)?;
    }
    // A tracked input stays a file of its own, which people can edit.
    if stage.cmd.is_some() && project.links.prefer_shared() {
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
    let trace = Trace { fingerprint, outs, accepted };
    // A tracked input has no trace in the cache, since its fingerprint does not determine its
    // content.
    if stage.cmd.is_some() {
        project.cache.put_trace(&trace)?;
    }
    Ok(trace)
}
