//! A density over all axes of a space: one kernel per observed point, and the prior,
//! a kernel as wide as the space.
//!
//! Coordinates are in the unit interval, or the index of a category. A kernel is a truncated normal
//! distribution on each line and a distribution that favours one category on the others.

use super::random::Random;
use super::space::{Axis, Domain, short};
use crate::pipeline::swept::Scale;

/// Observations that weigh as much as the newest one; older ones weigh less.
const RECENT: usize = 25;

/// An axis as the density sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Dimension {
    /// Choices without an order.
    Categories(usize),
    /// Numbers between two values of the scale. Integers own a cell of the line each.
    Line { low: f64, high: f64, scale: Scale, grain: Grain },
}

/// The distance between neighbouring numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    Smooth,
    Whole,
}

impl Dimension {
    pub(super) fn of(axis: &Axis) -> Dimension {
        let whole = |low: f64, high: f64, scale: Scale| Dimension::Line {
            low: scale.apply(low - 0.5),
            high: scale.apply(high + 0.5),
            scale,
            grain: Grain::Whole,
        };
        match axis {
            Axis::Rows(rows) => Dimension::Categories(rows.len()),
            Axis::Param { domain, .. } => match *domain {
                Domain::Choices(ref texts) => Dimension::Categories(texts.len()),
                Domain::Steps(ref texts) => whole(0.0, texts.len() as f64 - 1.0, Scale::Linear),
                Domain::Integers { low, high, scale } => whole(low, high, scale),
                Domain::Floats { low, high, scale } => Dimension::Line {
                    low: scale.apply(low),
                    high: scale.apply(high),
                    scale,
                    grain: Grain::Smooth,
                },
            },
        }
    }

    /// Converts a place on the axis to a coordinate.
    pub(super) fn unit(self, place: f64) -> f64 {
        match self {
            Dimension::Categories(_) => place,
            Dimension::Line { low, high, scale, .. } => (scale.apply(place) - low) / (high - low),
        }
    }

    /// Returns the centre of the prior, which no category is.
    fn middle(self) -> Option<f64> {
        matches!(self, Dimension::Line { .. }).then_some(0.5)
    }

    /// Converts a coordinate to a place on the axis.
    pub(super) fn place(self, unit: f64) -> f64 {
        match self {
            Dimension::Categories(_) => unit,
            Dimension::Line { low, high, scale, grain } => {
                let value = scale.invert(low + unit * (high - low));
                match grain {
                    Grain::Smooth => short(value).clamp(scale.invert(low), scale.invert(high)),
                    Grain::Whole => {
                        let (first, last) = (scale.invert(low), scale.invert(high));
                        value.round().clamp((first + 0.5).round(), (last - 0.5).round())
                    }
                }
            }
        }
    }

    /// Returns the ends of the cell around a coordinate; `None` on a smooth line.
    fn cell(self, unit: f64) -> Option<(f64, f64)> {
        let Dimension::Line { grain: Grain::Whole, .. } = self else { return None };
        let place = self.place(unit);
        Some((self.unit(place - 0.5), self.unit(place + 0.5)))
    }
}

/// A weighted sum of kernels.
#[derive(Debug)]
pub(super) struct Mixture<'d> {
    dimensions: &'d [Dimension],
    /// The centre of each kernel, the prior last. It is unknown on an axis that was inactive.
    centres: Vec<Vec<Option<f64>>>,
    weights: Vec<f64>,
    /// The logarithm of each kernel's weight, less those of its norms.
    log_scales: Vec<f64>,
    /// The width of each kernel on each axis, which only lines use.
    widths: Vec<Vec<f64>>,
}

