//! Learning curves: the scores of each epoch, the best epoch, and the progress lines.

use std::path::Path;

use anyhow::Result;
use kit::Events;
use model::metrics::Scores;
use serde::{Deserialize, Serialize};

/// Scores of the epochs so far.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Curves {
    epochs: Vec<Epoch>,
    best: usize,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Epoch {
    trained: Scores,
    validated: Option<Scores>,
}

/// Number of lines about epochs that a training prints; of more epochs some are left out.
const LINES: u64 = 100;

/// Columns of `curves.csv` after `epoch`, keys of the series, and keys of the best epoch in
/// `train.json`.
const KEYS: [&str; 6] =
    ["train_loss", "train_accuracy", "train_macro_f1", "val_loss", "val_accuracy", "val_macro_f1"];

/// Content of `train.json`: the epoch of the kept weights, and its scores.
///
/// The validation clips chose that epoch, so its scores on them are too high. Those of the last
/// epoch are not.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    best_epoch: usize,
    epochs: usize,
    train_loss: f64,
    train_accuracy: f64,
    train_macro_f1: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    val_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    val_accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    val_macro_f1: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_epoch: Option<LastEpoch>,
}

/// Scores of the last epoch on the validation clips.
#[derive(Debug, Serialize)]
struct LastEpoch {
    val_loss: f64,
    val_accuracy: f64,
    val_macro_f1: f64,
}

impl Curves {
    /// Adds an epoch and returns whether it is the best so far.
    ///
    /// The best epoch has the highest validation accuracy. Ties go to the lowest validation loss,
    /// then to the first epoch. If no clips are held out, the last epoch is the best.
    pub(crate) fn push(&mut self, trained: Scores, validated: Option<Scores>) -> bool {
        let epoch = Epoch { trained, validated };
        let better = self.epochs.get(self.best).is_none_or(|best| epoch.beats(best));
        if better {
            self.best = self.epochs.len();
        }
        self.epochs.push(epoch);
        better
    }

    /// Returns the best epoch, counted from 1.
    pub(crate) fn best_epoch(&self) -> usize {
        self.best + 1
    }

    /// Returns the number of epochs.
    pub(crate) fn len(&self) -> usize {
        self.epochs.len()
    }

    /// Returns the number of epochs after the best.
    pub(crate) fn epochs_since_best(&self) -> usize {
        self.epochs.len().saturating_sub(self.best_epoch())
    }

    /// Sends the scores of all epochs as series points. After a resume, the current run has not
    /// seen those of the interrupted one.
    pub(crate) fn send_series(&self, events: &Events) {
        self.epochs.iter().zip(1..).for_each(|(epoch, step)| epoch.send(step, events));
    }

    /// Prints a line about the last epoch, out of `total`, and sends its scores as series points.
    pub(crate) fn report_last(&self, total: u64, events: &Events) {
        let Some(last) = self.epochs.last() else { return };
        let step = self.epochs.len() as u64;
        last.send(step, events);
        let is_best = self.best_epoch() as u64 == step;
        if !step.is_multiple_of(total.div_ceil(LINES)) && step < total && !is_best {
            return;
        }
        let line = |name: &str, scores: Scores| {
            format!(
                "{name} loss {:.4} accuracy {:.3} F1 {:.3}",
                scores.loss, scores.accuracy, scores.macro_f1
            )
        };
        let validated =
            last.validated.map_or(String::new(), |scores| format!(" · {}", line("val", scores)));
        let best = if is_best { " · best" } else { "" };
        let width = total.to_string().len();
        kit::say!(
            "epoch {step:>width$}/{total} · {}{validated}{best}",
            line("train", last.trained)
        );
    }

    /// Returns the content of `train.json`; all zero before the first epoch.
    pub(crate) fn summary(&self) -> Summary {
        let [train_loss, train_accuracy, train_macro_f1, val_loss, val_accuracy, val_macro_f1] =
            self.epochs.get(self.best).map_or([None; 6], Epoch::values);
        let last = self.epochs.last().and_then(|last| last.validated);
        let last_epoch = last.map(|last| LastEpoch {
            val_loss: last.loss,
            val_accuracy: last.accuracy,
            val_macro_f1: last.macro_f1,
        });
        Summary {
            best_epoch: self.best_epoch(),
            epochs: self.len(),
            train_loss: train_loss.unwrap_or_default(),
            train_accuracy: train_accuracy.unwrap_or_default(),
            train_macro_f1: train_macro_f1.unwrap_or_default(),
            val_loss,
            val_accuracy,
            val_macro_f1,
            last_epoch,
        }
    }

