//! What a run would do, found out without doing it: the same observing and deciding, with the outs of stages that would be
//! restored taken as there, and those of stages that would run as unknown.

use std::collections::BTreeMap;

use super::Project;
use super::observe::predict::Predicted;
use super::observe::{self, explain, observe, observe_dep, touches};
use crate::digest::Content;
use crate::error::{Result, exit};
use crate::event::Failure;
use crate::pipeline::{Policy, StageIx, StageName, StageSet};
use crate::plan::{Change, Decision, Force};
use crate::repo_path::RepoPath;
use crate::workspace::Observed;

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Fresh {
        /// Why someone said that its outs hold although something has changed since they were made.
        accepted: Option<String>,
    },
    Restore(Vec<Change>),
    Run(Vec<Change>),
    /// What it has to do is known once the stages it waits for have run; they come last among the changes.
    Waits(Vec<Change>),
    /// It cannot be looked at, or not be had: a run fails there, with this exit code.
    Fails(Failure, u8),
    /// It needs that stage, which fails.
    Skipped {
        because: StageName,
    },
}

impl Verdict {
    pub fn changes(&self) -> &[Change] {
        match self {
            Verdict::Fresh { .. } | Verdict::Fails(..) | Verdict::Skipped { .. } => &[],
            Verdict::Restore(changes) | Verdict::Run(changes) | Verdict::Waits(changes) => changes,
        }
    }

    pub fn is_fresh(&self) -> bool {
        matches!(self, Verdict::Fresh { .. })
    }

    /// What a run that comes to it would exit with on its account.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Fails(_, code) => *code,
            _ => exit::OK,
        }
    }

    /// One word for lists and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Fresh { .. } => "fresh",
            Verdict::Restore(_) => "restore",
            Verdict::Run(_) => "run",
            Verdict::Waits(_) => "waits",
            Verdict::Fails(..) => "fails",
            Verdict::Skipped { .. } => "skipped",
        }
    }
}

/// The verdict on each wanted stage, in the order of the graph.
pub fn assess(project: &Project, wanted: &StageSet, forced: &StageSet) -> Vec<(StageIx, Verdict)> {
    let graph = &project.pipeline.graph;
    let mut predicted = Predicted::new();
    let mut verdicts: BTreeMap<StageIx, Verdict> = BTreeMap::new();
    let mut ordered = Vec::new();
    for &ix in graph.order().iter().filter(|&&ix| wanted.contains(ix)) {
        let force = if forced.contains(ix) { Force::Yes } else { Force::No };
        let verdict =
            verdict(project, ix, force, &verdicts, &mut predicted).unwrap_or_else(|error| {
                let exit = error.exit_code();
                Verdict::Fails(observe::observe_failed(error), exit)
            });
        verdicts.insert(ix, verdict.clone());
        ordered.push((ix, verdict));
    }
    ordered
}

fn verdict(
    project: &Project,
    ix: StageIx,
    force: Force,
    verdicts: &BTreeMap<StageIx, Verdict>,
    predicted: &mut Predicted,
) -> Result<Verdict> {
    let needs = project.pipeline.graph.needs(ix);
    let because = needs.iter().find_map(|need| match verdicts.get(need) {
        Some(Verdict::Fails(..)) => Some(project.pipeline.stages[*need].name.clone()),
        Some(Verdict::Skipped { because }) => Some(because.clone()),
        _ => None,
    });
    if let Some(because) = because {
        return Ok(Verdict::Skipped { because });
    }
    let runs =
        |need: &&StageIx| matches!(verdicts.get(need), Some(Verdict::Run(_) | Verdict::Waits(_)));
    let unknown: Vec<StageIx> = needs.iter().filter(runs).copied().collect();
    if !unknown.is_empty() && project.pipeline.stages[ix].policy != Policy::Frozen {
        return waits(project, ix, &unknown, force);
    }
    let observation = observe(project, ix, force, predicted)?;
    Ok(match observation.decision {
        Decision::Fresh(trace) => Verdict::Fresh { accepted: trace.accepted },
        Decision::Run(changes) | Decision::Blocked(changes) => Verdict::Run(changes),
        Decision::Restore(trace, changes) => {
            // What lies there already is looked at where it lies: the cache need not have it.
            for (path, left) in trace.out_contents() {
                let found = observation.outs.get(&path).and_then(Option::as_ref);
                if found.map(Observed::content) != left {
                    predicted.insert(path, left);
                }
            }
            Verdict::Restore(changes)
        }
    })
}

/// A stage some of whose deps are yet to be made: what is known to have changed, and whom it waits for.
fn waits(project: &Project, ix: StageIx, unknown: &[StageIx], force: Force) -> Result<Verdict> {
    let stage = &project.pipeline.stages[ix];
    let upstream = unknown
        .iter()
        .map(|&need| Change::Upstream { stage: project.pipeline.stages[need].name.clone() });
    let mut changes = Vec::new();
    if force == Force::Yes {
        changes.push(Change::Forced);
    } else if stage.policy == Policy::Always {
        changes.push(Change::Always);
    } else if let Some(locked) = project.lock.stages.get(&stage.name) {
        let mut contents: BTreeMap<RepoPath, Content> = BTreeMap::new();
        let mut seen: BTreeMap<RepoPath, Observed> = BTreeMap::new();
        for dep in &stage.deps {
            // A dep that is still to be made is taken to stay what it was.
            let made = unknown.iter().any(|&need| touches(project, need, dep));
            let found = if made { None } else { observe_dep(project, stage, dep)? };
            match found {
                Some(found) => {
                    contents.insert(dep.path.clone(), found.content());
                    seen.insert(dep.path.clone(), found);
                }
                None => contents.extend(
                    locked.fingerprint.deps.get_key_value(&dep.path).map(|(p, c)| (p.clone(), *c)),
                ),
            }
        }
        // A tool that does not answer yet may be what it waits for.
        let now = observe::fingerprint(&project.root, &project.answers, stage, contents);
        let known = now.map_or_else(|_| Vec::new(), |now| now.changes_since(&locked.fingerprint));
        if let Decision::Run(known) = explain::spell_out(project, Decision::Run(known), &seen) {
            changes = known;
        }
    } else {
        changes.push(Change::NeverRan);
    }
    changes.extend(upstream);
    Ok(Verdict::Waits(changes))
}
