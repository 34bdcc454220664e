//! Queries of the database.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row};

use super::record::{Artifact, LastTimes, Metrics, Point, Run, RunState, Series, StageRecord};
use super::rows::{
    RUN_SQL, number, reason_texts, run_row, signed, stage_name, stage_state, texts, unsigned,
};
use super::store::{Store, database_error, invalid_value, is_recording};
use crate::error::{Error, Result};
use crate::event::{GitState, GitTree, Millis, RunInfo, RunName};
use crate::pipeline::{ParamKey, ParamValue, StageName};

impl Store {
    /// Returns the run that `text` names: `run-12`, `12` or `last`.
    ///
    /// # Errors
    /// The run does not exist; the hint lists the latest runs.
    pub fn resolve(&self, text: &str) -> Result<RunName> {
        let latest = self.names(3)?;
        let Some(last) = latest.first() else { return Err(no_runs()) };
        if text == "last" {
            return Ok(*last);
        }
        let shown = latest.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let hint = match latest.len() {
            1 => format!("the only run is {shown}"),
            _ => format!("the latest are {shown}; `repro runs list` shows more"),
        };
        let Some(run) = RunName::parse(text) else {
            return Err(Error::usage(format!(
                "`{text}` is not a run name: expected a name such as `{last}`, `{}` or `last`",
                last.0
            ))
            .hint(hint));
        };
        if self.has(run)? {
            Ok(run)
        } else {
            Err(Error::usage(format!("there is no run `{run}`")).hint(hint))
        }
    }

