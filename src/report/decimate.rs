//! Reduces a curve to a number of points that can be drawn, without losing its spikes. Pure.
//!
//! The caller divides the points into buckets: parts of equal size, or the pixel columns of a
//! chart. Each bucket keeps its smallest and its largest value and the first value that is not
//! finite, each at its own place. So every extreme and every bucket with a NaN stays visible, and
//! every point kept was reported.

use crate::number::Number;

/// Number of points that all lines of a chart have together, as far as each has enough.
const POINTS_PER_CHART: usize = 20_000;
/// Least and most points of a line.
const POINTS_PER_LINE: (usize, usize) = (200, 2000);

/// Returns the number of points that each of `lines` lines of a chart may have: all get the same.
pub(super) fn points_per_line(lines: usize) -> usize {
    let (least, most) = POINTS_PER_LINE;
    (POINTS_PER_CHART / lines.max(1)).clamp(least, most)
}

/// Divides points into buckets of one size, in the order of their arrival.
#[derive(Debug)]
pub(super) struct EqualParts {
    per_bucket: u64,
    seen: u64,
}

impl EqualParts {
    /// Prepares for `total` points. If they are more than `limit`, about `limit` are kept.
    pub(super) fn new(total: u64, limit: usize) -> EqualParts {
        let buckets = (limit as u64 / 2).max(1);
        let per_bucket = if total <= limit as u64 { 1 } else { total.div_ceil(buckets) };
        EqualParts { per_bucket, seen: 0 }
    }

    /// Returns the bucket of the next point.
    pub(super) fn next_bucket(&mut self) -> usize {
        let bucket = self.seen / self.per_bucket;
        self.seen += 1;
        usize::try_from(bucket).unwrap_or(usize::MAX)
    }
}

/// Divides the horizontal axis of a chart into columns of equal width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    from: i64,
    /// At least 1.
    extent: u128,
    count: usize,
}

impl Columns {
    pub(super) fn new(from: i64, to: i64, count: usize) -> Columns {
        let extent = u128::from(to.abs_diff(from)) + 1;
        Columns { from, extent, count: count.max(1) }
    }

    /// Returns the column of a place; places outside belong to the first or the last column.
    pub(super) fn of(self, place: i64) -> usize {
        let offset = u128::from(place.max(self.from).abs_diff(self.from));
        let column = offset * self.count as u128 / self.extent;
        usize::try_from(column).unwrap_or(usize::MAX).min(self.count - 1)
    }
}

/// Reduces points that arrive one by one.
#[derive(Debug)]
pub(super) struct Decimator<P> {
    seen: u64,
    /// The first and the last point show the extent of the curve.
    ends: Option<(Arrival<P>, Arrival<P>)>,
    buckets: Vec<Bucket<P>>,
}

/// A point and its position among all points.
type Arrival<P> = (u64, P);

/// The points of a bucket to keep.
#[derive(Debug, Clone)]
struct Bucket<P> {
    min: Option<(Number, Arrival<P>)>,
    max: Option<(Number, Arrival<P>)>,
    odd: Option<Arrival<P>>,
}

impl<P: Copy> Decimator<P> {
    pub(super) fn new() -> Decimator<P> {
        Decimator { seen: 0, ends: None, buckets: Vec::new() }
    }

    /// Adds a point with its value to a bucket.
    pub(super) fn push(&mut self, bucket: usize, value: Number, point: P) {
        let arrival = (self.seen, point);
        self.seen += 1;
        self.ends = Some(self.ends.map_or((arrival, arrival), |(first, _)| (first, arrival)));
        if self.buckets.len() <= bucket {
            let empty = Bucket { min: None, max: None, odd: None };
            self.buckets.resize(bucket + 1, empty);
        }
        self.buckets[bucket].add(value, arrival);
    }

    /// Returns the kept points in the order of their arrival.
    pub(super) fn finish(self) -> Vec<P> {
        let ends = self.ends.map(|(first, last)| [first, last]);
        let mut kept: Vec<Arrival<P>> = ends.into_iter().flatten().collect();
        for Bucket { min, max, odd } in self.buckets {
            kept.extend([min, max].into_iter().flatten().map(|(_, arrival)| arrival));
            kept.extend(odd);
        }
        kept.sort_by_key(|(at, _)| *at);
        kept.dedup_by_key(|(at, _)| *at);
        kept.into_iter().map(|(_, point)| point).collect()
    }
}

