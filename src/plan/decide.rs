//! The decision about one stage. Everything it needs is in [`Facts`].

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::pipeline::Policy;
use crate::plan::{Change, Fingerprint, OutContents, Trace};
use crate::repo_path::RepoPath;

/// What was observed about a stage.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What would determine its outs if it ran now.
    pub fingerprint: Fingerprint,
    /// The lock's trace of it: what is thought to lie in the workspace.
    pub locked: Option<Candidate>,
    /// The cache's trace for this very fingerprint.
    pub cached: Option<Candidate>,
    /// What lies at its out paths.
    pub outs: OutContents,
    /// Outs that it need not write.
    pub optional: BTreeSet<RepoPath>,
    pub policy: Policy,
}

/// A trace, and whether its outs can be had without running.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub trace: Trace,
    /// What keeps the outs that do not lie there already from being brought back.
    pub blocker: Option<RestoreBlocker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestoreBlocker {
    /// The cache does not have this object.
    Object(Digest),
    /// An out that is not to be kept in the cache.
    NotKept,
    /// An out that was not written, and may not be missing.
    NotWritten,
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
    /// It may not run, frozen or an input as it is, and its outs cannot be had otherwise.
    Blocked(Vec<Change>),
}

/// Fresh if a trace of this fingerprint is known and its outs lie there; else restored if the cache has them
/// all; else run, for the reasons given (never none). The lock's trace goes before another of the same fingerprint:
/// whoever checks an older lock out wants the outs that it names.
pub fn decide(facts: &Facts, force: Force) -> Decision {
    if facts.fingerprint.cmd.is_none() {
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
        None => vec![Change::NeverRan],
        Some(locked) => facts.fingerprint.changes_since(&locked.trace.fingerprint),
    };
    let locked = facts.locked.as_ref().filter(|_| changes.is_empty());
    let known: Vec<&Candidate> = locked.into_iter().chain(&facts.cached).collect();
    let mut changes = changes;
    for Candidate { trace, blocker } in &known {
        let differing = out_changes(trace, facts);
        if differing.is_empty() {
            return Decision::Fresh(trace.clone());
        }
        // An out that another trace put there was not edited by anyone: the changes since the lock say it all.
        if changes.is_empty() {
            changes = differing;
        }
        if blocker.is_none() {
            return Decision::Restore(trace.clone(), changes);
        }
    }
    if let Some(RestoreBlocker::Object(digest)) = known.last().and_then(|known| known.blocker) {
        changes.push(Change::ObjectGone { digest });
    }
    Decision::Run(changes)
}

/// An input that people make: what lies there counts, and the lock follows it.
fn decide_tracked(facts: &Facts) -> Decision {
    let missing = facts.outs.iter().filter(|(_, found)| found.is_none());
    let missing: Vec<Change> =
        missing.map(|(path, _)| Change::OutMissing { path: path.clone() }).collect();
    let Some(Candidate { trace, blocker }) = &facts.locked else {
        return if missing.is_empty() {
            Decision::Run(vec![Change::NeverRan])
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

/// What the lock says holds, whatever has changed since.
fn decide_frozen(facts: &Facts) -> Decision {
    let known: Vec<&Candidate> = facts.locked.iter().chain(&facts.cached).collect();
    let mut missing = Vec::new();
    for Candidate { trace, blocker } in known {
        missing = out_changes(trace, facts);
        if missing.is_empty() {
            return Decision::Fresh(trace.clone());
        }
        if blocker.is_none() {
            return Decision::Restore(trace.clone(), missing);
        }
    }
    Decision::Blocked(if missing.is_empty() { vec![Change::NeverRan] } else { missing })
}

fn out_changes(trace: &Trace, facts: &Facts) -> Vec<Change> {
    let mut changes = Vec::new();
    for (path, left) in trace.out_contents() {
        match (left, facts.outs.get(&path).copied().flatten()) {
            // It was optional when the stage left it out, and is no more.
            (None, None) if facts.outs.contains_key(&path) && !facts.optional.contains(&path) => {
                changes.push(Change::OutMissing { path });
            }
            (left, found) if left == found => {}
            (Some(_), None) => changes.push(Change::OutMissing { path }),
            (_, Some(_)) | (None, None) => changes.push(Change::OutEdited { path }),
        }
    }
    changes
}
