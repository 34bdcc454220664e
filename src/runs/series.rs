//! Writes the points of series, and keeps count, last, minimum and maximum beside them, so that no
//! list reads a point. The caller begins and ends the transaction.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, ToSql, params};

use super::record::{Point, StepValue};
use super::rows::{columns_of, exact, saturating_i64, step_columns, step_value, unsigned};
use crate::number::Number;
use crate::pipeline::StageName;

/// The series of a run to which points were added.
#[derive(Debug, Default)]
pub(super) struct SeriesWriter {
    open: Vec<Open>,
    /// Places in `open`.
    places: HashMap<StageName, HashMap<String, usize>>,
}

/// A series as it is in the database, apart from points since the last [`SeriesWriter::save`].
#[derive(Debug)]
struct Open {
    id: i64,
    summary: Summary,
    is_saved: bool,
}

/// The columns of a series that are computed from its points.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    count: u64,
    last: Option<Point>,
    min: Option<StepValue>,
    max: Option<StepValue>,
}

impl Summary {
    fn add(&mut self, point: Point) {
        self.count += 1;
        if self.last.is_none_or(|last| is_later(point, last)) {
            self.last = Some(point);
        }
        if !point.value.is_nan() {
            let new = StepValue { step: point.step, value: point.value };
            let is_first = |old: StepValue| old.value == new.value && new.step < old.step;
            if self.min.is_none_or(|min| new.value < min.value || is_first(min)) {
                self.min = Some(new);
            }
            if self.max.is_none_or(|max| new.value > max.value || is_first(max)) {
                self.max = Some(new);
            }
        }
    }

    /// Reports whether a point has a greater step than all others, or their greatest step and a
    /// later time, so that none of them can be the same.
    fn is_passed_by(&self, point: Point) -> bool {
        let last = self.last.map(|last| (last.step, last.at));
        last.map_or(self.count == 0, |last| (point.step, point.at) > last)
    }
}

/// Reports whether `new` becomes the last point of a series: it has the greater step, or else the
/// later time, or else the greater value. NaN counts as 0, as in MLflow.
fn is_later(new: Point, old: Point) -> bool {
    let order = (new.step, new.at).cmp(&(old.step, old.at));
    let value = |point: Point| {
        if point.value.is_nan() { Number::from(0.0) } else { point.value }
    };
    order.is_gt() || (order.is_eq() && value(new) > value(old))
}

impl SeriesWriter {
    /// Prepares the statement that [`SeriesWriter::add`] needs.
    pub(super) fn statement(conn: &Connection) -> rusqlite::Result<CachedStatement<'_>> {
        conn.prepare_cached(
            "INSERT INTO points (series, step, at, nth, value, exact)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )
    }

    /// Adds a point. [`SeriesWriter::save`] must follow in the same transaction.
    pub(super) fn add(
        &mut self,
        conn: &Connection,
        points: &mut CachedStatement<'_>,
        run: i64,
        (stage, key): (&StageName, &str),
        point: Point,
    ) -> rusqlite::Result<()> {
        let place = self.place(conn, run, stage, key)?;
        let series = &mut self.open[place];
        let nth = series.summary.count;
        series.summary.add(point);
        series.is_saved = false;
        points.execute(params![
            series.id,
            point.step,
            point.at,
            saturating_i64(nth),
            point.value.to_f64(),
            exact(point.value)
        ])?;
        Ok(())
    }

    /// Adds a point unless the series has the same one. [`SeriesWriter::save`] must follow in the
    /// same transaction.
    pub(super) fn add_once(
        &mut self,
        conn: &Connection,
        points: &mut CachedStatement<'_>,
        run: i64,
        names: (&StageName, &str),
        point: Point,
    ) -> rusqlite::Result<()> {
        let place = self.place(conn, run, names.0, names.1)?;
        if self.open[place].summary.is_passed_by(point) {
            return self.add(conn, points, run, names, point);
        }
        let sql = "SELECT 1 FROM points
                   WHERE series = ?1 AND step = ?2 AND at = ?3 AND value IS ?4 LIMIT 1";
        let same = params![self.open[place].id, point.step, point.at, point.value.to_f64()];
        match conn.prepare_cached(sql)?.exists(same)? {
            true => Ok(()),
            false => self.add(conn, points, run, names, point),
        }
    }

    /// Returns the place of a series in `open`.
    fn place(
        &mut self,
        conn: &Connection,
        run: i64,
        stage: &StageName,
        key: &str,
    ) -> rusqlite::Result<usize> {
        if let Some(place) = self.places.get(stage).and_then(|keys| keys.get(key)) {
            return Ok(*place);
        }
        let place = self.open.len();
        self.open.push(Open::load(conn, run, stage, key)?);
        self.places.entry(stage.clone()).or_default().insert(key.to_owned(), place);
        Ok(place)
    }

    /// Writes what [`SeriesWriter::add`] has changed beside the points.
    pub(super) fn save(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for series in self.open.iter_mut().filter(|series| !series.is_saved) {
            series.save(conn)?;
            series.is_saved = true;
        }
        Ok(())
    }
}

