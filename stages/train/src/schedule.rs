//! Learning rate schedules.

use serde::Deserialize;

/// The `train.schedule` param: the learning rate schedule after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Schedule {
    /// The learning rate does not change.
    #[default]
    Constant,
    /// The learning rate falls to 0 along half a cosine (Loshchilov and Hutter 2017).
    Cosine,
}

impl Schedule {
    /// Returns the multiplier of the learning rate, 0 to 1, in step `step` of `total`, counted from
    /// 0.
    ///
    /// It rises linearly for `warmup` steps, then follows the schedule.
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
    fn learning_rate_factors() {
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
