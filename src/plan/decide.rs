//! Decides what to do about one stage: nothing, restore its outs, or run it.
//!
//! Mechanism: [`decide`] takes the [`Facts`] observed about a stage and compares them with up to
//! two candidates, the lock's trace and the cache's trace for the present fingerprint.
//!
//! - A stage with neither a command nor an origin is a tracked input. The workspace is
//!   authoritative and the lock follows it; only a missing input can be restored, from the lock.
//! - A stage with an origin is like one with a command, but the origin may have other content
//!   today. So if the lock has a trace of this origin, its content is the only one that counts.
//! - A frozen stage never runs. It is up to date if its outs match a candidate, even one with
//!   another fingerprint; otherwise a candidate is restored.
//! - A forced stage or one declared `always` runs.
//! - Any other stage is up to date if its outs match a candidate with the present fingerprint. It
//!   is restored if the cache has all outs of one, and runs otherwise.
//!
//! Invariants: the lock's trace comes before the cache's, since a user who checks out an older lock
//! wants the outs that it names. `Restore`, `Run` and `Blocked` always have at least one reason.
//!
//! Known limits: a decision holds for the moment of the observation. Whoever acts on it must notice
//! later changes. Of two traces with equal fingerprints but different outs (a stage that is not
//! deterministic), the cache offers one.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::pipeline::Policy;
use crate::plan::{Change, Fingerprint, OutContents, Trace};
use crate::repo_path::RepoPath;

/// The observations about a stage that the decision is based on.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The fingerprint that a run would have now.
    pub fingerprint: Fingerprint,
    /// The lock's trace: the expected state of the workspace.
    pub locked: Option<Candidate>,
    /// The reason to run the stage if the lock has no trace of it.
    pub unlocked: Change,
    /// The cache's trace for this fingerprint.
    pub cached: Option<Candidate>,
    /// The present contents at its out paths.
    pub outs: OutContents,
    /// The outs that may be absent.
    pub optional: BTreeSet<RepoPath>,
    pub policy: Policy,
}

/// A trace whose outs may be valid, and whether they can be restored.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub trace: Trace,
    /// The obstacle to restoring the outs that differ; `None` if they can be restored.
    pub blocker: Option<RestoreBlocker>,
}

/// The reason that the outs of a trace cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreBlocker {
    /// The cache lacks this object.
    Object(Digest),
    /// An out is declared with `cache = false`, or no longer declared.
    NotCached,
    /// A required out was not written.
    NotWritten,
}

/// The user's request to run a stage even if it is up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// The action for a stage, with the reasons.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The stage is up to date.
    Fresh(Trace),
    /// Restore the outs of an earlier execution. The changes are those since the lock.
    Restore(Trace, Vec<Change>),
    /// Run the command, or for a tracked input update the lock.
    Run(Vec<Change>),
    /// A frozen stage or a tracked input whose outs can neither be computed nor restored.
    Blocked(Vec<Change>),
}

impl Decision {
    /// Returns the reasons; none for a stage that is up to date.
    pub fn changes(&self) -> &[Change] {
        match self {
            Decision::Fresh(_) => &[],
            Decision::Restore(_, changes) | Decision::Run(changes) | Decision::Blocked(changes) => {
                changes
            }
        }
    }
}

