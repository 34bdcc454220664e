//! The points of a metric in the order of MLflow: by time, then step, then value.

use std::cmp::Ordering;
use std::ops::ControlFlow;

use rusqlite::Row;

use crate::error::Result;
use crate::event::RunName;
use crate::runs::rows::{name_readings, signed};
use crate::runs::store::Store;

/// A point of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HistoryPoint {
    pub value: f64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    pub step: i64,
    nth: i64,
}

/// A place in the order of points.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Place {
    pub at: i64,
    pub step: i64,
    /// NaN counts as 0.
    pub value: f64,
    /// Tells points that are equal otherwise.
    pub nth: i64,
}

impl HistoryPoint {
    /// Returns the place of the point, after which the next page begins.
    pub fn place(&self) -> Place {
        let value = if self.value.is_nan() { 0.0 } else { self.value };
        Place { at: self.at, step: self.step, value, nth: self.nth }
    }
}

/// The points of the series that `name` can stand for. The pipeline's own params and the series of
/// a run as a whole are named by the same rule.
const FIRST: &str = "SELECT id FROM series WHERE run = ?1 AND stage = ?2 AND key = ?3";

impl Store {
    /// Returns at most `limit` points of a metric, from the one after `after` on. A metric without
    /// a series has its final value as the only point.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn history(
        &self,
        run: RunName,
        name: &str,
        after: Option<Place>,
        limit: usize,
    ) -> Result<Vec<HistoryPoint>> {
        let Some(series) = self.series_named(run, name)? else {
            let last = self.final_value(run, name)?;
            return Ok(last.filter(|_| after.is_none() && limit > 0).into_iter().collect());
        };
        // No index has this order. Points mostly come in it, and SQLite would sort them anyway.
        let sql = "SELECT at, step, value, nth FROM points WHERE series = ?1";
        let mut points = Vec::new();
        self.each_row(sql, (series,), |row| {
            let point = point(row)?;
            if after.is_none_or(|after| point.place() > after) {
                points.push(point);
            }
            if points.len() / 2 > limit {
                keep_first(&mut points, limit);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        keep_first(&mut points, limit);
        Ok(points)
    }

    /// Returns at most `limit` points of a metric with steps in `steps`, evenly spaced in the order
    /// of steps: the first and the last are among them. A limit of 1 is the last one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sampled_history(
        &self,
        run: RunName,
        name: &str,
        steps: (i64, i64),
        limit: usize,
    ) -> Result<Vec<HistoryPoint>> {
        let Some(series) = self.series_named(run, name)? else {
            let last = self.final_value(run, name)?;
            let is_inside = |point: &HistoryPoint| (steps.0..=steps.1).contains(&point.step);
            return Ok(last.filter(is_inside).into_iter().collect());
        };
        let inside = "FROM points WHERE series = ?1 AND step BETWEEN ?2 AND ?3";
        let sql = format!("SELECT count(*) {inside}");
        let count = self.query_one(&sql, (series, steps.0, steps.1), |row| row.get::<_, i64>(0))?;
        let count = usize::try_from(count.unwrap_or(0)).unwrap_or(0);
        let mut chosen = chosen(count, limit).peekable();
        let sql = format!(
            "SELECT at, step, value, nth {inside} ORDER BY step, at, coalesce(value, 0), nth"
        );
        let (mut points, mut nth) = (Vec::new(), 0);
        self.each_row(&sql, (series, steps.0, steps.1), |row| {
            if chosen.peek() == Some(&nth) {
                points.push(point(row)?);
                chosen.next();
            }
            nth += 1;
            Ok(match chosen.peek() {
                Some(_) => ControlFlow::Continue(()),
                None => ControlFlow::Break(()),
            })
        })?;
        Ok(points)
    }

    fn series_named(&self, run: RunName, name: &str) -> Result<Option<i64>> {
        for (stage, key) in name_readings(name) {
            let found = self.query_one(FIRST, (signed(run), stage, key), |row| row.get(0))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Returns the final value of a metric as a point at the end of its run.
    fn final_value(&self, run: RunName, name: &str) -> Result<Option<HistoryPoint>> {
        let sql = "SELECT coalesce(ended, started), 0, value, 0
                   FROM metrics JOIN runs ON run = number
                   WHERE run = ?1 AND stage = ?2 AND key = ?3";
        for (stage, key) in name_readings(name) {
            let found = self.query_one(sql, (signed(run), stage, key), point)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

fn point(row: &Row<'_>) -> rusqlite::Result<HistoryPoint> {
    let value: Option<f64> = row.get(2)?;
    let value = value.unwrap_or(f64::NAN);
    Ok(HistoryPoint { at: row.get(0)?, step: row.get(1)?, value, nth: row.get(3)? })
}

/// Sorts points, which is quick if they are in order, and drops all but the first `limit`.
fn keep_first(points: &mut Vec<HistoryPoint>, limit: usize) {
    points.sort_by(|a, b| a.place().partial_cmp(&b.place()).unwrap_or(Ordering::Equal));
    points.truncate(limit);
}

/// Returns the indices below `count` that MLflow chooses: the first of each of `limit` groups of
/// nearly equal size, the larger groups first, and the last index in place of the last of these.
fn chosen(count: usize, limit: usize) -> Box<dyn Iterator<Item = usize>> {
    let limit = limit.max(1);
    if count <= limit {
        return Box::new(0..count);
    }
    let (size, larger) = (count / limit, count % limit);
    let first_of_group = move |nth: usize| nth * size + nth.min(larger);
    Box::new((0..limit - 1).map(first_of_group).chain([count - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_spaced_indices() {
        for (count, limit, expected) in [
            (0, 3, &[][..]),
            (3, 3, &[0, 1, 2]),
            (5, 1, &[4]),
            (5, 0, &[4]),
            (5, 3, &[0, 2, 4]),
            (10, 4, &[0, 3, 6, 9]),
            (10, 3, &[0, 4, 9]),
            (11, 4, &[0, 3, 6, 10]),
        ] {
            assert_eq!(chosen(count, limit).collect::<Vec<_>>(), expected, "{count} {limit}");
        }
    }
}
