//! The trials of a sweep and their results.

use crate::engine::sweep::objective::Objective;
use crate::error::{Error, Result};
use crate::event::{Millis, RunName, RunStatus, TrialEnd, TrialName};
use crate::filter::{Known, MetricName};
use crate::pipeline::Override;
use crate::sweep::{self, Point};

/// A trial and its runs: one, or one for each seed.
#[derive(Debug, Clone)]
pub struct Trial {
    pub number: usize,
    pub overrides: Vec<Override>,
    pub repeats: Vec<Repeat>,
    pub(super) point: Point,
}

/// A run of a trial.
#[derive(Debug, Clone, PartialEq)]
pub enum Repeat {
    Waiting,
    Running,
    Over { run: Option<RunName>, took: Millis, end: TrialEnd },
}

/// The state of a trial as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrialState {
    Waiting,
    Running,
    Ok,
    Halved,
    Failed,
    Interrupted,
}

/// The results of a sweep.
#[derive(Debug)]
pub struct Results {
    pub run: RunName,
    pub trials: Vec<Trial>,
    pub objective: Option<Objective>,
    pub status: RunStatus,
    pub took: Millis,
    /// The reason that the sweep ended before all trials.
    pub stopped: Option<String>,
    /// The error that ended it.
    pub fatal: Option<Error>,
}

impl Trial {
    /// Returns the name of a repeat, by its index.
    pub(super) fn name(&self, repeat: usize) -> TrialName {
        let repeat = (self.repeats.len() > 1).then_some(repeat + 1);
        TrialName { trial: self.number, repeat }
    }

    /// Reports whether any of its runs has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.repeats.iter().any(|repeat| *repeat != Repeat::Waiting)
    }

    pub fn state(&self) -> TrialState {
        let ends = || {
            self.repeats.iter().filter_map(|repeat| match repeat {
                Repeat::Over { end, .. } => Some(end),
                Repeat::Waiting | Repeat::Running => None,
            })
        };
        let any = |is: fn(&TrialEnd) -> bool| ends().any(is);
        if self.repeats.contains(&Repeat::Running) {
            TrialState::Running
        } else if any(|end| matches!(end, TrialEnd::Failed { .. })) {
            TrialState::Failed
        } else if any(|end| *end == TrialEnd::Interrupted) {
            TrialState::Interrupted
        } else if ends().count() < self.repeats.len() {
            TrialState::Waiting
        } else if any(|end| matches!(end, TrialEnd::Halved { .. })) {
            TrialState::Halved
        } else {
            TrialState::Ok
        }
    }

    /// Returns the mean of the metric over the repeats; `None` unless all of them have it.
    pub fn value(&self) -> Option<f64> {
        let value = |repeat: &Repeat| match repeat {
            Repeat::Over {
                end: TrialEnd::Ok { value } | TrialEnd::Halved { value, .. }, ..
            } => *value,
            _ => None,
        };
        let values: Option<Vec<f64>> = self.repeats.iter().map(value).collect();
        values
            .filter(|values| !values.is_empty())
            .map(|values| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// Returns the score, of which lower is better; `None` while a repeat is missing.
    pub(super) fn score(&self, objective: Option<&Objective>) -> Option<f64> {
        match self.state() {
            TrialState::Waiting | TrialState::Running | TrialState::Interrupted => None,
            TrialState::Failed => Some(f64::INFINITY),
            TrialState::Ok | TrialState::Halved => {
                let score =
                    |objective: &Objective| Some(sweep::score(objective.goal, self.value()?));
                let score = objective.and_then(score).filter(|score| !score.is_nan());
                Some(score.unwrap_or(f64::INFINITY))
            }
        }
    }

    /// Returns the runs of the repeats that have ended.
    pub fn runs(&self) -> impl Iterator<Item = RunName> {
        self.repeats.iter().filter_map(|repeat| match repeat {
            Repeat::Over { run, .. } => *run,
            Repeat::Waiting | Repeat::Running => None,
        })
    }
}

impl Results {
    /// Returns the best of the trials that came to their end.
    pub fn best(&self) -> Option<&Trial> {
        let objective = self.objective.as_ref()?;
        let ended = self.trials.iter().filter(|trial| trial.state() == TrialState::Ok);
        let scored = ended.filter_map(|trial| Some((trial.score(Some(objective))?, trial)));
        let scored = scored.filter(|(score, _)| score.is_finite());
        scored.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, trial)| trial)
    }

    pub fn count(&self, state: TrialState) -> usize {
        self.trials.iter().filter(|trial| trial.state() == state).count()
    }
}

/// Returns the value of the metric that an objective names: of the variants of a matrix, the best.
///
/// # Errors
/// No metric has the name, or several do.
pub(super) fn value_of(metrics: &[(MetricName, f64)], objective: &Objective) -> Result<f64> {
    let mut names: Vec<MetricName> = metrics.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    let known = Known { metrics: names, ..Known::default() };
    let meant = known.metric(&objective.metric)?;
    // A final metric is before the series of its name.
    let first = |name: &MetricName| metrics.iter().find(|(other, _)| other == name);
    let values = meant.iter().filter_map(first).map(|(_, value)| *value);
    let score = |value: f64| sweep::score(objective.goal, value);
    let better = |a: f64, b: f64| if a.is_nan() || score(b) < score(a) { b } else { a };
    Ok(values.reduce(better).unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Goal;

    #[test]
    fn names_of_metrics() {
        let metrics = [
            ("a", "loss", 1.0),
            ("b", "loss", 2.0),
            ("a", "acc", 3.0),
            ("a", "acc", 9.0),
            ("test@0.5", "f1", f64::NAN),
            ("test@1.5", "f1", 4.0),
            ("test@2.5", "f1", 5.0),
            ("test@2.5", "per.f1", 6.0),
        ]
        .map(|(stage, key, value)| (MetricName { stage: stage.into(), key: key.into() }, value));
        for (name, goal, expected) in [
            ("a.loss", Goal::Min, Some(1.0)),
            ("acc", Goal::Max, Some(3.0)),
            ("test.f1", Goal::Max, Some(5.0)),
            ("test.f1", Goal::Min, Some(4.0)),
            ("test@1.5.f1", Goal::Max, Some(4.0)),
            ("loss", Goal::Min, None),
            ("cc", Goal::Max, None),
        ] {
            let objective = Objective { metric: name.to_owned(), goal };
            assert_eq!(value_of(&metrics, &objective).ok(), expected, "{name}");
        }
    }
}