impl<P: Copy> Bucket<P> {
    fn add(&mut self, value: Number, arrival: Arrival<P>) {
        if !value.is_finite() {
            self.odd.get_or_insert(arrival);
            return;
        }
        if self.min.is_none_or(|(min, _)| value < min) {
            self.min = Some((value, arrival));
        }
        if self.max.is_none_or(|(max, _)| value > max) {
            self.max = Some((value, arrival));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimated(values: &[f64], limit: usize) -> Vec<(f64, f64)> {
        let mut parts = EqualParts::new(values.len() as u64, limit);
        let mut decimator = Decimator::new();
        for (step, value) in values.iter().enumerate() {
            decimator.push(parts.next_bucket(), Number::from(*value), (step as f64, *value));
        }
        decimator.finish()
    }

    #[test]
    fn spike_and_nan_survive() {
        let mut values: Vec<f64> = (0..100_000).map(|step| f64::from(step).sin()).collect();
        values[54_321] = 1e9;
        values[54_322] = -1e9;
        values[77_777] = f64::NAN;
        let kept = decimated(&values, 1000);
        assert!(kept.contains(&(54_321.0, 1e9)) && kept.contains(&(54_322.0, -1e9)));
        assert!(kept.iter().any(|(step, value)| *step == 77_777.0 && value.is_nan()));
        assert!((900..=1003).contains(&kept.len()), "{}", kept.len());
    }

    #[test]
    fn columns_cover_the_axis() {
        let columns = Columns::new(-10, 9, 4);
        let of: Vec<usize> =
            [-99, -10, -6, -5, 0, 4, 5, 9, 99].into_iter().map(|x| columns.of(x)).collect();
        assert_eq!(of, [0, 0, 0, 1, 2, 2, 3, 3, 3]);
        assert_eq!(Columns::new(i64::MIN, i64::MAX, 100).of(i64::MAX), 99);
        assert_eq!(Columns::new(5, 5, 100).of(5), 0);
    }

    proptest! {
        #[test]
        fn points_in_any_order(
            points in prop::collection::vec((-50i64..50, -9.0..9.0), 1..200),
            width in 1usize..20,
        ) {
            let columns = Columns::new(-50, 49, width);
            let mut decimator = Decimator::new();
            for (x, y) in &points {
                decimator.push(columns.of(*x), Number::from(*y), (*x, *y));
            }
            let kept = decimator.finish();
            prop_assert!(kept.len() <= 2 * width + 2);
            for column in 0..width {
                let extremes = |list: &[(i64, f64)]| {
                    let inside = list.iter().filter(|(x, _)| columns.of(*x) == column);
                    inside.fold((9.0f64, -9.0f64), |(a, b), (_, y)| (a.min(*y), b.max(*y)))
                };
                prop_assert_eq!(extremes(&points), extremes(&kept));
            }
        }

        #[test]
        fn kept_points_are_real(
            values in prop::collection::vec(
                prop_oneof![9 => -9.0..9.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)], 0..300,
            ),
            limit in 1usize..40,
        ) {
            let kept = decimated(&values, limit);
            for (step, value) in &kept {
                prop_assert_eq!(values[*step as usize].to_bits(), value.to_bits());
            }
            prop_assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
            prop_assert!(values.len() > limit || kept.len() == values.len());
            prop_assert!(kept.len() <= limit.max(2) / 2 * 3 + 2 || values.len() <= limit);
            let finite = |list: &mut dyn Iterator<Item = f64>| {
                let finite = list.filter(|value| value.is_finite());
                finite.fold((9.0f64, -9.0f64), |(low, high), y| (low.min(y), high.max(y)))
            };
            prop_assert_eq!(
                finite(&mut values.iter().copied()),
                finite(&mut kept.iter().map(|point| point.1))
            );
            let ends = [values.first(), values.last()].map(|value| value.map(|v| v.to_bits()));
            let kept = [kept.first(), kept.last()].map(|point| point.map(|p| p.1.to_bits()));
            prop_assert_eq!(ends, kept);
        }
    }
}
