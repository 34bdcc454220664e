//! Reads one value of many runs at once, by the indexes on names; for orders, groups and curves.

use std::collections::{BTreeMap, HashMap};

use super::cells::column;
use super::rows::{number, run_name, signed};
use super::store::{Store, database_error};
use crate::error::Result;
use crate::event::RunName;
use crate::filter::{Attribute, MetricName};
use crate::number::Number;
use crate::pipeline::Goal;

/// The best value of a metric in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extreme {
    pub value: Number,
    /// `None` for a final value without a series.
    pub step: Option<i64>,
}

/// A series in a few pieces of equal width. No point is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    pub first_step: i64,
    pub last_step: i64,
    /// Number of points, with those that are NaN.
    pub count: u64,
    /// Smallest and largest number of each piece; `None` without any.
    pub pieces: Vec<Option<(f64, f64)>>,
}

impl Store {
    /// Returns the best value of a metric in a run: of its series, or else the final one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn extreme(
        &self,
        run: RunName,
        metric: &MetricName,
        goal: Goal,
    ) -> Result<Option<Extreme>> {
        let best = of_goal(goal);
        let sql = format!(
            "SELECT {best}, {best}_exact, {best}_step FROM series
             WHERE run = ?1 AND stage = ?2 AND key = ?3 AND {best} NOT NULL
             UNION ALL
             SELECT value, exact, NULL FROM metrics
             WHERE run = ?1 AND stage = ?2 AND key = ?3 AND value NOT NULL LIMIT 1"
        );
        let names = (signed(run), &metric.stage, &metric.key);
        let row = self.query_one(&sql, names, |row| {
            let value: (Option<f64>, Option<String>) = (row.get(0)?, row.get(1)?);
            Ok((value, row.get(2)?))
        })?;
        row.map(|((value, exact), step)| {
            Ok(Extreme { value: number(value, exact.as_deref())?, step })
        })
        .transpose()
    }

    /// Returns the best value of a metric in each run that has one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn extremes(&self, metric: &MetricName, goal: Goal) -> Result<HashMap<RunName, f64>> {
        let best = of_goal(goal);
        let sql = format!(
            "SELECT run, value FROM metrics WHERE stage = ?1 AND key = ?2 AND value NOT NULL
             UNION ALL
             SELECT run, {best} FROM series WHERE stage = ?1 AND key = ?2 AND {best} NOT NULL"
        );
        let names = (&metric.stage, &metric.key);
        // The series comes last, and takes the place of the final value.
        Ok(self
            .query_all(&sql, names, |row| Ok((run_name(row)?, row.get(1)?)))?
            .into_iter()
            .collect())
    }

    /// Returns the value of a metric in each run that has it: the final one, or else the last one
    /// of the series.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn values_of_metric(&self, metric: &MetricName) -> Result<HashMap<RunName, f64>> {
        let sql = "SELECT run, last FROM series WHERE stage = ?1 AND key = ?2
                   UNION ALL
                   SELECT run, value FROM metrics WHERE stage = ?1 AND key = ?2";
        let names = (&metric.stage, &metric.key);
        let read = |row: &rusqlite::Row<'_>| {
            Ok((run_name(row)?, row.get::<_, Option<f64>>(1)?.unwrap_or(f64::NAN)))
        };
        Ok(self.query_all(sql, names, read)?.into_iter().collect())
    }

    /// Returns the value of a param, as JSON, in each run that has it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn values_of_param(&self, key: &str) -> Result<HashMap<RunName, String>> {
        let sql = "SELECT run, value FROM params WHERE key = ?1";
        Ok(self
            .query_all(sql, (key,), |row| Ok((run_name(row)?, row.get(1)?)))?
            .into_iter()
            .collect())
    }

    /// Returns the parent of each run that has one.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parents(&self) -> Result<BTreeMap<RunName, RunName>> {
        let sql = "SELECT runs.number, above.number FROM runs JOIN runs AS above
                   ON above.uid = runs.parent WHERE runs.parent NOT NULL";
        let pairs = self.query_all(sql, (), |row| {
            Ok((run_name(row)?, RunName(super::rows::unsigned(row.get(1)?))))
        })?;
        Ok(pairs.into_iter().collect())
    }

    /// Returns the number and the name of each experiment.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn names_of_experiments(&self) -> Result<Vec<(i64, String)>> {
        let sql = "SELECT id, name FROM experiments ORDER BY id";
        self.query_all(sql, (), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// Returns at most `limit` texts that an attribute has in runs, sorted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn texts_of_attribute(&self, attribute: Attribute, limit: usize) -> Result<Vec<String>> {
        let column = column(attribute, &[]);
        let sql = format!(
            "SELECT DISTINCT CAST(({column}) AS TEXT) AS text FROM runs
             WHERE text NOT NULL ORDER BY text LIMIT ?1"
        );
        self.query_all(&sql, (i64::try_from(limit).unwrap_or(i64::MAX),), |row| row.get(0))
    }

    /// Returns at most `limit` values that runs have for a param (as JSON) or a tag, sorted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn values_of_key(&self, table: Keyed, key: &str, limit: usize) -> Result<Vec<String>> {
        let table = match table {
            Keyed::Params => "params",
            Keyed::Tags => "tags",
        };
        let sql = format!("SELECT DISTINCT value FROM {table} WHERE key = ?1 ORDER BY 1 LIMIT ?2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_all(&sql, (key, limit), |row| row.get(0))
    }

    /// Returns a series in at most `width` pieces; `None` if the run does not have it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn curve(&self, run: RunName, metric: &MetricName, width: usize) -> Result<Option<Curve>> {
        let sql = "SELECT series.id, series.count, series.last_step,
                       (SELECT min(step) FROM points WHERE series = series.id)
                   FROM series WHERE run = ?1 AND stage = ?2 AND key = ?3";
        let names = (signed(run), &metric.stage, &metric.key);
        let found = self.query_one(sql, names, |row| {
            let id: i64 = row.get(0)?;
            Ok((id, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, Option<i64>>(3)?))
        })?;
        let Some((id, count, last_step, Some(first_step))) = found else { return Ok(None) };
        let mut curve = Curve {
            first_step,
            last_step,
            count: super::rows::unsigned(count),
            pieces: vec![None; width.max(1)],
        };
        let mut read = || -> rusqlite::Result<()> {
            let sql = "SELECT step, value FROM points WHERE series = ?1 AND value NOT NULL";
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query((id,))?;
            while let Some(row) = rows.next()? {
                curve.add(row.get(0)?, row.get(1)?);
            }
            Ok(())
        };
        read().map_err(|err| database_error("read", err))?;
        Ok(Some(curve))
    }
}

