//! What happens next. A pure state machine: told what happened, it says what to do. Knows nothing of threads, processes
//! or the clock, nor why a stage has work: that is found out when the stage becomes ready, not before.
//!
//! ```text
//! Waiting ──(all needs done)──▶ Observing ──(work)──▶ Queued ──(cpus free)──▶ Performing ──▶ Done
//!    │                              └──(nothing to do)────────────────────────────────────▶ Done
//!    └──(a need failed, or everything stops)────────────────────────────────────────────▶ Dropped
//! ```
//!
//! A stage that is being performed may hand its work in as units. From then on it holds nothing itself: each unit takes what the stage
//! wants, beside other stages and their units. What has least at work goes first, so that a thousand units hold up no other stage.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::pipeline::{Graph, StageIx};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Msg {
    Observed(StageIx, Need),
    Ended(StageIx, End),
    /// The rest of the work of a stage that is being performed is so many units.
    Units(StageIx, usize),
    UnitEnded(StageIx, End),
    /// Start nothing more. What is being performed is the engine's to stop; it still reports each end.
    Stop,
}

/// Whether an observed stage has work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Work,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Good,
    Bad,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Look at it, then send [`Msg::Observed`].
    Observe(StageIx),
    /// Do its work, then send [`Msg::Ended`].
    Perform(StageIx),
    /// Start the unit of this number, counted from 0, then send [`Msg::UnitEnded`].
    Start(StageIx, usize),
    /// No unit of it is at work or will be started any more: finish the stage, then send [`Msg::Ended`].
    Close(StageIx),
    /// It will not be done: a stage failed.
    Skip { stage: StageIx, because: StageIx },
    /// It will not be done: everything was stopped.
    Abandon(StageIx),
}

/// Resources by number, and what each stage wants of them. The first is processors, of which every stage wants some.
#[derive(Debug, Clone, Default)]
pub struct Supply {
    /// How much there is of each resource, at least 1.
    pub limits: Vec<u64>,
    /// For each stage: resource and amount, each resource once.
    pub wants: Vec<Vec<(usize, u64)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Finish what is being performed, start nothing more.
    Stop,
    /// Go on with what does not need the failed stage.
    KeepGoing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting {
        needs: usize,
    },
    Observing,
    Queued,
    Performing,
    /// Performing by units: the next one, how many there are, how many are at work.
    Parted {
        next: usize,
        count: usize,
        running: usize,
    },
    Done,
    Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Going,
    Failed { first: StageIx },
    Stopped,
}

#[derive(Debug)]
pub struct Scheduler<'g> {
    graph: &'g Graph,
    /// What each stage keeps busy while it is performed: resource and amount.
    wants: Vec<Vec<(usize, u64)>>,
    /// The rank of each stage in the graph's order: of several that could start, the first in order does.
    rank: Vec<usize>,
    states: Vec<State>,
    /// What could start: how much of it is at work, its rank, the stage.
    queue: BTreeSet<(usize, usize, StageIx)>,
    /// What is left of each resource.
    free: Vec<u64>,
    on_failure: OnFailure,
    mode: Mode,
    /// Stages neither done nor dropped.
    open: usize,
}