/// Decides about one stage; see the module documentation for the rules.
pub fn decide(facts: &Facts, force: Force) -> Decision {
    if facts.fingerprint.is_of_tracked_input() {
        return decide_tracked(facts);
    }
    if facts.policy == Policy::Frozen {
        return decide_frozen(facts);
    }
    if force == Force::Yes {
        return Decision::Run(vec![Change::Forced]);
    }
    if facts.policy == Policy::Always {
        return Decision::Run(vec![Change::Always]);
    }
    let changes = match &facts.locked {
        None => vec![facts.unlocked.clone()],
        Some(locked) => facts.fingerprint.changes_since(&locked.trace.fingerprint),
    };
    // With another fingerprint the lock only explains the changes. Its outs were computed from
    // other inputs, so they are not an answer for the present ones.
    let locked = facts.locked.as_ref().filter(|_| changes.is_empty());
    // An origin may have other content today, so the lock pins the content.
    let is_pinned = facts.fingerprint.origin.is_some() && locked.is_some();
    let cached = facts.cached.as_ref().filter(|_| !is_pinned);
    let candidates: Vec<&Candidate> = locked.into_iter().chain(cached).collect();
    let mut changes = changes;
    for Candidate { trace, blocker } in &candidates {
        let differing = out_changes(trace, facts);
        if differing.is_empty() {
            return Decision::Fresh(trace.clone());
        }
        // If anything changed since the lock, differing outs come from another trace and not from
        // an edit, so they are not a reason.
        if changes.is_empty() {
            changes = differing;
        }
        if blocker.is_none() {
            return Decision::Restore(trace.clone(), changes);
        }
    }
    // Neither the declaration nor the workspace shows that an object is missing. Without this
    // reason a user would wonder why a known result is computed again.
    if let Some(RestoreBlocker::Object(digest)) =
        candidates.last().and_then(|candidate| candidate.blocker)
    {
        changes.push(Change::ObjectGone { digest });
    }
    Decision::Run(changes)
}

/// Decides about a tracked input: the workspace is authoritative, and the lock follows it.
fn decide_tracked(facts: &Facts) -> Decision {
    let missing = facts.outs.iter().filter(|(_, found)| found.is_none());
    let missing: Vec<Change> =
        missing.map(|(path, _)| Change::OutMissing { path: path.clone() }).collect();
    let Some(Candidate { trace, blocker }) = &facts.locked else {
        return if missing.is_empty() {
            Decision::Run(vec![facts.unlocked.clone()])
        } else {
            Decision::Blocked(missing)
        };
    };
    let mut changes = facts.fingerprint.changes_since(&trace.fingerprint);
    let edited = trace.outs.iter().filter(|(path, content)| {
        facts.outs.get(*path).copied().flatten().is_some_and(|found| found != **content)
    });
    changes.extend(edited.map(|(path, _)| Change::InputChanged { path: path.clone() }));
    match (missing.is_empty(), changes.is_empty()) {
        (true, true) => Decision::Fresh(trace.clone()),
        (true, false) => Decision::Run(changes),
        (false, true) if blocker.is_none() => Decision::Restore(trace.clone(), missing),
        (false, _) => Decision::Blocked(missing),
    }
}

/// Decides about a frozen stage: the lock's trace is valid whatever has changed since.
fn decide_frozen(facts: &Facts) -> Decision {
    let candidates: Vec<&Candidate> = facts.locked.iter().chain(&facts.cached).collect();
    let mut missing = Vec::new();
    for Candidate { trace, blocker } in candidates {
        missing = out_changes(trace, facts);
        if missing.is_empty() {
            return Decision::Fresh(trace.clone());
        }
        if blocker.is_none() {
            return Decision::Restore(trace.clone(), missing);
        }
    }
    Decision::Blocked(if missing.is_empty() { vec![facts.unlocked.clone()] } else { missing })
}

/// Lists the outs that differ from the trace.
fn out_changes(trace: &Trace, facts: &Facts) -> Vec<Change> {
    let mut changes = Vec::new();
    // Outs that were declared after the trace was made are not in it. They are part of the
    // fingerprint, so only a frozen stage gets here with such a trace.
    for (path, expected) in trace.out_contents() {
        match (expected, facts.outs.get(&path).copied().flatten()) {
            // The out was optional when it was left out, but is required now.
            (None, None) if facts.outs.contains_key(&path) && !facts.optional.contains(&path) => {
                changes.push(Change::OutMissing { path });
            }
            (expected, found) if expected == found => {}
            (Some(_), None) => changes.push(Change::OutMissing { path }),
            (_, Some(_)) | (None, None) => changes.push(Change::OutEdited { path }),
        }
    }
    changes
}