impl Open {
    /// Reads a series; creates it if it is missing.
    fn load(conn: &Connection, run: i64, stage: &StageName, key: &str) -> rusqlite::Result<Open> {
        let select = "SELECT id, count, last, last_exact, last_step, min, min_exact, min_step,
                          max, max_exact, max_step, last_at
                      FROM series WHERE run = ?1 AND stage = ?2 AND key = ?3";
        let insert = "INSERT INTO series (run, stage, key, count, last_step)
                      VALUES (?1, ?2, ?3, 0, 0)";
        let names = params![run, stage.as_str(), key];
        let found = conn.prepare_cached(select)?.query_row(names, |row| {
            // An invalid number was not written by this program, and does not count.
            let read = |at| step_columns(row, at).map(|it| step_value(it).unwrap_or(None));
            let count = unsigned(row.get(1)?);
            let at = row.get(11)?;
            let last = read(2)?.filter(|_| count > 0);
            let last = last.map(|StepValue { step, value }| Point { step, value, at });
            let summary = Summary { count, last, min: read(5)?, max: read(8)? };
            Ok(Open { id: row.get(0)?, summary, is_saved: true })
        });
        if let Some(open) = found.optional()? {
            return Ok(open);
        }
        conn.prepare_cached(insert)?.execute(names)?;
        Ok(Open { id: conn.last_insert_rowid(), summary: Summary::default(), is_saved: true })
    }

    fn save(&self, conn: &Connection) -> rusqlite::Result<()> {
        let Summary { count, last, min, max } = &self.summary;
        let at = last.map_or(0, |last| last.at);
        let last = last.map(|Point { step, value, .. }| StepValue { step, value });
        let [last, min, max] = [last, *min, *max].map(columns_of);
        let sql = "UPDATE series SET count = ?2, last = ?3, last_exact = ?4, last_step = ?5,
                       min = ?6, min_exact = ?7, min_step = ?8,
                       max = ?9, max_exact = ?10, max_step = ?11, last_at = ?12
                   WHERE id = ?1";
        let values: [&dyn ToSql; 12] = [
            &self.id,
            &saturating_i64(*count),
            &last.0,
            &last.1,
            &last.2,
            &min.0,
            &min.1,
            &min.2,
            &max.0,
            &max.1,
            &max.2,
            &at,
        ];
        conn.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(step: i64, at: i64, value: f64) -> Point {
        Point { step, value: value.into(), at }
    }

    #[test]
    fn last_minimum_and_maximum() {
        let nan = f64::NAN;
        // The points, the last step and value, and the steps of the minimum and the maximum.
        type Case<'a> = (&'a [Point], (i64, f64), Option<(i64, i64)>);
        let cases: [Case<'_>; 8] = [
            (&[point(3, 0, 1.0), point(5, 0, 2.0), point(4, 9, 3.0)], (5, 2.0), Some((3, 4))),
            (&[point(5, 8, 2.0), point(5, 7, 1.0)], (5, 2.0), Some((5, 5))),
            (&[point(5, 7, 2.0), point(5, 7, 1.0)], (5, 2.0), Some((5, 5))),
            (&[point(5, 7, -1.0), point(5, 7, nan)], (5, nan), Some((5, 5))),
            (&[point(-2, 0, 1.0), point(-3, 9, 2.0)], (-2, 1.0), Some((-2, -3))),
            (&[point(2, 0, 1.0), point(1, 0, 1.0), point(3, 0, 1.0)], (3, 1.0), Some((1, 1))),
            (
                &[point(1, 0, nan), point(2, 0, f64::INFINITY), point(3, 0, -1.0)],
                (3, -1.0),
                Some((3, 2)),
            ),
            (&[point(1, 0, nan), point(2, 0, nan)], (2, nan), None),
        ];
        for (points, last, extremes) in cases {
            let mut summary = Summary::default();
            points.iter().for_each(|point| summary.add(*point));
            let found = summary.last.unwrap();
            assert_eq!(found.step, last.0, "{points:?}");
            assert!(found.value.same(last.1.into()), "{points:?}");
            let steps = summary.min.zip(summary.max).map(|(min, max)| (min.step, max.step));
            assert_eq!(steps, extremes, "{points:?}");
            assert_eq!(summary.count, points.len() as u64);
        }
    }

    #[test]
    fn points_after_all_others() {
        let mut summary = Summary::default();
        assert!(summary.is_passed_by(point(-1, 0, 0.0)));
        summary.add(point(5, 7, 1.0));
        summary.add(point(3, 9, 2.0));
        for (step, at, expected) in
            [(5, 7, false), (5, 8, true), (6, 0, true), (5, 6, false), (3, 9, false), (4, 9, false)]
        {
            assert_eq!(summary.is_passed_by(point(step, at, 1.0)), expected, "{step} {at}");
        }
        // The last point is unknown.
        assert!(!Summary { last: None, ..summary }.is_passed_by(point(9, 9, 1.0)));
    }

    proptest! {
        #[test]
        fn extremes_in_any_order(
            points in prop::collection::vec((-2..2i64, -2..3i32), 1..12)
                .prop_flat_map(|points| (Just(points.clone()), Just(points).prop_shuffle()))
        ) {
            let of = |points: Vec<(i64, i32)>| {
                let mut summary = Summary::default();
                points.into_iter().for_each(|(step, value)| {
                    summary.add(point(step, 0, value.into()));
                });
                (summary.last, summary.min, summary.max)
            };
            prop_assert_eq!(of(points.0), of(points.1));
        }
    }
}
