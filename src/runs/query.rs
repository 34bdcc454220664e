//! Reads runs back as values. Knows nothing of how they are shown.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, Row};

use super::store::{Store, damaged, failed, is_recording};
use crate::error::{Error, Result};
use crate::event::{Failure, GitState, GitTree, Millis, RunInfo, RunName, Timestamp};
use crate::pipeline::{ParamKey, ParamValue, StageName};

/// Everything that is recorded of a run but its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub name: RunName,
    pub state: RunState,
    pub started: Timestamp,
    /// `started` in the time zone of this machine, `2026-05-09 14:03:22`.
    pub started_local: String,
    /// `None` while it runs, and for a run that died.
    pub took: Option<Millis>,
    pub about: RunInfo,
    /// In the order in which they were reached.
    pub stages: Vec<StageRecord>,
    /// By stage, then key.
    pub metrics: BTreeMap<(StageName, String), f64>,
    pub artifacts: Vec<Artifact>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    Running,
    Ok,
    Failed,
    /// By the user, or because its process died.
    Interrupted,
}

impl RunState {
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

/// What a run did with a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    pub stage: StageName,
    pub state: StageState,
    pub started: Option<Timestamp>,
    pub took: Option<Millis>,
    /// A line each; the first hundred.
    pub reasons: Vec<String>,
    /// How many there were.
    pub reason_count: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum StageState {
    Running,
    Fresh,
    Restored,
    Ran,
    Failed(Failure),
    Skipped {
        because: Option<StageName>,
    },
    Interrupted,
    /// Declared to be up to date, for this reason.
    Accepted {
        reason: String,
    },
}

impl StageState {
    pub fn word(&self) -> &'static str {
        match self {
            StageState::Running => "running",
            StageState::Fresh => "fresh",
            StageState::Restored => "restored",
            StageState::Ran => "ran",
            StageState::Failed(_) => "failed",
            StageState::Skipped { .. } => "skipped",
            StageState::Interrupted => "interrupted",
            StageState::Accepted { .. } => "accepted",
        }
    }
}

/// How long stages took when they last ran, or were last restored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastTimes {
    pub ran: BTreeMap<StageName, Millis>,
    pub restored: BTreeMap<StageName, Millis>,
}

/// An out of a stage, or a file that its process pointed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub stage: StageName,
    pub path: String,
    /// `file`, `exec`, `tree` or `link`, and the digest in hexadecimal; `None` for a file that is no out.
    pub content: Option<(String, String)>,
}

/// One metric over the steps of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    pub stage: StageName,
    pub key: String,
    /// In the order of steps: step, value, time.
    pub points: Vec<(u64, f64, Timestamp)>,
}

