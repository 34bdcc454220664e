//! Reads runs from the database as values.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row};

use super::store::{Store, database_error, invalid_value, is_recording};
use crate::error::{Error, Result};
use crate::event::{Failure, GitState, GitTree, Millis, RunInfo, RunName, Timestamp};
use crate::pipeline::{ParamKey, ParamValue, StageName};

/// A recorded run without its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub name: RunName,
    pub state: RunState,
    pub started: Timestamp,
    /// `started` in the time zone of this machine: `2026-05-09 14:03:22`.
    pub started_local: String,
    /// `None` while the run is running, and if its process died.
    pub took: Option<Millis>,
    pub info: RunInfo,
    /// Stages in the order in which the run reached them.
    pub stages: Vec<StageRecord>,
    /// By stage, then key.
    pub metrics: BTreeMap<(StageName, String), f64>,
    pub artifacts: Vec<Artifact>,
}

/// State of a recorded run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    Running,
    Ok,
    Failed,
    /// Interrupted by the user, or its process died.
    Interrupted,
}

impl RunState {
    /// Returns the state as it is stored and displayed.
    pub fn word(self) -> &'static str {
        match self {
            RunState::Running => "running",
            RunState::Ok => "ok",
            RunState::Failed => "failed",
            RunState::Interrupted => "interrupted",
        }
    }

    fn parse(word: &str) -> Option<RunState> {
        use RunState::{Failed, Interrupted, Ok, Running};
        [Running, Ok, Failed, Interrupted].into_iter().find(|state| state.word() == word)
    }
}

/// Record of a stage in a run.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    pub stage: StageName,
    pub state: StageState,
    pub started: Option<Timestamp>,
    pub took: Option<Millis>,
    /// The first hundred reasons, one line each.
    pub reasons: Vec<String>,
    /// Number of all reasons.
    pub reason_count: usize,
}

/// State of a stage in a recorded run.
#[derive(Debug, Clone, PartialEq)]
pub enum StageState {
    Running,
    Fresh,
    Restored,
    Ran,
    Failed(Failure),
    /// Ran, but a dep changed meanwhile.
    Unrecorded(Failure),
    Skipped {
        because: Option<StageName>,
    },
    Interrupted,
    /// Accepted by the user as up to date, for this reason.
    Accepted {
        reason: String,
    },
}

impl StageState {
    /// Returns the word of JSON and the database; displays show `fresh` as "up to date".
    pub fn word(&self) -> &'static str {
        match self {
            StageState::Running => "running",
            StageState::Fresh => "fresh",
            StageState::Restored => "restored",
            StageState::Ran => "ran",
            StageState::Failed(_) => "failed",
            StageState::Unrecorded(_) => "unrecorded",
            StageState::Skipped { .. } => "skipped",
            StageState::Interrupted => "interrupted",
            StageState::Accepted { .. } => "accepted",
        }
    }
}

/// Durations of the stages when they last ran and when they were last restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastTimes {
    pub ran: BTreeMap<StageName, Millis>,
    pub restored: BTreeMap<StageName, Millis>,
}

/// An out of a stage, or a file that its process reported as an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub stage: StageName,
    pub path: String,
    /// Kind (`file`, `exec`, `tree` or `link`) and hexadecimal digest; `None` for a file that is
    /// not an out.
    pub content: Option<(String, String)>,
}

