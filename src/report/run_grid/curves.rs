//! Small curves of a metric, for the rows of the grid.

use serde::Serialize;

use crate::error::Result;
use crate::event::RunName;
use crate::runs::Store;
use crate::runs::columns::Curve;

/// The curve of a metric in one run, as the smallest and largest number of each piece.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunCurve {
    pub run: u64,
    pub first_step: i64,
    pub last_step: i64,
    pub count: u64,
    /// `null` in both for a piece without numbers.
    pub low: Vec<Option<f64>>,
    pub high: Vec<Option<f64>>,
}

/// Reads the curves of a metric, in at most `width` pieces; runs without it are left out.
///
/// # Errors
/// No run has such a metric; the store cannot be read.
pub fn curves(store: &Store, runs: &[RunName], name: &str, width: usize) -> Result<Vec<RunCurve>> {
    let known = store.known()?;
    let metrics = known.metric(name)?;
    let mut curves = Vec::new();
    for run in runs {
        for metric in &metrics {
            if let Some(curve) = store.curve(*run, metric, width)? {
                curves.push(RunCurve::new(*run, curve));
                break;
            }
        }
    }
    Ok(curves)
}

impl RunCurve {
    fn new(run: RunName, curve: Curve) -> RunCurve {
        // JSON has no infinities.
        let finite = |value: f64| value.is_finite().then_some(value);
        RunCurve {
            run: run.0,
            first_step: curve.first_step,
            last_step: curve.last_step,
            count: curve.count,
            low: curve.pieces.iter().map(|piece| finite((*piece)?.0)).collect(),
            high: curve.pieces.iter().map(|piece| finite((*piece)?.1)).collect(),
        }
    }
}
