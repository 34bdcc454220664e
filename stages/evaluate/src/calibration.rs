//! Calibration: compares confidence with accuracy, binned by confidence.
//!
//! The expected calibration error follows Guo et al. 2017, "On Calibration of Modern Neural
//! Networks".

/// Statistics of the clips with a confidence above `from` and at most `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bin {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Number of clips.
    pub(crate) clips: u64,
    /// Mean confidence; 0 for an empty bin.
    pub(crate) confidence: f64,
    /// Share of correct predictions; 0 for an empty bin.
    pub(crate) accuracy: f64,
}

/// Sorts clips into `count` bins of equal width from 0 to 1.
///
/// A clip is its confidence and whether the prediction is correct.
pub(crate) fn bins(clips: impl IntoIterator<Item = (f64, bool)>, count: usize) -> Vec<Bin> {
    let mut sums = vec![(0_u64, 0.0, 0_u64); count];
    for (confidence, correct) in clips {
        let bin = ((confidence * count as f64).ceil() as usize).clamp(1, count) - 1;
        let (clips, confidences, hits) = &mut sums[bin];
        *clips += 1;
        *confidences += confidence;
        *hits += u64::from(correct);
    }
    let edge = |index: usize| index as f64 / count as f64;
    let bin = |(index, (clips, confidences, hits)): (usize, (u64, f64, u64))| {
        let mean = |sum: f64| if clips == 0 { 0.0 } else { sum / clips as f64 };
        let (confidence, accuracy) = (mean(confidences), mean(hits as f64));
        Bin { from: edge(index), to: edge(index + 1), clips, confidence, accuracy }
    };
    sums.into_iter().enumerate().map(bin).collect()
}

/// Returns the mean absolute difference between confidence and accuracy, weighted by clips.
///
/// Returns 0 without clips.
pub(crate) fn expected_error(bins: &[Bin]) -> f64 {
    let clips: u64 = bins.iter().map(|bin| bin.clips).sum();
    let distances = bins.iter().map(|bin| bin.clips as f64 * (bin.accuracy - bin.confidence).abs());
    distances.sum::<f64>() / clips.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clips, number of bins, expected error.
    type Case<'a> = (&'a [(f64, bool)], usize, f64);

    #[test]
    fn expected_errors() {
        let table: [Case<'_>; 6] = [
            // 0.95 correct: 0.05; 0.85 wrong: 0.85; two of 0.55, one correct: 2 · 0.05.
            (&[(0.95, true), (0.85, false), (0.55, true), (0.55, false)], 10, 0.25),
            // In one bin: mean confidence 0.725, half are correct.
            (&[(0.95, true), (0.85, false), (0.55, true), (0.55, false)], 1, 0.225),
            (&[(1.0, true), (1.0, true)], 10, 0.0),
            (&[(1.0, false)], 10, 1.0),
            // 0.5 belongs to the lower of two bins, and 0 to the first.
            (&[(0.5, true), (0.0, false), (0.75, true)], 2, (0.5 + 0.25) / 3.0),
            (&[], 10, 0.0),
        ];
        for (clips, count, expected) in table {
            let found = expected_error(&bins(clips.iter().copied(), count));
            assert!((found - expected).abs() < 1e-12, "{clips:?}: {found}");
        }
    }

    #[test]
    fn bin_means() {
        let bins = bins([(0.3, true), (0.4, false), (0.45, false), (0.9, true)], 4);
        let expected =
            Bin { from: 0.25, to: 0.5, clips: 3, confidence: 1.15 / 3.0, accuracy: 1.0 / 3.0 };
        assert!((bins[1].confidence - expected.confidence).abs() < 1e-12);
        assert_eq!(Bin { confidence: expected.confidence, ..bins[1] }, expected);
        assert_eq!(bins.iter().map(|bin| bin.clips).collect::<Vec<_>>(), [0, 3, 0, 1]);
        assert_eq!((bins[0].confidence, bins[0].accuracy), (0.0, 0.0));
    }
}
