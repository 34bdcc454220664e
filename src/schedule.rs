//! Decides the order in which stages run.
//!
//! Mechanism: a pure state machine. [`Scheduler::advance`] takes a message about what happened and
//! returns the effects to carry out.
//!
//! ```text
//! Waiting ──(all needs done)──▶ Observing ──(work)──▶ Queued ──(cpus free)──▶ Executing ──▶ Done
//!    │                              └──(nothing to do)────────────────────────────────────▶ Done
//!    └──(a need failed, or everything stops)────────────────────────────────────────────▶ Dropped
//! ```
//!
//! A stage that is being executed may split its work into units ([`Input::Units`]). It then holds
//! no resources itself; each running unit holds what the stage demands. The queue is ordered by the
//! number of units that are running, so a stage with a thousand units does not delay other stages.
//!
//! Invariants:
//! - A stage is observed only after all stages it needs are done, so its inputs are final.
//! - The resources held never exceed the limits. A demand above a limit is reduced to the limit, so
//!   such a stage runs while nothing else uses the resource.
//! - Units start in order, each once. `Close` follows when no unit is running or will start.
//! - Every wanted stage ends once: `Done`, or `Dropped` by a failure of its own, `Skip` or
//!   `Abandon`.
//! - After a stop, or a failure with [`OnFailure::Stop`], nothing starts. A stage under observation
//!   is decided by its result, since it may turn out to be up to date.
//!
//! Known limits: nothing is reserved, so a stage with a large demand can wait while smaller ones
//! keep the resource busy. Expected durations are not considered.
//!
//! Does not know about threads, processes or the clock, or why a stage has work.

use std::collections::BTreeSet;
use std::ops::Bound;

use crate::pipeline::{Graph, StageIx, StageSet};

/// An event reported to the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Observed(StageIx, Need),
    Ended(StageIx, End),
    /// A stage that is being executed has split its remaining work into this many units.
    Units(StageIx, usize),
    UnitEnded(StageIx, End),
    /// Another run has freed resources that this one shares.
    Freed,
    /// Start nothing more. The engine stops what is being executed and still reports each end.
    Stop,
}

/// The result of observing a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Nothing,
    Work,
}

/// The result of a stage or a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Success,
    Failure,
}

/// An action for the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Observe the stage, then send [`Input::Observed`].
    Observe(StageIx),
    /// Execute the stage, then send [`Input::Ended`].
    Execute(StageIx),
    /// Start the unit with this number, counted from 0, then send [`Input::UnitEnded`].
    Start(StageIx, usize),
    /// Finish the stage, then send [`Input::Ended`]: no unit is running or will start.
    Close(StageIx),
    /// The stage does not run because stage `because` failed.
    Skip { stage: StageIx, because: StageIx },
    /// The stage does not run because the run was stopped.
    Abandon(StageIx),
}

/// Resources by index, and each stage's demand. Resource 0 is processors; every stage demands some.
#[derive(Debug, Clone, Default)]
pub struct Capacity {
    /// Available amount of each resource, at least 1.
    pub limits: Vec<u64>,
    /// Pairs of resource and amount for each stage, each resource once.
    pub demand: Vec<Vec<(usize, u64)>>,
}

/// The reaction to a failed stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Finish what is being executed, start nothing more.
    Stop,
    /// Keep running stages that do not depend on a failed one.
    KeepGoing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting {
        needs: usize,
    },
    Observing,
    Queued,
    Executing,
    /// Executing in units: the next unit, their total count, and how many are running.
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

/// The state of all stages and resources during a run.
#[derive(Debug)]
pub struct Scheduler<'g> {
    graph: &'g Graph,
    /// Pairs of resource and amount that each stage holds while it is executed.
    demand: Vec<Vec<(usize, u64)>>,
    /// Position of each stage in the graph's order, which decides between stages that could start.
    rank: Vec<usize>,
    states: Vec<State>,
    /// Stages that could start or have units left: number of running units, rank, stage.
    queue: BTreeSet<(usize, usize, StageIx)>,
    /// Free amount of each resource.
    free: Vec<u64>,
    on_failure: OnFailure,
    mode: Mode,
    /// Number of wanted stages that have not ended.
    open: usize,
}