impl<'g> Scheduler<'g> {
    /// For the stages that are `wanted`, with all that they need.
    pub fn new(graph: &'g Graph, wanted: &[bool], supply: Supply, on_failure: OnFailure) -> Scheduler<'g> {
        let Supply { limits, mut wants } = supply;
        // A stage that wants more than there is runs when nothing else uses it.
        for (resource, amount) in wants.iter_mut().flatten() {
            *amount = (*amount).min(limits[*resource]);
        }
        let mut rank = vec![0; wanted.len()];
        for (position, &stage) in graph.order().iter().enumerate() {
            rank[stage] = position;
        }
        let state = |stage: StageIx| match wanted[stage] {
            // What is not wanted is taken as it is.
            true => State::Waiting { needs: graph.needs(stage).iter().filter(|&&need| wanted[need]).count() },
            false => State::Done,
        };
        let states = (0..wanted.len()).map(state).collect();
        Scheduler {
            graph,
            wants,
            rank,
            states,
            queue: BTreeSet::new(),
            free: limits,
            on_failure,
            mode: Mode::Going,
            open: wanted.iter().filter(|&&wanted| wanted).count(),
        }
    }

    /// The first effects: every stage that needs none.
    pub fn start(&mut self) -> Vec<Effect> {
        let ready = |stage: &StageIx| self.states[*stage] == State::Waiting { needs: 0 };
        let ready: Vec<StageIx> = self.graph.order().iter().copied().filter(ready).collect();
        let mut effects = Vec::with_capacity(ready.len());
        for stage in ready {
            self.observe(stage, &mut effects);
        }
        effects
    }

    /// Every stage has ended one way or the other.
    pub fn is_finished(&self) -> bool {
        self.open == 0
    }

    pub fn advance(&mut self, msg: Msg) -> Vec<Effect> {
        let mut effects = Vec::new();
        match msg {
            Msg::Observed(stage, Need::Nothing) => self.finish(stage, &mut effects),
            Msg::Observed(stage, Need::Work) => match self.mode {
                Mode::Going => {
                    self.states[stage] = State::Queued;
                    self.queue.insert((0, self.rank[stage], stage));
                }
                Mode::Failed { .. } | Mode::Stopped => self.drop_with_dependents(stage, &mut effects),
            },
            Msg::Ended(stage, end) => {
                self.leave_queue(stage);
                let holding = match self.states[stage] {
                    State::Parted { running, .. } => running,
                    _ => 1,
                };
                self.release(stage, holding);
                match end {
                    End::Good => self.finish(stage, &mut effects),
                    End::Bad => self.fail(stage, &mut effects),
                }
            }
            Msg::Units(stage, count) => {
                self.release(stage, 1);
                let count = if self.mode == Mode::Going { count } else { 0 };
                self.part(stage, State::Parted { next: 0, count, running: 0 }, &mut effects);
            }
            Msg::UnitEnded(stage, end) => {
                self.release(stage, 1);
                self.leave_queue(stage);
                if let State::Parted { next, count, running } = self.states[stage] {
                    let state = State::Parted { next, count, running: running - 1 };
                    self.part(stage, state, &mut effects);
                }
                if end == End::Bad {
                    self.stop_after_failure(stage, &mut effects);
                }
            }
            Msg::Stop => {
                self.mode = Mode::Stopped;
                self.drop_unstarted(&mut effects);
            }
        }
        self.start_queued(&mut effects);
        effects
    }

    fn observe(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        self.states[stage] = State::Observing;
        effects.push(Effect::Observe(stage));
    }

    fn finish(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        self.states[stage] = State::Done;
        self.open -= 1;
        for &dependent in self.graph.needed_by(stage) {
            if let State::Waiting { needs } = &mut self.states[dependent] {
                *needs -= 1;
                if *needs == 0 {
                    self.observe(dependent, effects);
                }
            }
        }
    }

    /// Gives back what a stage holds so many times.
    fn release(&mut self, stage: StageIx, times: usize) {
        for &(resource, amount) in &self.wants[stage] {
            self.free[resource] += amount * times as u64;
        }
    }

    /// Sets where a stage is with its units, and queues the next one.
    fn part(&mut self, stage: StageIx, state: State, effects: &mut Vec<Effect>) {
        self.states[stage] = state;
        match state {
            State::Parted { next, count, running } if next < count => {
                self.queue.insert((running, self.rank[stage], stage));
            }
            State::Parted { running: 0, .. } => effects.push(Effect::Close(stage)),
            _ => {}
        }
    }

    fn leave_queue(&mut self, stage: StageIx) {
        let at_work = match self.states[stage] {
            State::Parted { running, .. } => running,
            _ => 0,
        };
        self.queue.remove(&(at_work, self.rank[stage], stage));
    }

    fn fail(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        self.states[stage] = State::Dropped;
        self.open -= 1;
        for &dependent in self.graph.needed_by(stage) {
            self.drop_because(dependent, stage, effects);
        }
        self.stop_after_failure(stage, effects);
    }

    fn stop_after_failure(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        if self.on_failure == OnFailure::Stop && self.mode == Mode::Going {
            self.mode = Mode::Failed { first: stage };
            self.drop_unstarted(effects);
        }
    }

    /// Ends a stage without doing it, and with it all that need it.
    fn drop_with_dependents(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        let because = match self.mode {
            Mode::Failed { first } => first,
            Mode::Going | Mode::Stopped => stage,
        };
        self.drop_because(stage, because, effects);
    }

    fn drop_because(&mut self, stage: StageIx, because: StageIx, effects: &mut Vec<Effect>) {
        let mut open = vec![stage];
        while let Some(stage) = open.pop() {
            if matches!(
                self.states[stage],
                State::Done | State::Dropped | State::Performing | State::Parted { .. }
            ) {
                continue;
            }
            self.leave_queue(stage);
            self.states[stage] = State::Dropped;
            self.open -= 1;
            effects.push(match self.mode {
                Mode::Stopped => Effect::Abandon(stage),
                Mode::Going | Mode::Failed { .. } => Effect::Skip { stage, because },
            });
            open.extend(self.graph.needed_by(stage));
        }
    }

    /// Stages under observation are left: what they turn out to need decides. Of stages that have begun, the units that have not are dropped.
    fn drop_unstarted(&mut self, effects: &mut Vec<Effect>) {
        let queued: Vec<StageIx> = self.queue.iter().map(|&(_, _, stage)| stage).collect();
        for stage in queued {
            if let State::Parted { next, running, .. } = self.states[stage] {
                self.leave_queue(stage);
                self.part(stage, State::Parted { next, count: next, running }, effects);
            }
        }
        let unstarted =
            |stage: &StageIx| matches!(self.states[*stage], State::Waiting { .. } | State::Queued);
        // A stage that waits only for one under observation may yet turn out to be up to date.
        let dropped: Vec<StageIx> = match self.mode {
            Mode::Stopped => self.graph.order().iter().copied().filter(unstarted).collect(),
            Mode::Going | Mode::Failed { .. } => self.queue.iter().map(|&(_, _, stage)| stage).collect(),
        };
        for stage in dropped {
            self.drop_with_dependents(stage, effects);
        }
    }

    fn start_queued(&mut self, effects: &mut Vec<Effect>) {
        let mut at = Bound::Unbounded;
        // What did not fit does not later on: meanwhile there is only less. The next unit of a stage lies ahead.
        while let Some(&entry) = self.queue.range((at, Bound::Unbounded)).next() {
            // The first resource is one that every stage wants some of.
            if self.free.first() == Some(&0) {
                break;
            }
            at = Bound::Excluded(entry);
            let (_, _, stage) = entry;
            if self.wants[stage].iter().any(|&(resource, amount)| amount > self.free[resource]) {
                continue;
            }
            for &(resource, amount) in &self.wants[stage] {
                self.free[resource] -= amount;
            }
            self.queue.remove(&entry);
            if let State::Parted { next, count, running } = self.states[stage] {
                effects.push(Effect::Start(stage, next));
                self.part(stage, State::Parted { next: next + 1, count, running: running + 1 }, effects);
            } else {
                self.states[stage] = State::Performing;
                effects.push(Effect::Perform(stage));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn graph(needs: &[&[StageIx]]) -> Graph {
        Graph::new(needs.iter().map(|needs| needs.to_vec()).collect()).unwrap()
    }

    /// One resource, processors.
    fn supply(wants: &[u64], limit: u64) -> Supply {
        Supply { limits: vec![limit], wants: wants.iter().map(|&amount| vec![(0, amount)]).collect() }
    }

    #[test]
    fn a_stage_starts_when_its_needs_are_done_and_processors_are_free() {
        use Effect::{Observe, Perform};
        let graph = graph(&[&[], &[], &[0, 1]]);
        let mut scheduler = Scheduler::new(&graph, &[true; 3], supply(&[1, 2, 1], 2), OnFailure::Stop);
        assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
        assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
        assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
        assert_eq!(scheduler.advance(Msg::Ended(0, End::Good)), [Perform(1)]);
        assert_eq!(scheduler.advance(Msg::Ended(1, End::Good)), [Observe(2)]);
        assert_eq!(scheduler.advance(Msg::Observed(2, Need::Nothing)), []);
        assert!(scheduler.is_finished());
    }

    #[test]
    fn after_a_failure_only_keep_going_starts_more() {
        use Effect::{Observe, Perform, Skip};
        let graph = graph(&[&[], &[], &[0], &[1]]);
        for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
            let mut scheduler = Scheduler::new(&graph, &[true; 4], supply(&[1; 4], 1), on_failure);
            assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
            assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
            assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
            let effects = scheduler.advance(Msg::Ended(0, End::Bad));
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
        let mut scheduler = Scheduler::new(&graph, &[true; 3], supply(&[1; 3], 1), OnFailure::KeepGoing);
        scheduler.start();
        scheduler.advance(Msg::Observed(0, Need::Work));
        assert_eq!(scheduler.advance(Msg::Stop), [Effect::Abandon(1)]);
        assert_eq!(scheduler.advance(Msg::Observed(2, Need::Work)), [Effect::Abandon(2)]);
        assert_eq!(scheduler.advance(Msg::Ended(0, End::Bad)), []);
        assert!(scheduler.is_finished());
    }

    #[test]
    fn units_leave_room_for_other_stages() {
        use Effect::{Close, Observe, Perform, Start};
        let graph = graph(&[&[], &[]]);
        let mut scheduler = Scheduler::new(&graph, &[true; 2], supply(&[1; 2], 4), OnFailure::Stop);
        assert_eq!(scheduler.start(), [Observe(0), Observe(1)]);
        assert_eq!(scheduler.advance(Msg::Observed(0, Need::Work)), [Perform(0)]);
        let four = [0, 1, 2, 3].map(|unit| Start(0, unit));
        assert_eq!(scheduler.advance(Msg::Units(0, 6)), four);
        assert_eq!(scheduler.advance(Msg::Observed(1, Need::Work)), []);
        // Three and one, though the stage with units comes first.
        assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Good)), [Perform(1)]);
        assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Good)), [Start(0, 4)]);
        assert_eq!(scheduler.advance(Msg::Ended(1, End::Good)), [Start(0, 5)]);
        for _ in 0..3 {
            assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Good)), []);
        }
        assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Good)), [Close(0)]);
        assert_eq!(scheduler.advance(Msg::Ended(0, End::Good)), []);
        assert!(scheduler.is_finished());
    }

    #[test]
    fn after_a_failed_unit_only_keep_going_starts_more() {
        let graph = graph(&[&[]]);
        for on_failure in [OnFailure::Stop, OnFailure::KeepGoing] {
            let mut scheduler = Scheduler::new(&graph, &[true], supply(&[1], 1), on_failure);
            scheduler.start();
            scheduler.advance(Msg::Observed(0, Need::Work));
            assert_eq!(scheduler.advance(Msg::Units(0, 2)), [Effect::Start(0, 0)]);
            let next = if on_failure == OnFailure::Stop { Effect::Close(0) } else { Effect::Start(0, 1) };
            assert_eq!(scheduler.advance(Msg::UnitEnded(0, End::Bad)), [next]);
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
    fn check(needs: &[Vec<StageIx>], supply: &Supply, choices: &[u8], on_failure: OnFailure) {
        let graph = Graph::new(needs.to_vec()).unwrap();
        let count = needs.len();
        let mut scheduler = Scheduler::new(&graph, &vec![true; count], supply.clone(), on_failure);
        let mut ended: Vec<Option<bool>> = vec![None; count];
        let takes = |stage: StageIx, resource: usize| -> u64 {
            let wants = supply.wants[stage].iter().filter(|(which, _)| *which == resource);
            wants.map(|(_, amount)| *amount).sum::<u64>().min(supply.limits[resource])
        };
        let mut busy = vec![0; supply.limits.len()];
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
                        assert!(!(stopped || failed && on_failure == OnFailure::Stop), "{stage} is too late");
                        for (resource, busy) in busy.iter_mut().enumerate() {
                            *busy += takes(stage, resource);
                            assert!(*busy <= supply.limits[resource], "more of {resource} than there is");
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
            let end = if good { End::Good } else { End::Bad };
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
            wants in proptest::collection::vec((1u64..5, 0u64..3), 12),
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
            let wants = wants.into_iter().map(|(cpus, tokens)| vec![(0, cpus), (1, tokens)]).collect();
            let supply = Supply { limits: vec![limits.0, limits.1], wants };
            check(&needs, &supply, &choices, on_failure);
        }
    }
}
