//! Results of other machines: before a stage runs, a supply is asked for the outs of its
//! fingerprint. What it brings enters the cache, and the stage is decided again.
//!
//! Only `repro run` and sweeps ask; `status`, `why` and `run --plan` show what the cache has. A
//! stage that is up to date, forced or declared `always` asks for nothing.

use std::collections::BTreeMap;
use std::fmt;

use crate::cache::Cache;
use crate::digest::{Content, Digest};
use crate::engine::observe::predict::Predicted;
use crate::engine::observe::{Observation, checked, observe_state};
use crate::engine::{OnForeign, Project};
use crate::error::Result;
use crate::pipeline::{Policy, StageIx};
use crate::plan::{Decision, Force};

/// Brings objects and traces of other machines into the cache. The engine does not know how. Called
/// by several threads at once.
///
/// Neither method brings anything once one of them has failed, so a run asks a store that cannot
/// be reached only once.
pub trait Supply: fmt::Debug + Send + Sync {
    /// Brings the objects of which `wanted` consist, as far as the cache lacks them. Returns the
    /// name of where they are from, or `None` if the cache still lacks some.
    ///
    /// # Errors
    /// The store cannot be reached, is too slow or is damaged. Each error is returned once.
    fn objects(&self, cache: &Cache, wanted: &[Content]) -> Result<Option<String>>;

    /// Brings the traces with these keys, each after all objects of its outs. Returns the keys of
    /// those that it brought, with the name of where they are from.
    ///
    /// # Errors
    /// The same as of [`Supply::objects`].
    fn traces(&self, cache: &Cache, keys: &[Digest]) -> Result<BTreeMap<Digest, String>>;
}

/// Brings nothing.
#[derive(Debug)]
pub struct NoSupply;

impl Supply for NoSupply {
    fn objects(&self, _: &Cache, _: &[Content]) -> Result<Option<String>> {
        Ok(None)
    }

    fn traces(&self, _: &Cache, _: &[Digest]) -> Result<BTreeMap<Digest, String>> {
        Ok(BTreeMap::new())
    }
}

/// Result of asking the supply.
#[derive(Debug, Default)]
pub(super) struct Supplied {
    /// Name of where the outs are from.
    pub from: Option<String>,
    /// The reason that nothing can be brought, for the user.
    pub warning: Option<String>,
}

/// Observes a stage like [`observe`](crate::engine::observe::observe), and again after the supply
/// has brought its outs.
pub(super) fn observe_supplied(
    project: &Project,
    ix: StageIx,
    force: Force,
    on_foreign: OnForeign,
    supply: &dyn Supply,
) -> (Result<Observation>, Supplied) {
    let mut supplied = Supplied::default();
    let observed = observe_state(project, ix, force, &Predicted::new()).and_then(|first| {
        if !may_ask(project, ix, force, &first) {
            return Ok(first);
        }
        match ask(project, ix, &first, supply) {
            Ok(None) => Ok(first),
            Ok(from) => {
                supplied.from = from;
                observe_state(project, ix, force, &Predicted::new())
            }
            Err(error) => {
                supplied.warning = Some(error.to_string());
                Ok(first)
            }
        }
    });
    let observed = observed.and_then(|observed| checked(project, ix, on_foreign, observed));
    (observed, supplied)
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
) -> Result<Option<String>> {
    let cache = &project.cache;
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
    let known = locked.cloned().into_iter().chain(cache.trace(&key).filter(|_| !is_pinned));
    for trace in known {
        let outs: Vec<Content> = trace.outs.values().copied().collect();
        if let Some(from) = supply.objects(cache, &outs)? {
            return Ok(Some(from));
        }
    }
    if stage.is_tracked_input() || is_pinned {
        return Ok(None);
    }
    Ok(supply.traces(cache, &[key])?.remove(&key))
}
