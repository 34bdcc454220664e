//! Limits of the scores: which clips were measured, the last epoch, and whether the clips suffice.

use anyhow::{Context as _, Result};
use kit::csv::Table;
use serde::Serialize;

use crate::wilson::Interval;

/// Width of the interval of the accuracy above which the clips are too few to say much.
const WIDE: f64 = 0.25;

/// Scores of the last epoch on the validation clips, which did not choose it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct LastEpoch {
    pub(crate) accuracy: f64,
    macro_f1: f64,
    loss: f64,
    pub(crate) interval: AccuracyInterval,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct AccuracyInterval {
    pub(crate) accuracy: Interval,
}

impl LastEpoch {
    /// Reads the last row of the learning curves; `None` if it has no validation scores.
    ///
    /// # Errors
    /// If a column is missing.
    pub(crate) fn of(curves: &Table, clips: usize) -> Result<Option<LastEpoch>> {
        let Some(row) = curves.rows.last() else { return Ok(None) };
        let mut values = [0.0; 3];
        for (value, name) in values.iter_mut().zip(["val_accuracy", "val_macro_f1", "val_loss"]) {
            let cell =
                row.get(curves.column(name)?).context("BUG: a row shorter than the header")?;
            let Some(number) = cell.parse::<f64>().ok().filter(|number| number.is_finite()) else {
                return Ok(None);
            };
            *value = number;
        }
        let [accuracy, macro_f1, loss] = values;
        let interval = AccuracyInterval { accuracy: Interval::wilson(accuracy, clips as f64) };
        Ok(Some(LastEpoch { accuracy, macro_f1, loss, interval }))
    }
}

/// Names the measured clips, such as `20 validation clips, which chose the epoch`.
pub(crate) fn measured_clips(clips: usize, chose_epoch: bool) -> String {
    let plural = if clips == 1 { "" } else { "s" };
    match chose_epoch {
        true => format!("{clips} validation clip{plural}, which chose the epoch"),
        false => format!("{clips} test clip{plural}"),
    }
}

/// Formats a share as a percentage with its interval, such as `80.0 % (58.4 to 91.9)`.
pub(crate) fn percent(share: f64, Interval { low, high }: Interval) -> String {
    let [share, low, high] = [share, low, high].map(|value| value * 100.0);
    format!("{share:.1} % ({low:.1} to {high:.1})")
}

/// Formats a score with its interval, such as `0.800 (0.584 to 0.919)`.
pub(crate) fn with_interval(score: f64, Interval { low, high }: Interval) -> String {
    format!("{score:.3} ({low:.3} to {high:.3})")
}

/// Returns a warning if the clips are too few for the accuracy to say much.
pub(crate) fn too_few_clips(clips: usize, accuracy: Interval) -> Option<String> {
    (accuracy.width() > WIDE).then(|| {
        let subject = if clips == 1 { "1 clip says" } else { &format!("{clips} clips say") };
        format!(
            "{subject} little about the accuracy: it may be anything from {:.2} to {:.2}. Add \
             clips, or use cross-validation (`train.folds`)",
            accuracy.low, accuracy.high
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_clips() {
        let warning = |right, clips: usize| {
            too_few_clips(clips, Interval::wilson(right / clips as f64, clips as f64))
        };
        assert_eq!(
            warning(4.0, 4).unwrap(),
            "4 clips say little about the accuracy: it may be anything from 0.51 to 1.00. \
             Add clips, or use cross-validation (`train.folds`)"
        );
        assert!(warning(1.0, 1).unwrap().starts_with("1 clip says little"));
        assert!(warning(16.0, 20).is_some());
        assert!(warning(60.0, 80).is_none());
    }

    #[test]
    fn names_of_measured_clips() {
        assert_eq!(measured_clips(20, true), "20 validation clips, which chose the epoch");
        assert_eq!(measured_clips(1, false), "1 test clip");
        let interval = Interval::wilson(1.0, 4.0);
        assert_eq!(with_interval(1.0, interval), "1.000 (0.510 to 1.000)");
    }

    #[test]
    fn last_row_of_curves() {
        let table = |last: [&str; 3]| Table {
            header: ["val_loss", "val_accuracy", "val_macro_f1"].map(str::to_owned).to_vec(),
            rows: vec![vec!["9".to_owned(); 3], last.map(str::to_owned).to_vec()],
        };
        let found = LastEpoch::of(&table(["1.5", "0.75", "0.5"]), 20).unwrap().unwrap();
        assert_eq!((found.accuracy, found.macro_f1, found.loss), (0.75, 0.5, 1.5));
        assert_eq!(LastEpoch::of(&table(["", "", ""]), 20).unwrap(), None);
        let empty = Table { header: vec![], rows: vec![] };
        assert_eq!(LastEpoch::of(&empty, 20).unwrap(), None);
    }
}
