//! How large a step of the optimizer is, by how much of the training is done.
//!
//! Knows nothing about optimizers.

use serde::Deserialize;

/// The param `train.schedule`: the course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Schedule {
    /// It stays.
    #[default]
    Constant,
    /// It falls to 0 along half a cosine (Loshchilov and Hutter 2017).
    Cosine,
}

impl Schedule {
    /// What the learning rate is multiplied by in step `step` of `total`, counted from 0. It grows linearly
    /// for `warmup` steps, then takes its course.
    pub(crate) fn factor(self, step: u64, total: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / (warmup + 1) as f64;
        }
        match self {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let done = (step - warmup) as f64 / total.saturating_sub(warmup).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_course_of_the_learning_rate() {
        for (schedule, step, total, warmup, expected) in [
            (Schedule::Constant, 0, 10, 0, 1.0),
            (Schedule::Constant, 9, 10, 0, 1.0),
            (Schedule::Constant, 0, 10, 3, 0.25),
            (Schedule::Constant, 2, 10, 3, 0.75),
            (Schedule::Constant, 3, 10, 3, 1.0),
            (Schedule::Cosine, 0, 10, 0, 1.0),
            (Schedule::Cosine, 5, 10, 0, 0.5),
            (Schedule::Cosine, 2, 12, 2, 1.0),
            (Schedule::Cosine, 7, 12, 2, 0.5),
            (Schedule::Cosine, 12, 12, 2, 0.0),
            (Schedule::Cosine, 99, 12, 2, 0.0),
            (Schedule::Cosine, 5, 5, 5, 1.0),
        ] {
            let found = schedule.factor(step, total, warmup);
            assert!((found - expected).abs() < 1e-12, "{schedule:?} {step}/{total}: {found}");
        }
    }
}
