//! The length of a training in epochs, given or chosen by the number of clips.
//!
//! Learning depends on the number of optimizer steps more than on passes over the clips: 30 clips
//! in batches of 32 are one step per epoch, 3,000 clips are 94.

/// Passes over the clips unless that would be too few or too many steps.
const USUAL_EPOCHS: u64 = 80;
/// Fewest steps. With 30 clips of 10 seconds they take about 50 seconds of CPU time.
const FEWEST_STEPS: u64 = 600;
/// Most steps, unless a single epoch has more.
const MOST_STEPS: u64 = 2400;

/// Number of epochs of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    /// Passes over the training clips.
    pub epochs: u64,
    /// Epochs in which the learning rate rises to its full value; below `epochs`.
    pub warmup: u64,
}

impl Length {
    /// Resolves the params `epochs` and `warmup_epochs` for a number of steps per epoch.
    ///
    /// An `epochs` of 0 stands for 80 epochs, but at least 600 and at most 2,400 steps. The warm-up
    /// then keeps its share: `warmup_epochs` of 80.
    pub(crate) fn new(epochs: u64, warmup: u64, steps_per_epoch: u64) -> Length {
        if epochs > 0 {
            return Length { epochs, warmup };
        }
        let steps = steps_per_epoch.max(1);
        let epochs =
            USUAL_EPOCHS.max(FEWEST_STEPS.div_ceil(steps)).min((MOST_STEPS / steps).max(1));
        Length { epochs, warmup: warmup.min(USUAL_EPOCHS - 1) * epochs / USUAL_EPOCHS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_warmup() {
        for ((epochs, warmup), steps_per_epoch, expected) in [
            // 30 clips: one step per epoch.
            ((0, 5), 1, (600, 37)),
            ((0, 5), 7, (86, 5)),
            // ESC-10: 318 clips.
            ((0, 5), 10, (80, 5)),
            ((0, 5), 30, (80, 5)),
            // Spoken digits: 2,700 clips.
            ((0, 5), 85, (28, 1)),
            ((0, 5), 100_000, (1, 0)),
            ((0, 100), 10, (80, 79)),
            ((0, 0), 0, (600, 0)),
            ((2, 1), 1, (2, 1)),
            ((300, 5), 85, (300, 5)),
        ] {
            let found = Length::new(epochs, warmup, steps_per_epoch);
            let (epochs, warmup) = expected;
            assert_eq!(found, Length { epochs, warmup }, "{steps_per_epoch} steps per epoch");
        }
    }
}
