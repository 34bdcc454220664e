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
//! demand, beside other stages and their units. What has least at work goes first, so that a thousand units hold up no other stage.

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
    Success,
    Failure,
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

/// Resources by number, and what each stage demand of them. The first is processors, of which every stage demand some.
#[derive(Debug, Clone, Default)]
pub struct Capacity {
    /// How much there is of each resource, at least 1.
    pub limits: Vec<u64>,
    /// For each stage: resource and amount, each resource once.
    pub demand: Vec<Vec<(usize, u64)>>,
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
    Splitting {
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
    demand: Vec<Vec<(usize, u64)>>,
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
    pub fn new(
        graph: &'g Graph,
        wanted: &[bool],
        capacity: Capacity,
        on_failure: OnFailure,
    ) -> Scheduler<'g> {
        let Capacity { limits, mut demand } = capacity;
        // A stage that demand more than there is runs when nothing else uses it.
        for (resource, amount) in demand.iter_mut().flatten() {
            *amount = (*amount).min(limits[*resource]);
        }
        let mut rank = vec![0; wanted.len()];
        for (position, &stage) in graph.order().iter().enumerate() {
            rank[stage] = position;
        }
        let state = |stage: StageIx| match wanted[stage] {
            // What is not wanted is taken as it is.
            true => State::Waiting {
                needs: graph.needs(stage).iter().filter(|&&need| wanted[need]).count(),
            },
            false => State::Done,
        };
        let states = (0..wanted.len()).map(state).collect();
        Scheduler {
            graph,
            demand,
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
                Mode::Failed { .. } | Mode::Stopped => {
                    self.drop_with_dependents(stage, &mut effects)
                }
            },
            Msg::Ended(stage, end) => {
                self.leave_queue(stage);
                let holding = match self.states[stage] {
                    State::Splitting { running, .. } => running,
                    _ => 1,
                };
                self.release(stage, holding);
                match end {
                    End::Success => self.finish(stage, &mut effects),
                    End::Failure => self.fail(stage, &mut effects),
                }
            }
            Msg::Units(stage, count) => {
                self.release(stage, 1);
                let count = if self.mode == Mode::Going { count } else { 0 };
                self.requeue_units(
                    stage,
                    State::Splitting { next: 0, count, running: 0 },
                    &mut effects,
                );
            }
            Msg::UnitEnded(stage, end) => {
                self.release(stage, 1);
                self.leave_queue(stage);
                if let State::Splitting { next, count, running } = self.states[stage] {
                    let state = State::Splitting { next, count, running: running - 1 };
                    self.requeue_units(stage, state, &mut effects);
                }
                if end == End::Failure {
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
        for &(resource, amount) in &self.demand[stage] {
            self.free[resource] += amount * times as u64;
        }
    }

    /// Sets where a stage is with its units, and queues the next one.
    fn requeue_units(&mut self, stage: StageIx, state: State, effects: &mut Vec<Effect>) {
        self.states[stage] = state;
        match state {
            State::Splitting { next, count, running } if next < count => {
                self.queue.insert((running, self.rank[stage], stage));
            }
            State::Splitting { running: 0, .. } => effects.push(Effect::Close(stage)),
            _ => {}
        }
    }

    fn leave_queue(&mut self, stage: StageIx) {
        let at_work = match self.states[stage] {
            State::Splitting { running, .. } => running,
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
                State::Done | State::Dropped | State::Performing | State::Splitting { .. }
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
            if let State::Splitting { next, running, .. } = self.states[stage] {
                self.leave_queue(stage);
                self.requeue_units(stage, State::Splitting { next, count: next, running }, effects);
            }
        }
        let unstarted =
            |stage: &StageIx| matches!(self.states[*stage], State::Waiting { .. } | State::Queued);
        // A stage that waits only for one under observation may yet turn out to be up to date.
        let dropped: Vec<StageIx> = match self.mode {
            Mode::Stopped => self.graph.order().iter().copied().filter(unstarted).collect(),
            Mode::Going | Mode::Failed { .. } => {
                self.queue.iter().map(|&(_, _, stage)| stage).collect()
            }
        };
        for stage in dropped {
            self.drop_with_dependents(stage, effects);
        }
    }

    fn start_queued(&mut self, effects: &mut Vec<Effect>) {
        let mut at = Bound::Unbounded;
        // What did not fit does not later on: meanwhile there is only less. The next unit of a stage lies ahead.
        while let Some(&entry) = self.queue.range((at, Bound::Unbounded)).next() {
            // The first resource is one that every stage demand some of.
            if self.free.first() == Some(&0) {
                break;
            }
            at = Bound::Excluded(entry);
            let (_, _, stage) = entry;
            if self.demand[stage].iter().any(|&(resource, amount)| amount > self.free[resource]) {
                continue;
            }
            for &(resource, amount) in &self.demand[stage] {
                self.free[resource] -= amount;
            }
            self.queue.remove(&entry);
            if let State::Splitting { next, count, running } = self.states[stage] {
                effects.push(Effect::Start(stage, next));
                self.requeue_units(
                    stage,
                    State::Splitting { next: next + 1, count, running: running + 1 },
                    effects,
                );
            } else {
                self.states[stage] = State::Performing;
                effects.push(Effect::Perform(stage));
            }
        }
    }
}

#[cfg(test)]
mod tests;
