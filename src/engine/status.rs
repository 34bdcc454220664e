//! Predicts what a run would do with the same `observe` and `decide`: outs of stages that would be
//! restored count as present, and outs of stages that would run count as unknown.

use std::collections::BTreeMap;

use super::Project;
use super::foreign::{self, OnForeign};
use super::observe::predict::Predicted;
use super::observe::{self, explain, observe, observe_dep, touches};
use super::started;
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
        /// The reason given to `repro accept`, if the present state was accepted.
        accepted: Option<String>,
    },
    Restore(Vec<Change>),
    Run(Vec<Change>),
    /// Known only once the stages it waits for have run; these are last among the changes.
    Waits(Vec<Change>),
    /// Observing it fails. A run would stop here with this exit code.
    Fails(Failure, u8),
    /// Stage `because`, which this one needs, fails.
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

    /// Returns the exit code that this stage would give a run.
    pub fn exit_code(&self) -> u8 {
        match self {
            Verdict::Fails(_, code) => *code,
            _ => exit::OK,
        }
    }

    /// Returns the word for lists and JSON.
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

/// Returns the verdict on each wanted stage, in the order of the graph.
pub fn assess(
    project: &Project,
    wanted: &StageSet,
    forced: &StageSet,
    on_foreign: OnForeign,
) -> Vec<(StageIx, Verdict)> {
    let graph = &project.pipeline.graph;
    let mut predicted = Predicted::new();
    let mut verdicts: BTreeMap<StageIx, Verdict> = BTreeMap::new();
    let mut ordered = Vec::new();
    for &ix in graph.order().iter().filter(|&&ix| wanted.contains(ix)) {
        let force = if forced.contains(ix) { Force::Yes } else { Force::No };
        let verdict = verdict(project, ix, (force, on_foreign), &verdicts, &mut predicted)
            .unwrap_or_else(|error| {
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
    (force, on_foreign): (Force, OnForeign),
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
    observe::check_values(&project.pipeline.stages[ix])?;
    let runs =
        |need: &&StageIx| matches!(verdicts.get(need), Some(Verdict::Run(_) | Verdict::Waits(_)));
    let unknown: Vec<StageIx> = needs.iter().filter(runs).copied().collect();
    if !unknown.is_empty() && project.pipeline.stages[ix].policy != Policy::Frozen {
        return waits(project, ix, &unknown, (force, on_foreign));
    }
    let observation = observe(project, ix, force, on_foreign, predicted)?;
    if let Some(refusal) = observation.refusal {
        return Ok(Verdict::Fails(refusal, exit::USAGE));
    }
    Ok(match observation.decision {
        Decision::Fresh(trace) => Verdict::Fresh { accepted: trace.accepted },
        Decision::Run(changes) | Decision::Blocked(changes) => Verdict::Run(changes),
        Decision::Restore(trace, changes) => {
            // Outs that are in place are read there; the cache may not have them.
            for (path, left) in trace.out_contents() {
                let found = observation.outs.get(&path).and_then(Option::as_ref);
                if found.map(Observed::content) != left {
                    let outs = &project.pipeline.stages[ix].outs;
                    let real = outs.iter().find(|out| out.path == path);
                    predicted.insert(real.map_or(path, |out| out.place().clone()), left);
                }
            }
            Verdict::Restore(changes)
        }
    })
}

/// Returns the verdict on a stage with deps that are still to be made: the known changes, and the
/// stages it waits for.
fn waits(
    project: &Project,
    ix: StageIx,
    unknown: &[StageIx],
    (force, on_foreign): (Force, OnForeign),
) -> Result<Verdict> {
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
            // A dep that is still to be made counts as unchanged.
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
        // A tool that fails may be one that the stage waits for.
        let now = observe::fingerprint(&project.root, &project.answers, stage, contents);
        let known = now.map_or_else(|_| Vec::new(), |now| now.changes_since(&locked.fingerprint));
        if let Decision::Run(known) = explain::spell_out(project, Decision::Run(known), &seen) {
            changes = known;
        }
    } else {
        changes.push(started::unlocked_reason(project, stage));
    }
    if on_foreign == OnForeign::Refuse {
        changes.extend(foreign::predicted(project, stage)?);
    }
    changes.extend(upstream);
    Ok(Verdict::Waits(changes))
}