    /// Writes `epoch` and the six scores as CSV. Validation cells are empty if no clips are held
    /// out.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let header: Vec<&str> = std::iter::once("epoch").chain(KEYS).collect();
        let rows = self.epochs.iter().zip(1..).map(|(epoch, number)| {
            let cells =
                epoch.values().map(|value| value.map_or(String::new(), |value| value.to_string()));
            std::iter::once(number.to_string()).chain(cells).collect::<Vec<_>>()
        });
        kit::csv::write(path, &header, rows)
    }
}

impl Epoch {
    fn send(&self, step: u64, events: &Events) {
        for (key, value) in KEYS.iter().zip(self.values()) {
            if let Some(value) = value {
                events.metric(key, step, value);
            }
        }
    }

    fn beats(&self, best: &Epoch) -> bool {
        match (self.validated, best.validated) {
            (Some(new), Some(best)) if new.accuracy == best.accuracy => new.loss < best.loss,
            (Some(new), Some(best)) => new.accuracy > best.accuracy,
            _ => true,
        }
    }

    fn values(&self) -> [Option<f64>; 6] {
        let Scores { loss, accuracy, macro_f1 } = self.trained;
        let of = |score: fn(Scores) -> f64| self.validated.map(score);
        [
            Some(loss),
            Some(accuracy),
            Some(macro_f1),
            of(|it| it.loss),
            of(|it| it.accuracy),
            of(|it| it.macro_f1),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(accuracy: f64, loss: f64) -> Scores {
        Scores { loss, accuracy, macro_f1: accuracy / 2.0 }
    }

    fn best_of(epochs: &[Option<(f64, f64)>]) -> usize {
        let mut curves = Curves::default();
        for validated in epochs {
            curves.push(scores(0.1, 9.0), validated.map(|(accuracy, loss)| scores(accuracy, loss)));
        }
        curves.best_epoch()
    }

    #[test]
    fn best_epoch() {
        for (epochs, expected) in [
            (vec![Some((0.5, 1.0)), Some((0.6, 2.0)), Some((0.4, 0.1))], 2),
            (vec![Some((0.5, 1.0)), Some((0.5, 0.9)), Some((0.5, 0.95))], 2),
            (vec![Some((0.5, 1.0)), Some((0.5, 1.0))], 1),
            (vec![Some((0.0, 3.0))], 1),
            (vec![None, None, None], 3),
        ] {
            assert_eq!(best_of(&epochs), expected, "{epochs:?}");
        }
    }

    #[test]
    fn csv_and_summary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.csv");
        let mut curves = Curves::default();
        curves.push(scores(0.25, 2.0), Some(scores(0.5, 1.5)));
        curves.push(scores(0.5, 1.0), Some(scores(0.25, 1.0)));
        curves.write(&path).unwrap();
        let expected = "epoch,train_loss,train_accuracy,train_macro_f1,\
                        val_loss,val_accuracy,val_macro_f1\n\
                        1,2,0.25,0.125,1.5,0.5,0.25\n2,1,0.5,0.25,1,0.25,0.125\n";
        assert_eq!(std::fs::read_to_string(&path).unwrap(), expected);
        let summary = serde_json::to_string(&curves.summary()).unwrap();
        let expected = concat!(
            r#"{"best_epoch":1,"epochs":2,"#,
            r#""train_loss":2.0,"train_accuracy":0.25,"train_macro_f1":0.125,"#,
            r#""val_loss":1.5,"val_accuracy":0.5,"val_macro_f1":0.25,"#,
            r#""last_epoch":{"val_loss":1.0,"val_accuracy":0.25,"val_macro_f1":0.125}}"#
        );
        assert_eq!(summary, expected);
    }
}