/// A table of values by run and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keyed {
    Params,
    Tags,
}

impl Curve {
    fn add(&mut self, step: i64, value: f64) {
        let span = i128::from(self.last_step) - i128::from(self.first_step) + 1;
        let at = i128::from(step) - i128::from(self.first_step);
        let last = self.pieces.len() - 1;
        // A point may have been added since the last step was read.
        let piece = (at * self.pieces.len() as i128 / span.max(1)).clamp(0, last as i128) as usize;
        let (low, high) = self.pieces[piece].unwrap_or((value, value));
        self.pieces[piece] = Some((low.min(value), high.max(value)));
    }
}

/// Returns the column of a series with its best value.
fn of_goal(goal: Goal) -> &'static str {
    match goal {
        Goal::Max => "max",
        Goal::Min => "min",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(first_step: i64, last_step: i64, width: usize) -> Curve {
        Curve { first_step, last_step, count: 0, pieces: vec![None; width] }
    }

    #[test]
    fn curve_keeps_spikes() {
        let mut curve = curve(0, 999, 10);
        for step in 0..1000 {
            curve.add(step, if step == 555 { 9.0 } else { 1.0 });
        }
        let expected: Vec<_> =
            (0..10).map(|at| Some((1.0, if at == 5 { 9.0 } else { 1.0 }))).collect();
        assert_eq!(curve.pieces, expected);
    }

    proptest::proptest! {
        #[test]
        fn every_step_has_a_piece(
            first in i64::MIN..=i64::MAX,
            last in i64::MIN..=i64::MAX,
            step in i64::MIN..=i64::MAX,
            width in 1..100usize,
        ) {
            let mut curve = curve(first.min(last), first.max(last), width);
            curve.add(step, 1.0);
            proptest::prop_assert_eq!(curve.pieces.iter().flatten().count(), 1);
        }
    }
}
