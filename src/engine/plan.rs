//! `repro run --plan`: the verdicts of a status, with the last duration of each stage and an
//! estimate for the whole run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::status::{Verdict, assess};
use super::{OnForeign, Project, resources};
use crate::error::Result;
use crate::event::Millis;
use crate::pipeline::{Graph, StageIx, StageSet};
use crate::runs::{LastTimes, Store};
use crate::schedule::{Capacity, Effect, End, Input, Need, OnFailure, Scheduler};

#[derive(Debug)]
pub struct Plan {
    /// In the order of the graph.
    pub stages: Vec<Planned>,
    /// Duration if every stage that may run does and takes as long as last time. A stage that was
    /// never timed counts as zero.
    pub estimate: Millis,
}

#[derive(Debug)]
pub struct Planned {
    pub ix: StageIx,
    pub verdict: Verdict,
    /// Duration of the same work last time.
    pub took: Option<Millis>,
}

/// Predicts what bringing the wanted stages up to date on `cpus` processors would do.
pub fn plan(
    project: &Project,
    wanted: &StageSet,
    forced: &StageSet,
    on_foreign: OnForeign,
    cpus: usize,
) -> Result<Plan> {
    let times = last_times(project);
    let mut work: Vec<Option<u64>> = vec![None; wanted.stage_count()];
    let mut stages = Vec::new();
    for (ix, verdict) in assess(project, wanted, forced, on_foreign) {
        let name = &project.pipeline.stages[ix].name;
        let took = match &verdict {
            Verdict::Fresh { .. } | Verdict::Fails(..) | Verdict::Skipped { .. } => None,
            Verdict::Restore(_) => times.restored.get(name).copied(),
            Verdict::Run(_) | Verdict::Waits(_) => times.ran.get(name).copied(),
        };
        if !verdict.is_fresh() {
            work[ix] = Some(took.map_or(0, |took| took.0));
        }
        stages.push(Planned { ix, verdict, took });
    }
    let capacity = resources::capacity(&project.pipeline, cpus);
    let estimate = Millis(duration(&project.pipeline.graph, wanted, capacity, &work));
    Ok(Plan { stages, estimate })
}

/// Returns the last durations; none if the history cannot be read, which does not prevent a plan.
fn last_times(project: &Project) -> LastTimes {
    let store = Store::open_existing(&project.history).ok().flatten();
    store.and_then(|store| store.last_times().ok()).unwrap_or_default()
}

/// Simulates a run with the real scheduler and returns its duration, given that of each stage;
/// `None` means that the stage has nothing to do.
fn duration(graph: &Graph, wanted: &StageSet, capacity: Capacity, work: &[Option<u64>]) -> u64 {
    let mut scheduler = Scheduler::new(graph, wanted, capacity, OnFailure::Stop);
    let mut effects: VecDeque<Effect> = scheduler.start().into();
    let mut busy = BinaryHeap::new();
    let mut now = 0;
    loop {
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Observe(ix) => {
                    let need = if work[ix].is_some() { Need::Work } else { Need::Nothing };
                    effects.extend(scheduler.advance(Input::Observed(ix, need)));
                }
                Effect::Execute(ix) => busy.push(Reverse((now + work[ix].unwrap_or(0), ix))),
                // No stage submits units here.
                Effect::Start(..) | Effect::Close(_) | Effect::Skip { .. } | Effect::Abandon(_) => {
                }
            }
        }
        let Some(Reverse((at, ix))) = busy.pop() else {
            return now;
        };
        now = at;
        effects.extend(scheduler.advance(Input::Ended(ix, End::Success)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimated_duration() {
        // 0 → 2, 1 → 2, 3 alone.
        let graph =
            Graph::new(vec![vec![], vec![], vec![StageIx::new(0), StageIx::new(1)], vec![]])
                .unwrap();
        let capacity = |cpus| Capacity { limits: vec![cpus], demand: vec![vec![(0, 1)]; 4] };
        let work = [Some(10), Some(30), Some(5), Some(20)];
        for (cpus, work, expected) in [
            (1, work, 65),
            (2, work, 35),
            (4, work, 35),
            (4, [None, None, Some(5), None], 5),
            (4, [None; 4], 0),
        ] {
            assert_eq!(
                duration(&graph, &StageSet::all(4), capacity(cpus), &work),
                expected,
                "{cpus} {work:?}"
            );
        }
        assert_eq!(duration(&graph, &StageSet::of(4, [StageIx::new(0)]), capacity(1), &work), 10);
    }
}