impl<'d> Mixture<'d> {
    pub(super) fn new(dimensions: &'d [Dimension], points: Vec<Vec<Option<f64>>>) -> Mixture<'d> {
        let count = points.len();
        let mut weights = weights(count);
        weights.push(1.0);
        let mut centres = points;
        centres.push(dimensions.iter().map(|dimension| dimension.middle()).collect());
        let total: f64 = weights.iter().sum();
        let mut mixture = Mixture {
            dimensions,
            widths: widths(&centres, dimensions.len()),
            centres,
            weights,
            log_scales: Vec::new(),
        };
        mixture.log_scales = (0..=count)
            .map(|kernel| (mixture.weights[kernel] / total).ln() - mixture.log_norm(kernel))
            .collect();
        mixture
    }

    /// Returns the logarithm of the mass that the kernel would have without truncation.
    fn log_norm(&self, kernel: usize) -> f64 {
        let norm = |at: usize| match (self.dimensions[at], self.centres[kernel][at]) {
            (Dimension::Line { grain, .. }, Some(centre)) => {
                let width = self.widths[kernel][at];
                let mass = mass(centre, width, 0.0, 1.0).ln();
                match grain {
                    Grain::Smooth => mass + (width * std::f64::consts::TAU.sqrt()).ln(),
                    Grain::Whole => mass,
                }
            }
            _ => 0.0,
        };
        (0..self.dimensions.len()).map(norm).sum()
    }

    /// Returns the probability of a category: the kernel's own, or another one.
    fn probability(&self, count: usize, is_centre: bool) -> f64 {
        let spread = 1.0 / self.centres.len() as f64;
        let own = if is_centre { 1.0 } else { 0.0 };
        (own + spread) / (1.0 + spread * count as f64)
    }

    pub(super) fn draw(&self, random: &mut Random) -> Vec<f64> {
        let kernel = random.weighted(&self.weights);
        let mut coordinate = |at: usize| match (self.dimensions[at], self.centres[kernel][at]) {
            (Dimension::Categories(count), Some(centre)) => {
                let own = self.probability(count, true);
                let other = random.below(count.max(2) - 1) as f64;
                match random.unit() < own {
                    true => centre,
                    false if other < centre => other,
                    false => (other + 1.0).min(count as f64 - 1.0),
                }
            }
            (Dimension::Categories(count), None) => random.below(count) as f64,
            (Dimension::Line { .. }, Some(centre)) => {
                truncated_normal(centre, self.widths[kernel][at], random)
            }
            (Dimension::Line { .. }, None) => random.unit(),
        };
        (0..self.dimensions.len()).map(&mut coordinate).collect()
    }

    pub(super) fn log_density(&self, units: &[f64]) -> f64 {
        let cells: Vec<Option<(f64, f64)>> = self
            .dimensions
            .iter()
            .zip(units)
            .map(|(dimension, &unit)| dimension.cell(unit))
            .collect();
        let logs: Vec<f64> = (0..self.centres.len())
            .map(|kernel| self.log_scales[kernel] + self.log_kernel(kernel, units, &cells))
            .collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln()
    }

    /// Returns the logarithm of a kernel without its norms.
    fn log_kernel(&self, kernel: usize, units: &[f64], cells: &[Option<(f64, f64)>]) -> f64 {
        let (centres, widths) = (&self.centres[kernel], &self.widths[kernel]);
        let mut log = 0.0;
        for at in 0..units.len() {
            log += match (self.dimensions[at], centres[at], cells[at]) {
                (Dimension::Categories(count), Some(centre), _) => {
                    self.probability(count, centre == units[at]).ln()
                }
                (Dimension::Categories(count), None, _) => -(count as f64).ln(),
                (Dimension::Line { .. }, Some(centre), Some((from, to))) => {
                    mass(centre, widths[at], from, to).ln()
                }
                (Dimension::Line { .. }, None, Some((from, to))) => (to - from).ln(),
                (Dimension::Line { .. }, Some(centre), None) => {
                    -0.5 * ((units[at] - centre) / widths[at]).powi(2)
                }
                (Dimension::Line { .. }, None, None) => 0.0,
            };
        }
        log
    }
}

/// Returns the width of each kernel on each axis: the larger distance to a neighbour there, and the
/// whole line for the prior.
///
/// A width is at least a share of the line, which shrinks with the number of kernels. The ends of
/// the line count as neighbours only of a single observation.
fn widths(centres: &[Vec<Option<f64>>], dimensions: usize) -> Vec<Vec<f64>> {
    let narrowest = 1.0 / (centres.len() as f64 + 1.0).min(100.0);
    let mut widths = vec![vec![1.0; dimensions]; centres.len()];
    for at in 0..dimensions {
        let observed = |kernel: usize| Some((centres[kernel][at]?, kernel));
        let mut sorted: Vec<(f64, usize)> = (0..centres.len() - 1).filter_map(observed).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (rank, &(centre, kernel)) in sorted.iter().enumerate() {
            let before = rank.checked_sub(1).map(|before| centre - sorted[before].0);
            let after = sorted.get(rank + 1).map(|after| after.0 - centre);
            let width = match (before, after) {
                (None, None) => centre.max(1.0 - centre),
                (before, after) => before.unwrap_or(0.0).max(after.unwrap_or(0.0)),
            };
            widths[kernel][at] = width.clamp(narrowest, 1.0);
        }
    }
    widths
}

/// Returns the mass between two coordinates of a normal distribution.
fn mass(centre: f64, width: f64, from: f64, to: f64) -> f64 {
    let cumulated = |at: f64| normal_cumulated((at - centre) / width);
    (cumulated(to) - cumulated(from)).max(1e-12)
}

fn truncated_normal(centre: f64, width: f64, random: &mut Random) -> f64 {
    // A third of the draws or more are inside, since no kernel is wider than the line.
    (0..100)
        .map(|_| centre + width * random.normal())
        .find(|drawn| (0.0..=1.0).contains(drawn))
        .unwrap_or(centre)
}

/// Returns the weights of observations, the oldest first.
fn weights(count: usize) -> Vec<f64> {
    let old = count.saturating_sub(RECENT);
    let lowest = 1.0 / count.max(1) as f64;
    let ramp = |at: usize| match old {
        1 => lowest,
        _ => lowest + (1.0 - lowest) * at as f64 / (old - 1) as f64,
    };
    (0..count).map(|at| if at < old { ramp(at) } else { 1.0 }).collect()
}

/// Returns the cumulated standard normal distribution, with an error below 1e-7 (Abramowitz and
/// Stegun, 7.1.26).
fn normal_cumulated(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * z);
    let series = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let tail = series.iter().fold(0.0, |sum, factor| sum * t + factor) * t * (-z * z).exp();
    if x < 0.0 { tail / 2.0 } else { 1.0 - tail / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulated_distribution() {
        for (x, expected) in [(0.0, 0.5), (1.0, 0.841_345), (-1.96, 0.024_998), (5.0, 1.0)] {
            assert!((normal_cumulated(x) - expected).abs() < 1e-6, "{x}");
        }
    }

    /// The density of a mixture integrates to 1, on a line and over categories.
    #[test]
    fn total_mass() {
        let line =
            Dimension::Line { low: 0.0, high: 2.0, scale: Scale::Linear, grain: Grain::Smooth };
        let steps =
            Dimension::Line { low: 0.5, high: 4.5, scale: Scale::Linear, grain: Grain::Whole };
        let dimensions = [line, steps, Dimension::Categories(3)];
        let points = vec![vec![Some(0.1), Some(0.9), Some(2.0)], vec![Some(0.7), None, Some(0.0)]];
        let mixture = Mixture::new(&dimensions, points);
        let mut total = 0.0;
        for category in 0..3 {
            for step in 0..4 {
                for at in 0..1000 {
                    let units =
                        [(at as f64 + 0.5) / 1000.0, (step as f64 + 0.5) / 4.0, category as f64];
                    total += mixture.log_density(&units).exp() / 1000.0;
                }
            }
        }
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }

    #[test]
    fn places_stay_inside() {
        let log = Dimension::of(&Axis::Param {
            operation: crate::pipeline::Operation::Set,
            key: "k".into(),
            domain: Domain::Integers { low: 1.0, high: 16.0, scale: Scale::Log },
            when: None,
        });
        assert_eq!((log.place(0.0), log.place(1.0), log.place(log.unit(7.0))), (1.0, 16.0, 7.0));
    }
}
