//! Temperature scaling: one number that makes the probabilities of a network calibrated.
//!
//! The logits are divided by a temperature before the softmax (Guo et al. 2017). A temperature
//! above 1 lowers the confidence of an overconfident network. The predicted class does not change.
//!
//! A temperature must not be measured on the clips that it was fitted on. It is fitted on the
//! validation clips if the scores are those of test clips; otherwise each fifth of the clips is
//! scaled by the temperature of the other four.

use model::metrics::{cross_entropy, probabilities};
use serde::Serialize;

/// Fewest clips for a fit; on fewer, a temperature follows chance more than the network.
pub(crate) const FEWEST_CLIPS: usize = 50;
/// Number of parts of a cross-fit.
const FOLDS: usize = 5;
/// Range of the logarithm of a temperature, from 1/10 to 10: if all clips are right, the cross
/// entropy has its minimum at 0.
const RANGE: [f64; 2] = [-std::f64::consts::LN_10, std::f64::consts::LN_10];
/// Steps of the search; each shortens the range to 2/3.
const STEPS: usize = 60;

/// Logits with the true class of each clip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured<'a> {
    /// `[clips, classes]` in C order.
    pub(crate) logits: &'a [f32],
    pub(crate) targets: &'a [usize],
}

/// The clips on which the temperature was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FittedOn {
    /// Clips that chose the epoch, not those that are measured.
    Validation,
    /// The other four fifths of the measured clips.
    OtherFolds,
}

/// Calibrated probabilities of the measured clips.
#[derive(Clone, Debug)]
pub(crate) struct Calibrated {
    /// The temperature of all clips that it could be fitted on.
    pub(crate) temperature: f64,
    pub(crate) fitted_on: FittedOn,
    /// Logits of the measured clips, divided by a temperature that they did not contribute to.
    pub(crate) logits: Vec<f32>,
}

/// Scales the logits of the measured clips; `None` if there are too few clips for a fit.
pub(crate) fn calibrate(
    measured: Measured<'_>,
    validation: Option<Measured<'_>>,
) -> Option<Calibrated> {
    if let Some(validation) = validation {
        if validation.targets.len() < FEWEST_CLIPS {
            return None;
        }
        let temperature = fit(validation, |_| true);
        let logits = measured.logits.iter().map(|logit| logit / temperature as f32).collect();
        return Some(Calibrated { temperature, fitted_on: FittedOn::Validation, logits });
    }
    let clips = measured.targets.len();
    if clips < FEWEST_CLIPS {
        return None;
    }
    let classes = measured.logits.len() / clips;
    let mut logits = measured.logits.to_vec();
    for fold in 0..FOLDS {
        // The clips are sorted by class, so that each fold has its share of every class.
        let temperature = fit(measured, |clip| clip % FOLDS != fold);
        for clip in (fold..clips).step_by(FOLDS) {
            let row = &mut logits[clip * classes..][..classes];
            row.iter_mut().for_each(|logit| *logit /= temperature as f32);
        }
    }
    let temperature = fit(measured, |_| true);
    Some(Calibrated { temperature, fitted_on: FittedOn::OtherFolds, logits })
}

/// Returns the temperature with the lowest mean cross entropy on the chosen clips.
///
/// The cross entropy is convex in 1 / temperature, so a ternary search finds its minimum.
fn fit(measured: Measured<'_>, chosen: impl Fn(usize) -> bool) -> f64 {
    let classes = measured.logits.len() / measured.targets.len().max(1);
    let loss = |logarithm: f64| -> f64 {
        let scale = (-logarithm).exp() as f32;
        let clips = measured.logits.chunks_exact(classes.max(1)).zip(measured.targets);
        clips
            .enumerate()
            .filter(|(clip, _)| chosen(*clip))
            .map(|(_, (row, target))| {
                let row: Vec<f32> = row.iter().map(|logit| logit * scale).collect();
                cross_entropy(&row, *target)
            })
            .sum()
    };
    let [mut low, mut high] = RANGE;
    for _ in 0..STEPS {
        let third = (high - low) / 3.0;
        if loss(low + third) < loss(high - third) {
            high -= third;
        } else {
            low += third;
        }
    }
    ((low + high) / 2.0).exp()
}

/// Returns the calibrated probability of each clip's predicted class.
pub(crate) fn confidences(calibrated: &Calibrated, classes: usize) -> Vec<f64> {
    let largest = |row: &[f32]| probabilities(row).into_iter().fold(0.0, f64::max);
    calibrated.logits.chunks_exact(classes).map(largest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clips of two classes whose logits are `factor` times the logits of a calibrated network:
    /// three of four clips are right at a probability of 3/4.
    fn overconfident(clips: usize, factor: f32) -> (Vec<f32>, Vec<usize>) {
        let logits = (0..clips).flat_map(|_| [factor * 3f32.ln(), 0.0]).collect();
        (logits, (0..clips).map(|clip| usize::from(clip % 4 == 0)).collect())
    }

    #[test]
    fn temperature_undoes_scaling() {
        for factor in [0.5, 1.0, 4.0] {
            let (logits, targets) = overconfident(400, factor);
            let measured = Measured { logits: &logits, targets: &targets };
            for validation in [None, Some(measured)] {
                let found = calibrate(measured, validation).unwrap();
                assert!((found.temperature - f64::from(factor)).abs() < 1e-3, "{found:?}");
                for confidence in confidences(&found, 2) {
                    assert!((confidence - 0.75).abs() < 0.02, "{confidence}");
                }
            }
        }
    }

    #[test]
    fn too_few_clips() {
        let (logits, targets) = overconfident(FEWEST_CLIPS - 1, 1.0);
        let few = Measured { logits: &logits, targets: &targets };
        assert!(calibrate(few, None).is_none());
        let (logits, targets) = overconfident(FEWEST_CLIPS, 1.0);
        let enough = Measured { logits: &logits, targets: &targets };
        assert!(calibrate(enough, Some(few)).is_none());
        assert_eq!(calibrate(few, Some(enough)).unwrap().fitted_on, FittedOn::Validation);
        assert_eq!(calibrate(enough, None).unwrap().fitted_on, FittedOn::OtherFolds);
    }
}