/// Values of a metric over the steps of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub stage: StageName,
    pub key: String,
    /// Step, value and time of each point, sorted by step.
    pub points: Vec<(u64, f64, Timestamp)>,
}

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
        let git = row.commit.map(|commit| GitState {
            commit,
            branch: row.branch,
            tree: if row.tree.as_deref() == Some("clean") {
                GitTree::Clean
            } else {
                GitTree::Dirty
            },
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
    pub fn metrics(&self, run: RunName) -> Result<BTreeMap<(StageName, String), f64>> {
        let sql = "SELECT stage, key, value FROM metrics WHERE run = ?1";
        let rows = self.query_all(sql, signed(run), |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, number(row, 2)?))
        })?;
        rows.into_iter()
            .map(|(stage, key, value)| Ok(((stage_name(&stage)?, key), value)))
            .collect()
    }

    /// Returns all series of `run`, sorted by stage, then key.
    pub fn series(&self, run: RunName) -> Result<Vec<Series>> {
        let sql = "SELECT stage, key, step, value, at FROM series WHERE run = ?1 \
                   ORDER BY stage, key, step";
        let rows = self.query_all(sql, signed(run), |row| {
            let point = (unsigned(row.get(2)?), number(row, 3)?, row.get(4)?);
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, point))
        })?;
        let mut all: Vec<Series> = Vec::new();
        for (stage, key, point) in rows {
            match all.last_mut() {
                Some(last) if last.stage.as_str() == stage && last.key == key => {
                    last.points.push(point);
                }
                _ => all.push(Series { stage: stage_name(&stage)?, key, points: vec![point] }),
            }
        }
        Ok(all)
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

    fn artifacts(&self, run: RunName) -> Result<Vec<Artifact>> {
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

/// A row of the table `runs`.
struct RunRow {
    status: String,
    started: Timestamp,
    started_local: String,
    took: Option<i64>,
    pipeline: Option<String>,
    command: String,
    overrides: String,
    host: String,
    commit: Option<String>,
    branch: Option<String>,
    tree: Option<String>,
    fresh: i64,
}

// SQLite computes the local time, because the standard library has no time zones.
const RUN_SQL: &str = "SELECT status, started,
    coalesce(strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch', 'localtime'), '-'),
    took, pipeline, command, overrides, host, git_commit, git_branch, git_tree, fresh
    FROM runs WHERE number = ?1";

fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        status: row.get(0)?,
        started: row.get(1)?,
        started_local: row.get(2)?,
        took: row.get(3)?,
        pipeline: row.get(4)?,
        command: row.get(5)?,
        overrides: row.get(6)?,
        host: row.get(7)?,
        commit: row.get(8)?,
        branch: row.get(9)?,
        tree: row.get(10)?,
        fresh: row.get(11)?,
    })
}

fn stage_state(
    run_state: RunState,
    outcome: Option<&str>,
    failure: Option<&str>,
    because: Option<&str>,
) -> Result<StageState> {
    Ok(match outcome {
        None if run_state == RunState::Running => StageState::Running,
        None | Some("interrupted") => StageState::Interrupted,
        Some("fresh") => StageState::Fresh,
        Some("restored") => StageState::Restored,
        Some("ran") => StageState::Ran,
        Some("failed") => StageState::Failed(failure_of(failure.unwrap_or("{}"))?),
        Some("unrecorded") => StageState::Unrecorded(failure_of(failure.unwrap_or("{}"))?),
        Some("accepted") => StageState::Accepted { reason: because.unwrap_or_default().to_owned() },
        Some("skipped") => StageState::Skipped { because: because.map(stage_name).transpose()? },
        Some(word) => return Err(invalid_value("stage outcome", word)),
    })
}

fn failure_of(text: &str) -> Result<Failure> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| invalid_value("failure", text))?;
    let string = |key: &str| value[key].as_str().map(ToOwned::to_owned);
    let causes = value["causes"].as_array().into_iter().flatten();
    Ok(Failure {
        what: string("what").unwrap_or_else(|| "failed".to_owned()),
        causes: causes.filter_map(|cause| cause.as_str().map(ToOwned::to_owned)).collect(),
        hint: string("hint"),
    })
}

fn reason_texts(text: &str) -> Result<Vec<String>> {
    let reasons: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|_| invalid_value("list of reasons", text))?;
    Ok(reasons.iter().filter_map(|reason| reason["text"].as_str().map(ToOwned::to_owned)).collect())
}

fn texts(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|_| invalid_value("list of words", json))
}

fn stage_name(text: &str) -> Result<StageName> {
    StageName::parse(text).ok_or_else(|| invalid_value("stage name", text))
}

/// Reads a metric's value; NULL stands for NaN.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
}

fn signed(run: RunName) -> i64 {
    // No run has a number this large, so a query for `i64::MAX` finds nothing.
    i64::try_from(run.0).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
