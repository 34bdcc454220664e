//! The rules that end a whole sweep early.

use std::fmt;

use crate::pipeline::Goal;

/// Converts a value of a metric to a score, of which lower is better, and back.
pub fn score(goal: Goal, value: f64) -> f64 {
    match goal {
        Goal::Min => value,
        Goal::Max => -value,
    }
}

/// The conditions under which a sweep stops asking for trials.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StopRule {
    /// Trials that may pass without improvement.
    pub patience: Option<usize>,
    /// A score that is good enough.
    pub target: Option<f64>,
}

/// The reason that a sweep stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    NoImprovement(usize),
    TargetReached,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::NoImprovement(trials) => write!(f, "no improvement in {trials} trials"),
            Stop::TargetReached => f.write_str("the target is reached"),
        }
    }
}

impl StopRule {
    /// Judges the scores of the trials that have ended, in the order in which they did.
    pub fn judge(&self, scores: &[f64]) -> Option<Stop> {
        let best = scores.iter().copied().enumerate().filter(|(_, score)| score.is_finite());
        let (at, best) = best.min_by(|a, b| a.1.total_cmp(&b.1))?;
        if self.target.is_some_and(|target| best <= target) {
            return Some(Stop::TargetReached);
        }
        let since = scores.len() - 1 - at;
        self.patience.filter(|patience| since >= *patience).map(Stop::NoImprovement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let judge = |patience, target, scores: &[f64]| StopRule { patience, target }.judge(scores);
        assert_eq!(judge(Some(2), None, &[3.0, 1.0, 2.0]), None);
        assert_eq!(judge(Some(2), None, &[3.0, 1.0, 2.0, 1.0]), Some(Stop::NoImprovement(2)));
        assert_eq!(judge(Some(1), None, &[]), None);
        assert_eq!(judge(Some(1), None, &[f64::INFINITY; 3]), None);
        assert_eq!(judge(None, Some(1.0), &[3.0, 1.0]), Some(Stop::TargetReached));
        assert_eq!(judge(None, Some(0.5), &[3.0, 1.0]), None);
        assert_eq!(judge(None, None, &[3.0, 1.0]), None);
    }
}
