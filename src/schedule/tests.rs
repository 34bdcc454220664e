//! Tests of the scheduler: examples, and simulated runs of random graphs.

use super::*;
use proptest::prelude::*;

const A: StageIx = StageIx::new(0);
const B: StageIx = StageIx::new(1);
const C: StageIx = StageIx::new(2);
const D: StageIx = StageIx::new(3);

fn graph(needs: &[&[StageIx]]) -> Graph {
    Graph::new(needs.iter().map(|needs| needs.to_vec()).collect()).unwrap()
}

/// Returns a capacity with processors as the only resource.
fn capacity(demand: &[u64], limit: u64) -> Capacity {
    Capacity {
        limits: vec![limit],
        demand: demand.iter().map(|&amount| vec![(0, amount)]).collect(),
    }
}

#[test]
fn waits_for_needs_and_processors() {
    use Effect::{Execute, Observe};
    let graph = graph(&[&[], &[], &[A, B]]);
    let mut scheduler =
        Scheduler::new(&graph, &StageSet::all(3), capacity(&[1, 2, 1], 2), OnFailure::Stop);
    assert_eq!(scheduler.start(), [Observe(A), Observe(B)]);
    assert_eq!(scheduler.advance(Input::Observed(A, Need::Work)), [Execute(A)]);
    assert_eq!(scheduler.advance(Input::Observed(B, Need::Work)), []);
    assert_eq!(scheduler.advance(Input::Ended(A, End::Success)), [Execute(B)]);
    assert_eq!(scheduler.advance(Input::Ended(B, End::Success)), [Observe(C)]);
    assert_eq!(scheduler.advance(Input::Observed(C, Need::Nothing)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn failed_stage_skips_dependents() {
    use Effect::{Execute, Observe, Skip};
    let graph = graph(&[&[], &[], &[A], &[B]]);
    for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
        let mut scheduler =
            Scheduler::new(&graph, &StageSet::all(4), capacity(&[1; 4], 1), on_failure);
        assert_eq!(scheduler.start(), [Observe(A), Observe(B)]);
        assert_eq!(scheduler.advance(Input::Observed(A, Need::Work)), [Execute(A)]);
        assert_eq!(scheduler.advance(Input::Observed(B, Need::Work)), []);
        let effects = scheduler.advance(Input::Ended(A, End::Failure));
        let skip = |stage| Skip { stage, because: A };
        match on_failure {
            OnFailure::Stop => assert_eq!(effects, [skip(C), skip(B), skip(D)]),
            OnFailure::KeepGoing => assert_eq!(effects, [skip(C), Execute(B)]),
        }
        assert_eq!(scheduler.is_finished(), on_failure == OnFailure::Stop);
    }
}

#[test]
fn stop_abandons_unstarted_stages() {
    let graph = graph(&[&[], &[A], &[]]);
    let mut scheduler =
        Scheduler::new(&graph, &StageSet::all(3), capacity(&[1; 3], 1), OnFailure::KeepGoing);
    scheduler.start();
    scheduler.advance(Input::Observed(A, Need::Work));
    assert_eq!(scheduler.advance(Input::Stop), [Effect::Abandon(B)]);
    assert_eq!(scheduler.advance(Input::Observed(C, Need::Work)), [Effect::Abandon(C)]);
    assert_eq!(scheduler.advance(Input::Ended(A, End::Failure)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn units_share_processors_with_stages() {
    use Effect::{Close, Execute, Observe, Start};
    let graph = graph(&[&[], &[]]);
    let mut scheduler =
        Scheduler::new(&graph, &StageSet::all(2), capacity(&[1; 2], 4), OnFailure::Stop);
    assert_eq!(scheduler.start(), [Observe(A), Observe(B)]);
    assert_eq!(scheduler.advance(Input::Observed(A, Need::Work)), [Execute(A)]);
    let four = [0, 1, 2, 3].map(|unit| Start(A, unit));
    assert_eq!(scheduler.advance(Input::Units(A, 6)), four);
    assert_eq!(scheduler.advance(Input::Observed(B, Need::Work)), []);
    // Stage 0 comes first in the order but has three units running, so stage 1 starts.
    assert_eq!(scheduler.advance(Input::UnitEnded(A, End::Success)), [Execute(B)]);
    assert_eq!(scheduler.advance(Input::UnitEnded(A, End::Success)), [Start(A, 4)]);
    assert_eq!(scheduler.advance(Input::Ended(B, End::Success)), [Start(A, 5)]);
    for _ in 0..3 {
        assert_eq!(scheduler.advance(Input::UnitEnded(A, End::Success)), []);
    }
    assert_eq!(scheduler.advance(Input::UnitEnded(A, End::Success)), [Close(A)]);
    assert_eq!(scheduler.advance(Input::Ended(A, End::Success)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn failed_unit_stops_further_units() {
    let graph = graph(&[&[]]);
    for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
        let mut scheduler =
            Scheduler::new(&graph, &StageSet::all(1), capacity(&[1], 1), on_failure);
        scheduler.start();
        scheduler.advance(Input::Observed(A, Need::Work));
        assert_eq!(scheduler.advance(Input::Units(A, 2)), [Effect::Start(A, 0)]);
        let next =
            if on_failure == OnFailure::Stop { Effect::Close(A) } else { Effect::Start(A, 1) };
        assert_eq!(scheduler.advance(Input::UnitEnded(A, End::Failure)), [next]);
    }
}

/// The kind of work the simulated engine is doing.
#[derive(Clone, Copy)]
enum Work {
    Observing,
    Executing,
    Unit,
    Closing,
}

/// Simulates a run and checks the invariants: `choices` decides the order of completion, the
/// failures and at most one stop.
fn check(needs: &[Vec<StageIx>], capacity: &Capacity, choices: &[u8], on_failure: OnFailure) {
    let graph = Graph::new(needs.to_vec()).unwrap();
    let count = needs.len();
    let mut scheduler = Scheduler::new(&graph, &StageSet::all(count), capacity.clone(), on_failure);
    let mut ended: Vec<Option<bool>> = vec![None; count];
    let held = |stage: StageIx, resource: usize| -> u64 {
        let demand = capacity.demand[stage].iter().filter(|(which, _)| *which == resource);
        demand.map(|(_, amount)| *amount).sum::<u64>().min(capacity.limits[resource])
    };
    let mut busy = vec![0; capacity.limits.len()];
    let mut stopped = false;
    let mut running: Vec<(StageIx, Work)> = Vec::new();
    // Units submitted and units started, per stage.
    let mut units = vec![(0, 0); count];
    let mut failed = false;
    let mut effects = scheduler.start();
    let mut choices = choices.iter().copied().cycle();
    loop {
        for effect in effects.drain(..) {
            match effect {
                Effect::Observe(stage) => {
                    assert!(
                        needs[stage].iter().all(|&need| ended[need] == Some(true)),
                        "{stage:?} is observed too early"
                    );
                    running.push((stage, Work::Observing));
                }
                Effect::Execute(stage) | Effect::Start(stage, _) => {
                    assert!(
                        !(stopped || failed && on_failure == OnFailure::Stop),
                        "{stage:?} starts after the run stopped"
                    );
                    for (resource, busy) in busy.iter_mut().enumerate() {
                        *busy += held(stage, resource);
                        assert!(
                            *busy <= capacity.limits[resource],
                            "resource {resource} exceeds its limit"
                        );
                    }
                    if let Effect::Start(_, unit) = effect {
                        assert_eq!(unit, units[stage].1, "units start in order, each once");
                        units[stage].1 += 1;
                        assert!(units[stage].1 <= units[stage].0);
                        running.push((stage, Work::Unit));
                    } else {
                        running.push((stage, Work::Executing));
                    }
                }
                Effect::Close(stage) => {
                    let is_running = |(other, work): &(StageIx, Work)| {
                        *other == stage && matches!(work, Work::Unit | Work::Closing)
                    };
                    assert!(!running.iter().any(is_running), "{stage:?} is closed too early");
                    let cut = stopped || (failed && on_failure == OnFailure::Stop);
                    assert!(cut || units[stage].0 == units[stage].1, "units of {stage:?} are lost");
                    running.push((stage, Work::Closing));
                }
                Effect::Skip { stage, .. } | Effect::Abandon(stage) => {
                    assert_eq!(ended[stage].replace(false), None, "{stage:?} ends twice");
                }
            }
        }
        if running.is_empty() {
            break;
        }
        let choice = choices.next().unwrap_or(0);
        if choice > 250 && !std::mem::replace(&mut stopped, true) {
            effects = scheduler.advance(Input::Stop);
            continue;
        }
        let (stage, work) = running.swap_remove(choice as usize % running.len());
        let succeeded = choice % 7 != 0;
        let end = if succeeded { End::Success } else { End::Failure };
        if matches!(work, Work::Executing | Work::Unit) {
            for (resource, busy) in busy.iter_mut().enumerate() {
                *busy -= held(stage, resource);
            }
        }
        effects = match work {
            Work::Executing if choice % 2 == 0 => {
                units[stage].0 = choice as usize % 5;
                scheduler.advance(Input::Units(stage, units[stage].0))
            }
            Work::Executing | Work::Closing => {
                failed |= !succeeded;
                assert_eq!(ended[stage].replace(succeeded), None);
                scheduler.advance(Input::Ended(stage, end))
            }
            Work::Unit => {
                failed |= !succeeded;
                scheduler.advance(Input::UnitEnded(stage, end))
            }
            Work::Observing if choice % 3 == 0 => {
                assert_eq!(ended[stage].replace(true), None);
                scheduler.advance(Input::Observed(stage, Need::Nothing))
            }
            Work::Observing => scheduler.advance(Input::Observed(stage, Need::Work)),
        };
    }
    assert!(scheduler.is_finished());
    assert!(ended.iter().all(Option::is_some), "not every stage has ended: {ended:?}");
}

proptest! {
    #[test]
    fn random_runs_keep_the_invariants(
        edges in proptest::collection::vec((0usize..12, 0usize..12), 0..30),
        demand in proptest::collection::vec((1u64..5, 0u64..3), 12),
        limits in (1u64..4, 1u64..3),
        choices in proptest::collection::vec(any::<u8>(), 1..60),
        keep_going in any::<bool>(),
    ) {
        let mut needs = vec![BTreeSet::new(); 12];
        for (a, b) in edges {
            if a != b {
                needs[a.max(b)].insert(a.min(b));
            }
        }
        let indices = |set: BTreeSet<usize>| set.into_iter().map(StageIx::new).collect();
        let needs: Vec<Vec<StageIx>> = needs.into_iter().map(indices).collect();
        let on_failure = if keep_going { OnFailure::KeepGoing } else { OnFailure::Stop };
        let demand =
            demand.into_iter().map(|(cpus, tokens)| vec![(0, cpus), (1, tokens)]).collect();
        let capacity = Capacity { limits: vec![limits.0, limits.1], demand };
        check(&needs, &capacity, &choices, on_failure);
    }
}