impl Store {
    /// The run that `text` names: `run-12`, `12`, or `last`.
    ///
    /// # Errors
    /// There is none of that name; the hint lists those that could have been meant.
    pub fn resolve(&self, text: &str) -> Result<RunName> {
        let latest = self.names(3)?;
        let Some(last) = latest.first() else { return Err(no_runs()) };
        if text == "last" {
            return Ok(*last);
        }
        let shown = latest.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let hint = format!("the latest are {shown}; `repro runs list` shows more");
        let Some(run) = RunName::parse(text) else {
            return Err(Error::usage(format!(
                "`{text}` is no name of a run: write `{last}`, `{}` or `last`",
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

    /// The latest runs, newest first, at most `limit`.
    pub fn names(&self, limit: usize) -> Result<Vec<RunName>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.rows("SELECT number FROM runs ORDER BY number DESC LIMIT ?1", limit, |row| {
            Ok(RunName(unsigned(row.get(0)?)))
        })
    }

    /// How long the latest time took that a stage ran, or was restored.
    pub fn last_times(&self) -> Result<LastTimes> {
        let sql = "SELECT stage, outcome, took, max(run) FROM stages \
                   WHERE outcome IN ('ran', 'restored') AND took IS NOT NULL AND ?1 = ?1 GROUP BY stage, outcome";
        let rows = self.rows(sql, 0, |row| {
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

    pub fn count(&self) -> Result<usize> {
        let count: i64 =
            self.one("SELECT count(*) FROM runs WHERE ?1 = ?1", 0, |row| row.get(0))?.unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(0))
    }

    /// The run before `run`, if there is one.
    pub fn before(&self, run: RunName) -> Result<Option<RunName>> {
        let sql = "SELECT max(number) FROM runs WHERE number < ?1";
        let number: Option<i64> = self.one(sql, signed(run), |row| row.get(0))?.flatten();
        Ok(number.map(|number| RunName(unsigned(number))))
    }

    /// All of `run` but its series.
    ///
    /// # Errors
    /// There is no such run, or the database cannot be read.
    pub fn run(&self, run: RunName) -> Result<Run> {
        let head = self
            .one(HEAD, signed(run), head)?
            .ok_or_else(|| Error::usage(format!("there is no run `{run}`")))?;
        let state =
            match RunState::parse(&head.status).ok_or_else(|| damaged("status", &head.status))? {
                // Its process died, or it would hold the lock.
                RunState::Running if !is_recording(&self.root) => RunState::Interrupted,
                state => state,
            };
        let git = head.commit.map(|commit| GitState {
            commit,
            branch: head.branch,
            tree: if head.tree.as_deref() == Some("clean") {
                GitTree::Clean
            } else {
                GitTree::Dirty
            },
        });
        let about = RunInfo {
            pipeline: head.pipeline,
            command: texts(&head.command)?,
            params: self.params(run)?,
            overrides: texts(&head.overrides)?,
            host: head.host,
            git,
            fresh: usize::try_from(head.fresh).unwrap_or(0),
        };
        Ok(Run {
            name: run,
            state,
            started: head.started,
            started_local: head.started_local,
            took: head.took.map(|took| Millis(unsigned(took))),
            about,
            stages: self.stages(run, state)?,
            metrics: self.metrics(run)?,
            artifacts: self.artifacts(run)?,
        })
    }

    /// Every param of `run`.
    pub fn params(&self, run: RunName) -> Result<BTreeMap<ParamKey, ParamValue>> {
        let sql = "SELECT key, value FROM params WHERE run = ?1";
        let rows = self.rows(sql, signed(run), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        rows.into_iter()
            .map(|(key, text)| {
                let value = serde_json::from_str(&text).map_err(|_| damaged("param", &text))?;
                Ok((ParamKey::new(key), value))
            })
            .collect()
    }

    /// The final metrics of `run`.
    pub fn metrics(&self, run: RunName) -> Result<BTreeMap<(StageName, String), f64>> {
        let sql = "SELECT stage, key, value FROM metrics WHERE run = ?1";
        let rows = self.rows(sql, signed(run), |row| {
            Ok((row.get::<_, String>(0)?, row.get(1)?, number(row, 2)?))
        })?;
        rows.into_iter()
            .map(|(stage, key, value)| Ok(((stage_name(&stage)?, key), value)))
            .collect()
    }

    /// Every series of `run`, by stage, then key.
    pub fn series(&self, run: RunName) -> Result<Vec<Series>> {
        let sql = "SELECT stage, key, step, value, at FROM series WHERE run = ?1 ORDER BY stage, key, step";
        let rows = self.rows(sql, signed(run), |row| {
            let point = (unsigned(row.get(2)?), number(row, 3)?, row.get(4)?);
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, point))
        })?;
        let mut all: Vec<Series> = Vec::new();
        for (stage, key, point) in rows {
            match all.last_mut() {
                Some(last) if last.stage.as_str() == stage && last.key == key => {
                    last.points.push(point)
                }
                _ => all.push(Series { stage: stage_name(&stage)?, key, points: vec![point] }),
            }
        }
        Ok(all)
    }

    fn stages(&self, run: RunName, of: RunState) -> Result<Vec<StageRecord>> {
        let sql = "SELECT stage, outcome, started, took, reasons, reason_count, failure, because
                   FROM stages WHERE run = ?1 ORDER BY id";
        let rows = self.rows(sql, signed(run), |row| {
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
                        of,
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

    /// What the stages that were up to date before `run` had written when they were last looked at.
    pub fn artifacts_before(&self, run: RunName) -> Result<Vec<Artifact>> {
        self.artifacts_by(
            "WITH last AS (
                 SELECT stage, max(run) AS run FROM stages
                 WHERE run < ?1 AND outcome IN ('fresh', 'restored', 'ran', 'accepted') GROUP BY stage
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
        let rows = self.rows(sql, signed(run), |row| {
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
        Ok(self.one("SELECT 1 FROM runs WHERE number = ?1", signed(run), |_| Ok(()))?.is_some())
    }

    fn one<T>(
        &self,
        sql: &str,
        param: i64,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>> {
        let found = || self.conn.prepare_cached(sql)?.query_row([param], &read).optional();
        found().map_err(|err| failed("read", err))
    }

    fn rows<T>(
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
        found().map_err(|err| failed("read", err))
    }
}

/// What every command that needs a run says when there is none.
pub fn no_runs() -> Error {
    Error::usage("there are no runs yet").hint("`repro run` makes the first")
}

struct Head {
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

// SQLite knows the time zone, which the standard library does not.
const HEAD: &str = "SELECT status, started, coalesce(strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch', 'localtime'), '-'),
    took, pipeline, command, overrides, host, git_commit, git_branch, git_tree, fresh FROM runs WHERE number = ?1";

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
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
    of: RunState,
    outcome: Option<&str>,
    failure: Option<&str>,
    because: Option<&str>,
) -> Result<StageState> {
    Ok(match outcome {
        None if of == RunState::Running => StageState::Running,
        None | Some("interrupted") => StageState::Interrupted,
        Some("fresh") => StageState::Fresh,
        Some("restored") => StageState::Restored,
        Some("ran") => StageState::Ran,
        Some("failed") => StageState::Failed(failure_of(failure.unwrap_or("{}"))?),
        Some("accepted") => StageState::Accepted { reason: because.unwrap_or_default().to_owned() },
        Some("skipped") => StageState::Skipped { because: because.map(stage_name).transpose()? },
        Some(word) => return Err(damaged("stage's outcome", word)),
    })
}

fn failure_of(text: &str) -> Result<Failure> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| damaged("failure", text))?;
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
        serde_json::from_str(text).map_err(|_| damaged("list of reasons", text))?;
    Ok(reasons.iter().filter_map(|reason| reason["text"].as_str().map(ToOwned::to_owned)).collect())
}

fn texts(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|_| damaged("list of words", json))
}

fn stage_name(text: &str) -> Result<StageName> {
    StageName::parse(text).ok_or_else(|| damaged("stage's name", text))
}

/// A metric's value: NULL stands for NaN.
fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<f64> {
    Ok(row.get::<_, Option<f64>>(column)?.unwrap_or(f64::NAN))
}

fn signed(run: RunName) -> i64 {
    // No run has such a number, so a query for the largest finds nothing.
    i64::try_from(run.0).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
