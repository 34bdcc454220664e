//! Results of other machines: before a stage runs, a supply is asked for the outs of its
//! fingerprint. What it brings enters the cache, and the stage is decided again.
//!
//! Only `repro run` and sweeps ask; `status`, `why` and `run --plan` show what the cache has. A
//! stage that is up to date, forced or declared `always` asks for nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use crate::digest::{Content, Digest};
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::{Observation, checked, observe_state};
use crate::engine::{OnForeign, Project};
use crate::error::Result;
use crate::event::Millis;
use crate::pipeline::{Cached, Policy, StageIx};
use crate::plan::{Change, Decision, Force};

/// Brings objects and traces of other machines into the cache. The engine does not know how.
/// Several threads call it at once.
///
/// The functions do not fail. A store that cannot be reached is left out for the rest of the run,
/// with one warning.
pub trait Supply: fmt::Debug + Send + Sync {
    /// Brings the objects of which `wanted` consist, as far as the cache lacks them. Returns the
    /// name of where they are from, or `None` if the cache still lacks some.
    fn objects(
        &self,
        project: &Project,
        wanted: &[Content],
        progress: Progress<'_>,
    ) -> Option<String>;

    /// Brings the traces with these keys, each after all objects of its outs. Returns the keys of
    /// those that it brought, with the name of where they are from.
    fn traces(
        &self,
        project: &Project,
        keys: &[Digest],
        progress: Progress<'_>,
    ) -> BTreeMap<Digest, String>;

    /// Returns what the user has to know and was not returned before.
    fn warnings(&self) -> Vec<String>;

    /// Ends what is being brought.
    fn stop(&self);
}

/// Receives the number of objects that have arrived and of those that are expected; called first
/// before anything arrives, and not at all if nothing is to be brought.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Brings nothing.
#[derive(Debug)]
pub struct NoSupply;

impl Supply for NoSupply {
    fn objects(&self, _: &Project, _: &[Content], _: Progress<'_>) -> Option<String> {
        None
    }

    fn traces(&self, _: &Project, _: &[Digest], _: Progress<'_>) -> BTreeMap<Digest, String> {
        BTreeMap::new()
    }

    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    fn stop(&self) {}
}

/// Result of asking the supply.
#[derive(Debug, Default)]
pub(super) struct Supplied {
    /// Name of where the outs are from.
    pub from: Option<String>,
    /// Time that it took.
    pub took: Millis,
    pub warnings: Vec<String>,
}

/// Observes a stage like [`observe`](crate::engine::observe::observe), and again after the supply
/// has brought its outs. `progress` is called with the first observation meanwhile.
pub(super) fn observe_supplied(
    project: &Project,
    ix: StageIx,
    force: Force,
    on_foreign: OnForeign,
    supply: &dyn Supply,
    progress: &(dyn Fn(&Observation, u64, u64) + Sync),
) -> (Result<Observation>, Supplied) {
    let mut supplied = Supplied::default();
    let observed = observe_state(project, ix, force, &Predicted::new()).and_then(|first| {
        if !may_ask(project, ix, force, &first) {
            return Ok(first);
        }
        let began = Instant::now();
        let report = |done, total| progress(&first, done, total);
        supplied.from = ask(project, ix, &first, supply, &report);
        supplied.took = began.elapsed().into();
        supplied.warnings = supply.warnings();
        match supplied.from {
            None => Ok(first),
            Some(_) => observe_state(project, ix, force, &Predicted::new()),
        }
    });
    let observed = observed.and_then(|observed| checked(project, ix, on_foreign, observed));
    (observed, supplied)
}

/// Returns the reasons of a stage whose missing objects are being brought.
pub(super) fn reasons_to_restore(decision: &Decision) -> Vec<Change> {
    let changes = decision.changes().iter();
    changes.filter(|change| !matches!(change, Change::ObjectGone { .. })).cloned().collect()
}

fn may_ask(project: &Project, ix: StageIx, force: Force, observation: &Observation) -> bool {
    let stage = &project.pipeline.stages[ix];
    match observation.decision {
        Decision::Fresh(_) | Decision::Restore(..) => false,
        Decision::Blocked(_) => true,
        // The new content of a tracked input is in the workspace.
        Decision::Run(_) => {
            !stage.is_tracked_input() && force == Force::No && stage.policy != Policy::Always
        }
    }
}

/// Asks for the outs that the lock names, then for those of the local trace, then for a trace.
fn ask(
    project: &Project,
    ix: StageIx,
    observation: &Observation,
    supply: &dyn Supply,
    progress: Progress<'_>,
) -> Option<String> {
    let stage = &project.pipeline.stages[ix];
    let key = observation.fingerprint.key();
    let locked = project.lock.stages.get(&stage.name).filter(|trace| {
        // A tracked input and a frozen stage are restored whatever has changed.
        stage.is_tracked_input()
            || stage.policy == Policy::Frozen
            || trace.fingerprint == observation.fingerprint
    });
    // Elsewhere, the origin may have had other content.
    let is_pinned = stage.origin.is_some() && locked.is_some();
    let known = locked.cloned().into_iter().chain(project.cache.trace(&key).filter(|_| !is_pinned));
    for trace in known {
        let kept = stage.outs.iter().filter(|out| out.cached == Cached::Yes);
        let outs: Vec<Content> =
            kept.filter_map(|out| trace.outs.get(&out.path).copied()).collect();
        if let Some(from) = supply.objects(project, &outs, progress) {
            return Some(from);
        }
    }
    if stage.is_tracked_input() || is_pinned {
        return None;
    }
    supply.traces(project, &[key], progress).remove(&key)
}
