//! Chooses the next trial of a sweep: one that an earlier command has begun, or a new one.

use super::known::Known;
use super::objective::Objective;
use super::options::OnFailedBefore;
use super::results::{Repeat, Trial, value_of};
use super::setup::{Setup, Strategy};
use crate::error::Result;
use crate::event::{Failure, Millis, TrialEnd};
use crate::runs::{RunState, StageState};
use crate::sweep::{self, Finished, Point, Space};

/// The trials so far, and the way to find the next one.
pub(super) struct Chooser<'d> {
    pub setup: &'d Setup,
    pub space: &'d Space<'d>,
    /// All points, unless they are proposed one after the other.
    pub list: Option<Vec<Point>>,
    /// Number of points at the start of the list that are trials.
    pub taken: usize,
    pub trials: Vec<Trial>,
    /// Number of the next new trial.
    pub next_number: usize,
}

impl Chooser<'_> {
    /// Returns the number of trials that there will be.
    pub(super) fn total(&self) -> Option<usize> {
        match (&self.list, self.setup.strategy) {
            (Some(list), _) => Some(list.len()),
            (None, Strategy::Optimize(count)) => Some(count),
            (None, Strategy::Grid | Strategy::Random(_)) => None,
        }
    }

    /// Returns the next run: of a known trial first, then of a new one.
    pub(super) fn next(&mut self) -> Result<Option<(usize, usize)>> {
        let waiting =
            |trial: &Trial| trial.repeats.iter().position(|repeat| *repeat == Repeat::Waiting);
        let known = self.trials.iter().enumerate().find_map(|(at, one)| Some((at, waiting(one)?)));
        if known.is_some() {
            return Ok(known);
        }
        let Some(point) = self.propose()? else { return Ok(None) };
        self.trials.push(Trial {
            number: self.next_number,
            overrides: self.space.overrides(&point),
            repeats: vec![Repeat::Waiting; self.setup.seeds.len()],
            point,
        });
        self.next_number += 1;
        Ok(Some((self.trials.len() - 1, 0)))
    }

    fn propose(&mut self) -> Result<Option<Point>> {
        if let Some(list) = &self.list {
            let is_trial = |point: &&Point| self.trials.iter().any(|trial| trial.point == **point);
            self.taken += list[self.taken..].iter().take_while(is_trial).count();
            return Ok(list.get(self.taken).cloned());
        }
        let Strategy::Optimize(count) = self.setup.strategy else { return Ok(None) };
        if self.trials.len() >= count {
            return Ok(None);
        }
        let (mut finished, mut pending) = (Vec::new(), Vec::new());
        for trial in &self.trials {
            let point = trial.point.clone();
            match trial.score(self.setup.objective.as_ref()) {
                Some(score) => finished.push(Finished { point, score }),
                None => pending.push(point),
            }
        }
        Ok(sweep::ask(self.space, &finished, &pending, self.setup.seed)?)
    }
}

/// Returns the state of a repeat that an earlier command has recorded.
pub(super) fn recorded(
    known: &Known,
    is_current: bool,
    objective: Option<&Objective>,
    on_failed: OnFailedBefore,
) -> Repeat {
    let took = known.run.took.unwrap_or(Millis(0));
    let over = |end| Repeat::Over { run: Some(known.run.name), took, end };
    let value = objective.and_then(|objective| value_of(&known.metrics, objective).ok());
    match (known.run.state, known.halved) {
        (_, Some(after)) if is_current => over(TrialEnd::Halved { value, after }),
        (RunState::Ok, None) if is_current && (objective.is_none() || value.is_some()) => {
            over(TrialEnd::Ok { value })
        }
        (RunState::Failed, _) if on_failed == OnFailedBefore::Leave => {
            let failed = known.run.stages.iter().find_map(|stage| match &stage.state {
                StageState::Failed(failure) | StageState::Unrecorded(failure) => {
                    Some((stage.stage.to_string(), failure.clone()))
                }
                _ => None,
            });
            let what = "failed".to_owned();
            let none = || Failure { what, causes: Vec::new(), hint: None };
            let (stage, failure) = match failed {
                Some((stage, failure)) => (Some(stage), failure),
                None => (None, none()),
            };
            over(TrialEnd::Failed { stage, failure })
        }
        _ => Repeat::Waiting,
    }
}