impl<'g> Scheduler<'g> {
    /// Creates a scheduler for the `wanted` stages; the others count as done.
    pub fn new(
        graph: &'g Graph,
        wanted: &StageSet,
        capacity: Capacity,
        on_failure: OnFailure,
    ) -> Scheduler<'g> {
        let Capacity { limits, mut demand } = capacity;
        // A stage that demands more than the limit runs while nothing else uses the resource.
        for (resource, amount) in demand.iter_mut().flatten() {
            *amount = (*amount).min(limits[*resource]);
        }
        let mut rank = vec![0; wanted.stage_count()];
        for (position, &stage) in graph.order().iter().enumerate() {
            rank[stage] = position;
        }
        let state = |stage: StageIx| match wanted.contains(stage) {
            true => State::Waiting {
                needs: graph.needs(stage).iter().filter(|&&need| wanted.contains(need)).count(),
            },
            false => State::Done,
        };
        let states = StageIx::all(wanted.stage_count()).map(state).collect();
        Scheduler {
            graph,
            demand,
            rank,
            states,
            queue: BTreeSet::new(),
            free: limits,
            on_failure,
            mode: Mode::Going,
            open: wanted.len(),
        }
    }

    /// Returns the first effects: observe every stage that does not need another one.
    pub fn start(&mut self) -> Vec<Effect> {
        let ready = |stage: &StageIx| self.states[*stage] == State::Waiting { needs: 0 };
        let ready: Vec<StageIx> = self.graph.order().iter().copied().filter(ready).collect();
        let mut effects = Vec::with_capacity(ready.len());
        for stage in ready {
            self.observe(stage, &mut effects);
        }
        effects
    }

    /// Reports whether every wanted stage has ended.
    pub fn is_finished(&self) -> bool {
        self.open == 0
    }

    /// Does the same as [`Scheduler::advance`] with the free resources that several runs share.
    pub fn advance_sharing(&mut self, free: &mut Vec<u64>, input: Input) -> Vec<Effect> {
        std::mem::swap(&mut self.free, free);
        let effects = self.advance(input);
        std::mem::swap(&mut self.free, free);
        effects
    }

    /// Updates the state and returns the next effects, in the order to carry them out.
    pub fn advance(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Observed(stage, Need::Nothing) => self.finish(stage, &mut effects),
            Input::Observed(stage, Need::Work) => match self.mode {
                Mode::Going => {
                    self.states[stage] = State::Queued;
                    self.queue.insert((0, self.rank[stage], stage));
                }
                Mode::Failed { .. } | Mode::Stopped => {
                    self.drop_with_dependents(stage, &mut effects);
                }
            },
            Input::Ended(stage, end) => {
                self.leave_queue(stage);
                // A stage that was split holds nothing itself; only its running units do.
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
            Input::Units(stage, count) => {
                self.release(stage, 1);
                // After a stop or a failure the stage has no units left and is closed at once: its
                // thread waits for that.
                let count = if self.mode == Mode::Going { count } else { 0 };
                self.requeue_units(
                    stage,
                    State::Splitting { next: 0, count, running: 0 },
                    &mut effects,
                );
            }
            Input::UnitEnded(stage, end) => {
                self.release(stage, 1);
                self.leave_queue(stage);
                if let State::Splitting { next, count, running } = self.states[stage] {
                    let state = State::Splitting { next, count, running: running - 1 };
                    self.requeue_units(stage, state, &mut effects);
                }
                // The stage has not failed yet: its other running units may still succeed, and what
                // they make is kept. With `KeepGoing` even the remaining units start.
                if end == End::Failure {
                    self.stop_after_failure(stage, &mut effects);
                }
            }
            Input::Freed => {}
            Input::Stop => {
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

    /// Releases a stage's demand `times` times.
    fn release(&mut self, stage: StageIx, times: usize) {
        for &(resource, amount) in &self.demand[stage] {
            self.free[resource] += amount * times as u64;
        }
    }

    /// Sets the state of a stage's units and queues the next unit, or closes the stage.
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
        let running = match self.states[stage] {
            State::Splitting { running, .. } => running,
            _ => 0,
        };
        self.queue.remove(&(running, self.rank[stage], stage));
    }

    fn fail(&mut self, stage: StageIx, effects: &mut Vec<Effect>) {
        self.states[stage] = State::Dropped;
        self.open -= 1;
        // Dependents come first: they name this stage as the cause, even if an earlier failure has
        // stopped the run. Everything dropped later names the first failure.
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

    /// Drops a stage and all stages that need it.
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
            // Stages that are not wanted count as done, so a failure does not spread through them
            // to wanted stages behind them.
            if matches!(
                self.states[stage],
                State::Done | State::Dropped | State::Executing | State::Splitting { .. }
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

    /// Drops what has not started: stages, and the remaining units of stages being executed.
    ///
    /// Stages under observation stay; their result decides.
    fn drop_unstarted(&mut self, effects: &mut Vec<Effect>) {
        let queued: Vec<StageIx> = self.queue.iter().map(|&(_, _, stage)| stage).collect();
        for stage in queued {
            if let State::Splitting { next, running, .. } = self.states[stage] {
                self.leave_queue(stage);
                // No unit is left. Those that are running finish, then the stage is closed.
                self.requeue_units(stage, State::Splitting { next, count: next, running }, effects);
            }
        }
        let unstarted =
            |stage: &StageIx| matches!(self.states[*stage], State::Waiting { .. } | State::Queued);
        // After a failure, waiting stages stay: one that waits for a stage under observation may
        // turn out to be up to date.
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
        // One pass is enough: starting something only reduces the free resources, and the next unit
        // of a stage is queued behind the present one.
        while let Some(&entry) = self.queue.range((at, Bound::Unbounded)).next() {
            // Every stage demands some of the first resource, so nothing can start. Without this, a
            // long queue would be searched after each message.
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
                self.states[stage] = State::Executing;
                effects.push(Effect::Execute(stage));
            }
        }
    }
}

#[cfg(test)]
mod tests;
