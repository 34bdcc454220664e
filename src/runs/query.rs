//! Queries of the database.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, RangeInclusive};

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Params, Row};

use super::record::{
    Artifact, LastTimes, Lifecycle, Metrics, Origin, Point, Run, RunState, Series, StageRecord,
};
use super::rows::{
    RUN_SQL, STAGE_COLUMNS, git_diff, number, owner, run_name, run_row, signed, stage_row,
    step_columns, step_value, texts, uid, unsigned,
};
use super::store::{Store, database_error, invalid_value};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event::{GitState, GitTree, Millis, RunInfo, RunKind, RunName, RunUid, Timestamp};
use crate::pipeline::{ParamKey, ParamValue, StageName};

impl Store {
    /// Returns the number of the experiment that a run belongs to; `None` without such a run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiment_of(&self, run: RunUid) -> Result<Option<i64>> {
        let sql = "SELECT experiment FROM runs WHERE uid = ?1";
        let found = self.conn.query_row(sql, [run.to_string()], |row| row.get(0)).optional();
        found.map_err(|err| database_error("read", err))
    }

    /// Returns at most `limit` of the latest runs, newest first, without deleted ones.
    pub fn names(&self, limit: usize) -> Result<Vec<RunName>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql = "SELECT number FROM runs WHERE lifecycle = 'active' \
                   ORDER BY number DESC LIMIT ?1";
        self.query_all(sql, (limit,), run_name)
    }

    /// Returns the durations of each stage when it last ran and when it was last restored.
    pub fn last_times(&self) -> Result<LastTimes> {
        let sql = "SELECT stage, outcome, took, max(run) FROM stages \
                   WHERE outcome IN ('ran', 'restored') AND took IS NOT NULL \
                   GROUP BY stage, outcome";
        let rows = self.query_all(sql, (), |row| {
            let (stage, outcome): (String, String) = (row.get(0)?, row.get(1)?);
            Ok((stage, outcome, Millis(unsigned(row.get(2)?))))
        })?;
        let mut times = LastTimes::default();
        for (stage, outcome, took) in rows {
            let Some(stage) = StageName::parse(&stage) else { continue };
            if outcome == "ran" {
                times.ran.insert(stage, took)
            } else {
                times.restored.insert(stage, took)
            };
        }
        Ok(times)
    }

    /// Returns the number of runs that are not deleted.
    pub fn count(&self) -> Result<usize> {
        let count: i64 = self
            .query_one("SELECT count(*) FROM runs WHERE lifecycle = 'active'", (), |row| {
                row.get(0)
            })?
            .unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Returns the run before `run` that is not deleted, if there is one. Before a run that is no
    /// trial, sweeps and their trials do not count.
    pub fn before(&self, run: RunName) -> Result<Option<RunName>> {
        let sql = "SELECT max(number) FROM runs WHERE number < ?1 AND lifecycle = 'active'
                   AND (parent IS NULL AND kind != 'sweep'
                        OR (SELECT parent FROM runs WHERE number = ?1) NOT NULL)";
        let number: Option<i64> = self.query_one(sql, (signed(run),), |row| row.get(0))?.flatten();
        Ok(number.map(|number| RunName(unsigned(number))))
    }

    /// Returns `run` without its series.
    ///
    /// # Errors
    /// The run does not exist, or the database cannot be read.
    pub fn run(&self, run: RunName) -> Result<Run> {
        let row = self
            .query_one(RUN_SQL, (signed(run),), run_row)?
            .ok_or_else(|| Error::missing(format!("there is no run `{run}`")))?;
        let kind =
            RunKind::parse(&row.kind).ok_or_else(|| invalid_value("kind of run", &row.kind))?;
        let state = self.state_of(run, kind, &row.status)?;
        let lacks = row.diff_lacks.as_deref();
        let diff = row.diff.map(|digest| git_diff(&digest, lacks)).transpose()?;
        let git = row.tree.map(|tree| GitState {
            diff,
            commit: row.commit,
            branch: row.branch,
            tree: if tree == "clean" { GitTree::Clean } else { GitTree::Dirty },
        });
        let info = RunInfo {
            uid: uid(&row.uid)?,
            kind,
            parent: row.parent.as_deref().map(uid).transpose()?,
            name: row.name,
            experiment: row.experiment.unwrap_or_else(|| RunInfo::DEFAULT_EXPERIMENT.to_owned()),
            pipeline: row.pipeline,
            command: texts(&row.command)?,
            params: self.params(run)?,
            overrides: texts(&row.overrides)?,
            overridden: self.overridden(run)?,
            host: row.host,
            user: row.user,
            git,
            fresh: usize::try_from(row.fresh).unwrap_or(0),
            tags: BTreeMap::new(),
        };
        let lifecycle = Lifecycle::parse(&row.lifecycle);
        Ok(Run {
            name: run,
            state,
            started: row.started,
            started_local: row.started_local,
            took: row.took.map(|took| Millis(unsigned(took))),
            info,
            lifecycle: lifecycle.ok_or_else(|| invalid_value("lifecycle", &row.lifecycle))?,
            note: row.note,
            tags: self.tags(run)?,
            stages: self.stages(run, state)?,
            metrics: self.metrics(run)?,
            artifacts: self.artifacts(run)?,
        })
    }

    /// Returns all params of `run`. A param that a stage logged has the name of the stage in front,
    /// unless the pipeline has one of that name.
    pub fn params(&self, run: RunName) -> Result<BTreeMap<ParamKey, ParamValue>> {
        let sql = "SELECT stage, key, value FROM params WHERE run = ?1 ORDER BY stage DESC";
        let rows = self.query_all(sql, (signed(run),), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        })?;
        // The pipeline's own come last, and replace others.
        rows.into_iter()
            .map(|(stage, key, text)| {
                let value =
                    serde_json::from_str(&text).map_err(|_| invalid_value("param", &text))?;
                Ok((ParamKey::recorded(owner(&stage)?.name_of(&key)), value))
            })
            .collect()
    }

    /// Returns the params of `run` that overrides have set.
    fn overridden(&self, run: RunName) -> Result<BTreeSet<ParamKey>> {
        let sql = "SELECT key FROM params WHERE run = ?1 AND overridden = 1";
        let keys = self.query_all(sql, (signed(run),), |row| row.get::<_, String>(0))?;
        Ok(keys.into_iter().map(ParamKey::recorded).collect())
    }

    /// Returns the tags of `run`.
    pub fn tags(&self, run: RunName) -> Result<BTreeMap<String, String>> {
        let sql = "SELECT key, value FROM tags WHERE run = ?1";
        let tags = self.query_all(sql, (signed(run),), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(tags.into_iter().collect())
    }

    /// Returns the final metrics of `run`.
    pub fn metrics(&self, run: RunName) -> Result<Metrics> {
        let sql = "SELECT stage, key, value, exact FROM metrics WHERE run = ?1";
        let rows = self.query_all(sql, (signed(run),), |row| {
            let texts: (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(3)?);
            Ok((texts, row.get::<_, Option<f64>>(2)?))
        })?;
        rows.into_iter()
            .map(|((stage, key, exact), value)| {
                Ok(((owner(&stage)?, key), number(value, exact.as_deref())?))
            })
            .collect()
    }

    /// Returns all series of `run`, sorted by stage, then key. Reads no point.
    pub fn series(&self, run: RunName) -> Result<Vec<Series>> {
        let sql = "SELECT stage, key, count, last, last_exact, last_step, \
                       min, min_exact, min_step, max, max_exact, max_step \
                   FROM series WHERE run = ?1 ORDER BY stage, key";
        let rows = self.query_all(sql, (signed(run),), |row| {
            let names: (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((names, [step_columns(row, 3)?, step_columns(row, 6)?, step_columns(row, 9)?]))
        })?;
        rows.into_iter()
            .map(|((stage, key, count), [last, min, max])| {
                Ok(Series {
                    stage: owner(&stage)?,
                    key,
                    count: unsigned(count),
                    last: step_value(last)?
                        .ok_or_else(|| invalid_value("series", "no last step"))?,
                    min: step_value(min)?,
                    max: step_value(max)?,
                })
            })
            .collect()
    }

    /// Passes the points of a series to `take` one by one, in the order of their steps. Points with
    /// the same step come in the order of their times, then as they were reported.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn points(
        &self,
        run: RunName,
        series: &Series,
        mut take: impl FnMut(Point) -> ControlFlow<()>,
    ) -> Result<()> {
        self.points_within(run, series, ALL_STEPS, &mut take)
    }

    /// Returns the last point before a step.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn point_before(&self, run: RunName, series: &Series, step: i64) -> Result<Option<Point>> {
        let sql = "SELECT step, value, at, exact FROM points \
                   WHERE series = (SELECT id FROM series \
                                   WHERE run = ?1 AND stage = ?2 AND key = ?3) \
                       AND step < ?4 \
                   ORDER BY step DESC, at DESC, nth DESC LIMIT 1";
        let names = (signed(run), series.stage.as_str(), &series.key, step);
        self.query_one(sql, names, point)?.transpose()
    }

    /// Returns the smallest and the greatest step of a series; `None` if it has no points.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn step_extent(&self, run: RunName, series: &Series) -> Result<Option<(i64, i64)>> {
        // Two queries, because SQLite uses an index only for one minimum or maximum.
        let first = self.of_points("min(step)", run, series)?;
        Ok(first.zip(self.of_points("max(step)", run, series)?))
    }

    /// Returns the times of the first and of the last point of a series; `None` if it has no
    /// points. Reads all of them.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn time_extent(&self, run: RunName, series: &Series) -> Result<Option<(i64, i64)>> {
        let first = self.of_points("min(at)", run, series)?;
        Ok(first.zip(self.of_points("max(at)", run, series)?))
    }

    /// Returns the latest time of the points with the greatest step.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_time(&self, run: RunName, series: &Series) -> Result<Option<Timestamp>> {
        let last = self.point_before(run, series, i64::MAX)?;
        Ok(last.map(|point| point.at))
    }

    fn of_points(&self, what: &str, run: RunName, series: &Series) -> Result<Option<i64>> {
        let sql = format!(
            "SELECT {what} FROM points WHERE series = \
                 (SELECT id FROM series WHERE run = ?1 AND stage = ?2 AND key = ?3)"
        );
        let names = (signed(run), series.stage.as_str(), &series.key);
        Ok(self.query_one(&sql, names, |row| row.get(0))?.flatten())
    }

    /// Returns about `count` points of a series, with the first and the last: all points of a short
    /// series, else those at evenly spaced steps. Reads no other points.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn samples(&self, run: RunName, series: &Series, count: usize) -> Result<Vec<Point>> {
        let mut samples: Vec<Point> = Vec::new();
        if series.count <= count as u64 {
            self.points_within(run, series, ALL_STEPS, |point| {
                samples.push(point);
                ControlFlow::Continue(())
            })?;
            return Ok(samples);
        }
        let (mut first, places) = (i64::MIN, count.max(2) as i128 - 1);
        for place in 0..=places {
            // It is at most the last step.
            let width = i128::from(series.last.step) - i128::from(first);
            let step = (i128::from(first) + width * place / places) as i64;
            if samples.last().is_some_and(|last| last.step >= step) {
                continue;
            }
            self.points_within(run, series, step..=i64::MAX, |point| {
                samples.push(point);
                ControlFlow::Break(())
            })?;
            first = samples.first().map_or(first, |point| point.step);
        }
        Ok(samples)
    }

    /// Passes the points of a series whose steps are in `steps` to `take` one by one, in the order
    /// of [`Store::points`].
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn points_within(
        &self,
        run: RunName,
        series: &Series,
        steps: RangeInclusive<i64>,
        mut take: impl FnMut(Point) -> ControlFlow<()>,
    ) -> Result<()> {
        let failed = |err| database_error("read", err);
        let sql = "SELECT step, value, at, exact FROM points \
                   WHERE series = (SELECT id FROM series \
                                   WHERE run = ?1 AND stage = ?2 AND key = ?3) \
                       AND step BETWEEN ?4 AND ?5 \
                   ORDER BY step, at, nth";
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let names = (signed(run), series.stage.as_str(), &series.key, steps.start(), steps.end());
        let mut rows = statement.query(names).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if take(point(row).map_err(failed)??).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn stages(&self, run: RunName, run_state: RunState) -> Result<Vec<StageRecord>> {
        let sql = format!("SELECT {STAGE_COLUMNS} FROM stages WHERE run = ?1 ORDER BY id");
        let rows = self.query_all(&sql, (signed(run),), stage_row)?;
        rows.into_iter().map(|row| row.record(run_state)).collect()
    }

    /// Returns the artifacts of stages that `run` did not record, from the last earlier run that
    /// did.
    ///
    /// A run only counts stages that were up to date without being loaded; it does not record them.
    pub fn artifacts_before(&self, run: RunName) -> Result<Vec<Artifact>> {
        self.artifacts_by(
            "WITH last AS (
                 SELECT stage, max(run) AS run FROM stages
                 WHERE run < ?1 AND outcome IN ('fresh', 'restored', 'ran', 'accepted')
                 GROUP BY stage
             )
             SELECT stage, path, kind, digest, reported FROM last JOIN artifacts USING (run, stage)
             WHERE NOT reported AND stage NOT IN (SELECT stage FROM stages WHERE run = ?1)",
            (signed(run),),
        )
    }

    /// Returns what the processes of stages reported as artifacts, in all runs that are not
    /// deleted. Clients' files are not in the cache.
    pub fn reported(&self) -> Result<Vec<Artifact>> {
        let sql = "SELECT stage, path, artifacts.kind, digest, reported \
                   FROM artifacts JOIN runs ON run = number \
                   WHERE reported AND stage != '' AND lifecycle = 'active'";
        self.artifacts_by(sql, ())
    }

    /// Returns the artifacts that `run` recorded.
    pub fn artifacts(&self, run: RunName) -> Result<Vec<Artifact>> {
        let sql = "SELECT stage, path, kind, digest, reported FROM artifacts WHERE run = ?1";
        self.artifacts_by(sql, (signed(run),))
    }

    /// Returns the artifacts that `run` recorded of a stage.
    pub fn artifacts_of(&self, run: RunName, stage: &StageName) -> Result<Vec<Artifact>> {
        let sql = "SELECT stage, path, kind, digest, reported FROM artifacts
                   WHERE run = ?1 AND stage = ?2";
        self.artifacts_by(sql, (signed(run), stage.as_str()))
    }

    /// Returns the artifacts with a content, in all runs that are not deleted.
    pub fn artifacts_with(&self, digest: &Digest) -> Result<Vec<(RunName, Artifact)>> {
        let sql = "SELECT stage, path, artifacts.kind, digest, reported, number \
                   FROM artifacts JOIN runs ON run = number \
                   WHERE digest = ?1 AND lifecycle = 'active' ORDER BY number";
        let read = |row: &Row<'_>| Ok((run_name_at(row, 5)?, artifact(row)?));
        let found = self.query_all(sql, (&*digest.to_hex(),), read)?;
        found.into_iter().map(|(run, artifact)| Ok((run, artifact?))).collect()
    }

    fn artifacts_by(&self, sql: &str, params: impl Params) -> Result<Vec<Artifact>> {
        self.query_all(sql, params, artifact)?.into_iter().collect()
    }

    pub fn has(&self, run: RunName) -> Result<bool> {
        Ok(self
            .query_one("SELECT 1 FROM runs WHERE number = ?1", (signed(run),), |_| Ok(()))?
            .is_some())
    }

    pub(super) fn query_one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let found = || self.conn.prepare_cached(sql)?.query_row(params, &read).optional();
        found().map_err(|err| database_error("read", err))
    }

    /// Passes the rows of a query to `take` one by one, until it breaks.
    pub(super) fn each_row(
        &self,
        sql: &str,
        params: impl Params,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<()>>,
    ) -> Result<()> {
        let each = || {
            let mut statement = self.conn.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                if take(row)?.is_break() {
                    break;
                }
            }
            Ok(())
        };
        each().map_err(|err| database_error("read", err))
    }

    pub(super) fn query_all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let found = || {
            self.conn
                .prepare_cached(sql)?
                .query_map(params, &read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        };
        found().map_err(|err| database_error("read", err))
    }
}

/// All steps of a series.
const ALL_STEPS: RangeInclusive<i64> = i64::MIN..=i64::MAX;

fn run_name_at(row: &Row<'_>, column: usize) -> rusqlite::Result<RunName> {
    row.get(column).map(|number| RunName(unsigned(number)))
}

/// Reads the columns stage, path, kind, digest and reported.
fn artifact(row: &Row<'_>) -> rusqlite::Result<Result<Artifact>> {
    let (stage, path): (String, String) = (row.get(0)?, row.get(1)?);
    let (kind, digest): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
    let origin = if row.get(4)? { Origin::Reported } else { Origin::Out };
    let content = kind.zip(digest);
    Ok(owner(&stage).map(|stage| Artifact { stage, path, content, origin }))
}

/// Reads the columns step, value, at and exact.
fn point(row: &Row<'_>) -> rusqlite::Result<Result<Point>> {
    let (step, value, at) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let exact = row.get_ref(3)?;
    let exact = ValueRef::as_str_or_null(&exact).unwrap_or(None);
    Ok(number(value, exact).map(|value| Point { step, value, at }))
}

/// Returns the error of commands that need a run when there is none.
pub fn no_runs() -> Error {
    Error::usage("there are no runs yet").hint("run `repro run` to create the first")
}
