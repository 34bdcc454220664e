//! The scheduler by examples, and by random graphs whose runs are played to the end.

use super::*;
use proptest::prelude::*;

fn graph(needs: &[&[StageIx]]) -> Graph {
    Graph::new(needs.iter().map(|needs| needs.to_vec()).collect()).unwrap()
}

/// One resource, processors.
fn capacity(demand: &[u64], limit: u64) -> Capacity {
    Capacity {
        limits: vec![limit],
        demand: demand.iter().map(|&amount| vec![(0, amount)]).collect(),
    }
}

#[test]
fn a_stage_starts_when_its_needs_are_done_and_processors_are_free() {
    use Effect::{Observe, Perform};
    let graph = graph(&[&[], &[], &[0, 1]]);
    let mut scheduler =
        Scheduler::new(&graph, &[true; 3], capacity(&[1, 2, 1], 2), OnFailure::Stop);
    assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
    assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
    assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
    assert_eq!(scheduler.advance(Msg::Ended(0, End::Success)), [Perform(1)]);
    assert_eq!(scheduler.advance(Msg::Ended(1, End::Success)), [Observe(2)]);
    assert_eq!(scheduler.advance(Msg::Observed(2, Need::Nothing)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn after_a_failure_only_keep_going_starts_more() {
    use Effect::{Observe, Perform, Skip};
    let graph = graph(&[&[], &[], &[0], &[1]]);
    for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
        let mut scheduler = Scheduler::new(&graph, &[true; 4], capacity(&[1; 4], 1), on_failure);
        assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
        assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
        assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
        let effects = scheduler.advance(Msg::Ended(0, End::Failure));
        let skip = |stage| Skip { stage, because: 0 };
        match on_failure {
            OnFailure::Stop => assert_eq!(effects, [skip(2), skip(1), skip(3)]),
            OnFailure::KeepGoing => assert_eq!(effects, [skip(2), Perform(1)]),
        }
        assert_eq!(scheduler.is_finished(), on_failure == OnFailure::Stop);
    }
}

#[test]
fn stopping_abandons_what_was_not_started() {
    let graph = graph(&[&[], &[0], &[]]);
    let mut scheduler =
        Scheduler::new(&graph, &[true; 3], capacity(&[1; 3], 1), OnFailure::KeepGoing);
    scheduler.start();
    scheduler.advance(Msg::Observed(0, Need::Work));
    assert_eq!(scheduler.advance(Msg::Stop), [Effect::Abandon(1)]);
    assert_eq!(scheduler.advance(Msg::Observed(2, Need::Work)), [Effect::Abandon(2)]);
    assert_eq!(scheduler.advance(Msg::Ended(0, End::Failure)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn units_leave_room_for_other_stages() {
    use Effect::{Close, Observe, Perform, Start};
    let graph = graph(&[&[], &[]]);
    let mut scheduler = Scheduler::new(&graph, &[true; 2], capacity(&[1; 2], 4), OnFailure::Stop);
    assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
    assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
    let four = [0, 1, 2, 3].map(|unit| Start(0, unit));
    assert_eq!(scheduler.advance(Msg::Units(0, 6)), four);
    assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
    // Three and one, though the stage with units comes first.
    assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Success)), [Perform(1)]);
    assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Success)), [Start(0, 4)]);
    assert_eq!(scheduler.advance(Msg::Ended(1, End::Success)), [Start(0, 5)]);
    for _ in 0..3 {
        assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Success)), []);
    }
    assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Success)), [Close(0)]);
    assert_eq!(scheduler.advance(Msg::Ended(0, End::Success)), []);
    assert!(scheduler.is_finished());
}

#[test]
fn after_a_failed_unit_only_keep_going_starts_more() {
    let graph = graph(&[&[]]);
    for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
        let mut scheduler = Scheduler::new(&graph, &[true], capacity(&[1], 1), on_failure);
        scheduler.start();
        scheduler.advance(Msg::Observed(0, Need::Work));
        assert_eq!(scheduler.advance(Msg::Units(0, 2)), [Effect::Start(0, 0)]);
        let next =
            if on_failure == OnFailure::Stop { Effect::Close(0) } else { Effect::Start(0, 1) };
        assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Failure)), [next]);
    }
}

/// What the engine is working on.
#[derive(Clone, Copy)]
enum Work {
    Looking,
    Performing,
    Unit,
    Closing,
}

