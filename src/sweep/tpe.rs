//! Tree-structured Parzen estimator: proposes the next trial of an optimization.
//!
//! The finished trials are split into a good tenth and the others. Each half becomes a density
//! over all axes at once ([`Mixture`]). Of 24 points drawn from the good one, the point is proposed
//! whose ratio of the two densities is largest. Trials that are still running count as bad, so
//! trials that run at once differ. The method and its constants are those of Optuna's default
//! sampler (Bergstra et al. 2011; Watanabe 2023, arXiv:2304.11127).

use super::mixture::{Dimension, Mixture};
use super::random::Random;
use super::space::{BadSpace, Point, Space};

/// Trials that are drawn at random before the densities are used.
const RANDOM_STARTS: usize = 10;

/// The largest number of trials that count as good.
const MOST_GOOD: usize = 25;

/// Points that are drawn to choose one from.
const CANDIDATES: usize = 24;

/// A trial that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    pub point: Point,
    /// Lower is better; infinite for a trial that failed.
    pub score: f64,
}

/// Proposes the next point; `None` if the space seems to be exhausted.
///
/// # Errors
/// A condition of the space cannot be evaluated.
pub fn ask(
    space: &Space<'_>,
    finished: &[Finished],
    pending: &[Point],
    seed: u64,
) -> Result<Option<Point>, BadSpace> {
    let known: Vec<Point> =
        finished.iter().map(|trial| &trial.point).chain(pending).cloned().collect();
    let stream = known.len() as u64;
    if finished.len() < RANDOM_STARTS {
        return space.draw(&known, seed, stream);
    }
    let dimensions: Vec<Dimension> = space.axes.iter().map(Dimension::of).collect();
    let (good, bad) = split(finished);
    let units = |points: &[&Point]| -> Vec<Vec<Option<f64>>> {
        points.iter().map(|point| to_units(&dimensions, point)).collect()
    };
    let bad: Vec<&Point> = bad.into_iter().chain(pending).collect();
    let good = Mixture::new(&dimensions, units(&good));
    let bad = Mixture::new(&dimensions, units(&bad));
    let mut random = Random::new(seed, stream);
    let mut candidates: Vec<(f64, Vec<f64>)> = (0..CANDIDATES)
        .map(|_| {
            let drawn = good.draw(&mut random);
            (good.log_density(&drawn) - bad.log_density(&drawn), drawn)
        })
        .collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, units) in candidates {
        let places = dimensions.iter().zip(units).map(|(dimension, unit)| dimension.place(unit));
        let settled = space.settle(Point(places.map(Some).collect()))?;
        if let Some(point) = settled.filter(|point| !known.contains(point)) {
            return Ok(Some(point));
        }
    }
    space.draw(&known, seed, stream)
}

fn to_units(dimensions: &[Dimension], point: &Point) -> Vec<Option<f64>> {
    let places = dimensions.iter().zip(&point.0);
    places.map(|(dimension, place)| place.map(|place| dimension.unit(place))).collect()
}

/// Splits the trials into the best tenth and the others, each in the order in which they ran.
fn split(finished: &[Finished]) -> (Vec<&Point>, Vec<&Point>) {
    let good = finished.len().div_ceil(10).min(MOST_GOOD);
    let mut order: Vec<usize> = (0..finished.len()).collect();
    order.sort_by(|&a, &b| finished[a].score.total_cmp(&finished[b].score));
    let (good, bad) = order.split_at_mut(good);
    good.sort_unstable();
    bad.sort_unstable();
    let points = |order: &[usize]| order.iter().map(|&at| &finished[at].point).collect();
    (points(good), points(bad))
}

#[cfg(test)]
mod tests;