    /// Returns at most `limit` of the latest runs, newest first.
    pub fn names(&self, limit: usize) -> Result<Vec<RunName>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_all("SELECT number FROM runs ORDER BY number DESC LIMIT ?1", limit, |row| {
            Ok(RunName(unsigned(row.get(0)?)))
        })
    }

    /// Returns the durations of each stage when it last ran and when it was last restored.
    pub fn last_times(&self) -> Result<LastTimes> {
        let sql = "SELECT stage, outcome, took, max(run) FROM stages \
                   WHERE outcome IN ('ran', 'restored') AND took IS NOT NULL AND ?1 = ?1 \
                   GROUP BY stage, outcome";
        let rows = self.query_all(sql, 0, |row| {
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

    /// Returns the number of runs.
    pub fn count(&self) -> Result<usize> {
        let count: i64 = self
            .query_one("SELECT count(*) FROM runs WHERE ?1 = ?1", 0, |row| row.get(0))?
            .unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// Returns the run before `run`, if there is one.
    pub fn before(&self, run: RunName) -> Result<Option<RunName>> {
        let sql = "SELECT max(number) FROM runs WHERE number < ?1";
        let number: Option<i64> = self.query_one(sql, signed(run), |row| row.get(0))?.flatten();
        Ok(number.map(|number| RunName(unsigned(number))))
    }

    /// Returns `run` without its series.
    ///
    /// # Errors
    /// The run does not exist, or the database cannot be read.
    pub fn run(&self, run: RunName) -> Result<Run> {
        let row = self
            .query_one(RUN_SQL, signed(run), run_row)?
            .ok_or_else(|| Error::usage(format!("there is no run `{run}`")))?;
        let state = RunState::parse(&row.status);
        let state = match state.ok_or_else(|| invalid_value("status", &row.status))? {
            // Without the recording lock, its process has died.
            RunState::Running if !is_recording(&self.root) => RunState::Interrupted,
            state => state,
        };
        let git = row.tree.map(|tree| GitState {
            commit: row.commit,
            branch: row.branch,
            tree: if tree == "clean" { GitTree::Clean } else { GitTree::Dirty },
        });
        let info = RunInfo {
            pipeline: row.pipeline,
            command: texts(&row.command)?,
            params: self.params(run)?,
            overrides: texts(&row.overrides)?,
            host: row.host,
            git,
            fresh: usize::try_from(row.fresh).unwrap_or(0),
        };
        Ok(Run {
            name: run,
            state,
            started: row.started,
            started_local: row.started_local,
            took: row.took.map(|took| Millis(unsigned(took))),
            info,
            stages: self.stages(run, state)?,
            metrics: self.metrics(run)?,
            artifacts: self.artifacts(run)?,
        })
    }

    /// Returns all params of `run`.
    pub fn params(&self, run: RunName) -> Result<BTreeMap<ParamKey, ParamValue>> {
        let sql = "SELECT key, value FROM params WHERE run = ?1";
        let rows = self.query_all(sql, signed(run), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        rows.into_iter()
            .map(|(key, text)| {
                let value =
                    serde_json::from_str(&text).map_err(|_| invalid_value("param", &text))?;
                Ok((ParamKey::recorded(key), value))
            })
            .collect()
    }

    /// Returns the final metrics of `run`.
    pub fn metrics(&self, run: RunName) -> Result<Metrics> {
        let sql = "SELECT stage, key, value, exact FROM metrics WHERE run = ?1";
        let rows = self.query_all(sql, signed(run), |row| {
            let texts: (String, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(3)?);
            Ok((texts, row.get::<_, Option<f64>>(2)?))
        })?;
        rows.into_iter()
            .map(|((stage, key, exact), value)| {
                Ok(((stage_name(&stage)?, key), number(value, exact.as_deref())?))
            })
            .collect()
    }

    /// Returns the names and lengths of all series of `run`, sorted by stage, then key.
    pub fn series(&self, run: RunName) -> Result<Vec<Series>> {
        let sql = "SELECT stage, key, count(*) FROM series WHERE run = ?1 GROUP BY stage, key \
                   ORDER BY stage, key";
        let rows = self.query_all(sql, signed(run), |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?))
        })?;
        rows.into_iter()
            .map(|(stage, key, count)| {
                Ok(Series { stage: stage_name(&stage)?, key, count: unsigned(count) })
            })
            .collect()
    }

    /// Passes the points of a series to `take` one by one, in the order of their steps.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn points(
        &self,
        run: RunName,
        series: &Series,
        mut take: impl FnMut(Point) -> ControlFlow<()>,
    ) -> Result<()> {
        let failed = |err| database_error("read", err);
        let sql = "SELECT step, value, at, exact FROM series \
                   WHERE run = ?1 AND stage = ?2 AND key = ?3 ORDER BY step";
        let mut statement = self.conn.prepare_cached(sql).map_err(failed)?;
        let names = (signed(run), series.stage.as_str(), &series.key);
        let mut rows = statement.query(names).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let columns = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get_ref(3)?));
            let (step, value, at, exact) = columns().map_err(failed)?;
            let exact = ValueRef::as_str_or_null(&exact).unwrap_or(None);
            let point = Point { step: unsigned(step), value: number(value, exact)?, at };
            if take(point).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn stages(&self, run: RunName, run_state: RunState) -> Result<Vec<StageRecord>> {
        let sql = "SELECT stage, outcome, started, took, reasons, reason_count, failure, because
                   FROM stages WHERE run = ?1 ORDER BY id";
        let rows = self.query_all(sql, signed(run), |row| {
            let state: (Option<String>, Option<String>, Option<String>) =
                (row.get(1)?, row.get(6)?, row.get(7)?);
            let reasons: (String, i64) = (row.get(4)?, row.get(5)?);
            Ok((
                row.get::<_, String>(0)?,
                state,
                row.get(2)?,
                row.get::<_, Option<i64>>(3)?,
                reasons,
            ))
        })?;
        rows.into_iter()
            .map(|(stage, (outcome, failure, because), started, took, (reasons, reason_count))| {
                Ok(StageRecord {
                    stage: stage_name(&stage)?,
                    state: stage_state(
                        run_state,
                        outcome.as_deref(),
                        failure.as_deref(),
                        because.as_deref(),
                    )?,
                    started,
                    took: took.map(|took| Millis(unsigned(took))),
                    reasons: reason_texts(&reasons)?,
                    reason_count: usize::try_from(reason_count).unwrap_or(0),
                })
            })
            .collect()
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
             SELECT stage, path, kind, digest FROM last JOIN artifacts USING (run, stage)
             WHERE stage NOT IN (SELECT stage FROM stages WHERE run = ?1)",
            run,
        )
    }

    /// Returns the artifacts that `run` recorded.
    pub fn artifacts(&self, run: RunName) -> Result<Vec<Artifact>> {
        self.artifacts_by("SELECT stage, path, kind, digest FROM artifacts WHERE run = ?1", run)
    }

    fn artifacts_by(&self, sql: &str, run: RunName) -> Result<Vec<Artifact>> {
        let rows = self.query_all(sql, signed(run), |row| {
            let content: (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
            Ok((row.get::<_, String>(0)?, row.get(1)?, content.0.zip(content.1)))
        })?;
        rows.into_iter()
            .map(|(stage, path, content)| {
                Ok(Artifact { stage: stage_name(&stage)?, path, content })
            })
            .collect()
    }

    fn has(&self, run: RunName) -> Result<bool> {
        Ok(self
            .query_one("SELECT 1 FROM runs WHERE number = ?1", signed(run), |_| Ok(()))?
            .is_some())
    }

    fn query_one<T>(
        &self,
        sql: &str,
        param: i64,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let found = || self.conn.prepare_cached(sql)?.query_row([param], &read).optional();
        found().map_err(|err| database_error("read", err))
    }

    fn query_all<T>(
        &self,
        sql: &str,
        param: i64,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let found = || {
            self.conn
                .prepare_cached(sql)?
                .query_map([param], &read)?
                .collect::<rusqlite::Result<Vec<T>>>()
        };
        found().map_err(|err| database_error("read", err))
    }
}

/// Returns the error of commands that need a run when there is none.
pub fn no_runs() -> Error {
    Error::usage("there are no runs yet").hint("run `repro run` to create the first")
}
