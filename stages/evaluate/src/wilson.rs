//! Wilson's score interval for a share of clips.

use serde::Serialize;

/// The standard normal quantile of 0.975: 95 % of the distribution is within ± this.
const Z: f64 = 1.959_963_984_540_054;

/// A 95 % interval of a score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Interval {
    /// Returns Wilson's interval of a share that was observed on `clips` clips.
    ///
    /// The interval covers the true share in about 95 % of samples, even if they are small or the
    /// share is near 0 or 1, where bootstrap and Wald intervals are too narrow. The number of clips
    /// may be an effective one and need not be an integer. Without clips it is 0 to 1.
    ///
    /// The formula is (4) in Brown, Cai, DasGupta 2001, "Interval Estimation for a Binomial
    /// Proportion", after Wilson 1927.
    pub(crate) fn wilson(share: f64, clips: f64) -> Interval {
        if clips <= 0.0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let z2 = Z * Z;
        let middle = (share * clips + z2 / 2.0) / (clips + z2);
        let half = Z / (clips + z2) * (share * (1.0 - share) * clips + z2 / 4.0).max(0.0).sqrt();
        // Clamped, because rounding can exceed the bounds, which are exact for a share of 0 or 1.
        Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
    }

    /// Returns the smallest interval that contains both.
    pub(crate) fn hull(self, other: Interval) -> Interval {
        Interval { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    pub(crate) fn width(self) -> f64 {
        self.high - self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows are right clips, clips, and `proportion_confint(…, method="wilson")` of statsmodels.
    #[test]
    fn matches_statsmodels() {
        for (right, clips, low, high) in [
            (4.0, 4.0, 0.510_109, 1.0),
            (0.0, 4.0, 0.0, 0.489_891),
            (13.0, 20.0, 0.432_854, 0.818_808),
            (16.0, 20.0, 0.583_983, 0.919_333),
            (50.0, 100.0, 0.403_832, 0.596_168),
            (1.0, 1.0, 0.206_549, 1.0),
            (0.0, 0.0, 0.0, 1.0),
        ] {
            let found = Interval::wilson(right / f64::max(clips, 1.0), clips);
            assert!(
                (found.low - low).abs() < 1e-5 && (found.high - high).abs() < 1e-5,
                "{right} of {clips}: {found:?}"
            );
        }
    }

    #[test]
    fn hull_and_width() {
        let [one, other] = [[0.2, 0.5], [0.3, 0.75]].map(|[low, high]| Interval { low, high });
        assert_eq!(one.hull(other), Interval { low: 0.2, high: 0.75 });
        assert_eq!(other.width(), 0.45);
    }
}
