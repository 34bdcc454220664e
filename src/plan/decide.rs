//! The decision about one stage. Everything it needs is in [`Facts`].

use std::collections::BTreeMap;

use crate::digest::Content;
use crate::plan::{Change, Fingerprint, Trace};
use crate::repo_path::RepoPath;

/// What was observed about a stage.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What would determine its outs if it ran now.
    pub fingerprint: Fingerprint,
    /// The lock's trace of it: what is thought to lie in the workspace.
    pub locked: Option<Trace>,
    /// The cache's trace for this very fingerprint.
    pub cached: Option<Cached>,
    /// What lies at its out paths.
    pub outs: BTreeMap<RepoPath, Option<Content>>,
}

/// What the cache knows of a fingerprint.
#[derive(Debug, Clone)]
pub enum Cached {
    /// Every object of the outs is there.
    Whole(Trace),
    /// The outs are known, but not all of their objects are there.
    Lacking(Trace, crate::digest::Digest),
}

impl Cached {
    fn trace(&self) -> &Trace {
        match self {
            Cached::Whole(trace) | Cached::Lacking(trace, _) => trace,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The workspace holds what the fingerprint stands for.
    Fresh(Trace),
    /// It was computed before: bring the outs back. The changes are those since the lock.
    Restore(Trace, Vec<Change>),
    Run(Vec<Change>),
}

/// Fresh if a trace of this fingerprint is known and its outs lie there; else restored if the cache has them
/// all; else run, for the reasons given (never none).
pub fn decide(facts: &Facts, force: Force) -> Decision {
    if force == Force::Yes {
        return Decision::Run(vec![Change::Forced]);
    }
    let mut changes = match &facts.locked {
        None => vec![Change::NeverRan],
        Some(locked) => facts.fingerprint.changes_since(&locked.fingerprint),
    };
    let known = match (&facts.locked, &facts.cached) {
        (Some(locked), _) if changes.is_empty() => Some(locked),
        (_, Some(cached)) => Some(cached.trace()),
        _ => None,
    };
    let Some(known) = known else {
        return Decision::Run(changes);
    };
    let differing = out_changes(&known.outs, &facts.outs);
    if differing.is_empty() {
        return Decision::Fresh(known.clone());
    }
    // An out that another trace put there was not edited by anyone: the changes since the lock say it all.
    if changes.is_empty() {
        changes = differing;
    }
    match &facts.cached {
        Some(Cached::Whole(trace)) => Decision::Restore(trace.clone(), changes),
        Some(Cached::Lacking(_, digest)) => {
            changes.push(Change::ObjectGone { digest: *digest });
            Decision::Run(changes)
        }
        None => Decision::Run(changes),
    }
}

fn out_changes(
    expected: &BTreeMap<RepoPath, Content>,
    found: &BTreeMap<RepoPath, Option<Content>>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, content) in expected {
        match found.get(path).copied().flatten() {
            None => changes.push(Change::OutMissing { path: path.clone() }),
            Some(other) if other != *content => changes.push(Change::OutEdited { path: path.clone() }),
            Some(_) => {}
        }
    }
    changes
}
