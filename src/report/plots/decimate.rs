//! Reduces a curve to a number of points that can be drawn, without losing its spikes. Pure.
//!
//! Points that follow each other form buckets of one size. Each bucket keeps its smallest and its
//! largest value and the first value that is not finite, each at its own place. So every extreme
//! and every bucket with a NaN stays visible, and every point kept was reported.

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

/// A point: its place on the horizontal axis, and its value.
pub(super) type Point = (Number, Number);

/// Reduces points that arrive one by one.
#[derive(Debug)]
pub(super) struct Decimator {
    per_bucket: u64,
    seen: u64,
    bucket: Bucket,
    last: Option<(u64, Point)>,
    kept: Vec<Point>,
}

/// The points of a bucket to keep, each with its position.
#[derive(Debug, Default)]
struct Bucket {
    min: Option<(u64, Point)>,
    max: Option<(u64, Point)>,
    odd: Option<(u64, Point)>,
}

impl Decimator {
    /// Prepares for `total` points. If they are more than `limit`, about `limit` are kept.
    pub(super) fn new(total: u64, limit: usize) -> Decimator {
        let buckets = (limit as u64 / 2).max(1);
        let per_bucket = if total <= limit as u64 { 1 } else { total.div_ceil(buckets) };
        let (bucket, kept) = (Bucket::default(), Vec::new());
        Decimator { per_bucket, seen: 0, bucket, last: None, kept }
    }

    pub(super) fn push(&mut self, point: Point) {
        if self.per_bucket == 1 {
            self.kept.push(point);
            return;
        }
        if self.seen.is_multiple_of(self.per_bucket) {
            self.close();
        }
        self.bucket.add(self.seen, point);
        // The first and the last point show the extent of the curve.
        if self.seen == 0 {
            self.kept.push(point);
        }
        self.last = Some((self.seen, point));
        self.seen += 1;
    }

    /// Returns the kept points in the order of their arrival.
    pub(super) fn finish(mut self) -> Vec<Point> {
        let end = self.last.filter(|(at, _)| *at > 0 && !self.bucket.has(*at));
        self.close();
        self.kept.extend(end.map(|(_, point)| point));
        self.kept
    }

    fn close(&mut self) {
        let Bucket { min, max, odd } = std::mem::take(&mut self.bucket);
        let mut points: Vec<(u64, Point)> = [min, max, odd].into_iter().flatten().collect();
        points.sort_by_key(|(at, _)| *at);
        points.dedup_by_key(|(at, _)| *at);
        // The first point of all is kept already.
        self.kept.extend(points.into_iter().filter(|(at, _)| *at > 0).map(|(_, point)| point));
    }
}

impl Bucket {
    fn add(&mut self, at: u64, point: Point) {
        let (_, value) = point;
        if !value.is_finite() {
            self.odd.get_or_insert((at, point));
            return;
        }
        if self.min.is_none_or(|(_, (_, min))| value < min) {
            self.min = Some((at, point));
        }
        if self.max.is_none_or(|(_, (_, max))| value > max) {
            self.max = Some((at, point));
        }
    }

    fn has(&self, at: u64) -> bool {
        [self.min, self.max, self.odd].into_iter().flatten().any(|(kept, _)| kept == at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimated(values: &[f64], limit: usize) -> Vec<(f64, f64)> {
        let mut decimator = Decimator::new(values.len() as u64, limit);
        for (step, value) in values.iter().enumerate() {
            decimator.push((Number::from(step as f64), Number::from(*value)));
        }
        decimator.finish().into_iter().map(|(x, y)| (x.to_f64(), y.to_f64())).collect()
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

    proptest! {
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