/// A random run: any graph, any order of completion, any failures, at most one stop.
fn check(needs: &[Vec<StageIx>], capacity: &Capacity, choices: &[u8], on_failure: OnFailure) {
    let graph = Graph::new(needs.to_vec()).unwrap();
    let count = needs.len();
    let mut scheduler = Scheduler::new(&graph, &vec![true; count], capacity.clone(), on_failure);
    let mut ended: Vec<Option<bool>> = vec![None; count];
    let takes = |stage: StageIx, resource: usize| -> u64 {
        let demand = capacity.demand[stage].iter().filter(|(which, _)| *which == resource);
        demand.map(|(_, amount)| *amount).sum::<u64>().min(capacity.limits[resource])
    };
    let mut busy = vec![0; capacity.limits.len()];
    let mut stopped = false;
    let mut at_work: Vec<(StageIx, Work)> = Vec::new();
    // Of each stage: the units that it has handed in and those that were started, and whether nothing may be started any more.
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
                        "{stage} is too early"
                    );
                    at_work.push((stage, Work::Looking));
                }
                Effect::Perform(stage) | Effect::Start(stage, _) => {
                    assert!(
                        !(stopped || failed && on_failure == OnFailure::Stop),
                        "{stage} is too late"
                    );
                    for (resource, busy) in busy.iter_mut().enumerate() {
                        *busy += takes(stage, resource);
                        assert!(
                            *busy <= capacity.limits[resource],
                            "more of {resource} than there is"
                        );
                    }
                    if let Effect::Start(_, unit) = effect {
                        assert_eq!(unit, units[stage].1, "each unit once, in order");
                        units[stage].1 += 1;
                        assert!(units[stage].1 <= units[stage].0);
                        at_work.push((stage, Work::Unit));
                    } else {
                        at_work.push((stage, Work::Performing));
                    }
                }
                Effect::Close(stage) => {
                    let at_work_yet = |(other, work): &(StageIx, Work)| {
                        *other == stage && matches!(work, Work::Unit | Work::Closing)
                    };
                    assert!(!at_work.iter().any(at_work_yet), "{stage} is closed too early");
                    let cut = stopped || (failed && on_failure == OnFailure::Stop);
                    assert!(cut || units[stage].0 == units[stage].1, "units of {stage} are lost");
                    at_work.push((stage, Work::Closing));
                }
                Effect::Skip { stage, .. } | Effect::Abandon(stage) => {
                    assert_eq!(ended[stage].replace(false), None, "{stage} ends twice");
                }
            }
        }
        if at_work.is_empty() {
            break;
        }
        let choice = choices.next().unwrap_or(0);
        if choice > 250 && !std::mem::replace(&mut stopped, true) {
            effects = scheduler.advance(Msg::Stop);
            continue;
        }
        let (stage, work) = at_work.swap_remove(choice as usize % at_work.len());
        let good = choice % 7 != 0;
        let end = if good { End::Success } else { End::Failure };
        if matches!(work, Work::Performing | Work::Unit) {
            for (resource, busy) in busy.iter_mut().enumerate() {
                *busy -= takes(stage, resource);
            }
        }
        effects = match work {
            Work::Performing if choice % 2 == 0 => {
                units[stage].0 = choice as usize % 5;
                scheduler.advance(Msg::Units(stage, units[stage].0))
            }
            Work::Performing | Work::Closing => {
                failed |= !good;
                assert_eq!(ended[stage].replace(good), None);
                scheduler.advance(Msg::Ended(stage, end))
            }
            Work::Unit => {
                failed |= !good;
                scheduler.advance(Msg::UnitEnded(stage, end))
            }
            Work::Looking if choice % 3 == 0 => {
                assert_eq!(ended[stage].replace(true), None);
                scheduler.advance(Msg::Observed(stage, Need::Nothing))
            }
            Work::Looking => scheduler.advance(Msg::Observed(stage, Need::Work)),
        };
    }
    assert!(scheduler.is_finished());
    assert!(ended.iter().all(Option::is_some), "a stage has no end: {ended:?}");
}

proptest! {
    #[test]
    fn any_order_of_completion_keeps_the_rules(
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
        let needs: Vec<Vec<StageIx>> = needs.into_iter().map(|set| set.into_iter().collect()).collect();
        let on_failure = if keep_going { OnFailure::KeepGoing } else { OnFailure::Stop };
        let demand = demand.into_iter().map(|(cpus, tokens)| vec![(0, cpus), (1, tokens)]).collect();
        let capacity = Capacity { limits: vec![limits.0, limits.1], demand };
        check(&needs, &capacity, &choices, on_failure);
    }
}
