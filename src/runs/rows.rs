//! Reads the columns of the tables as values, and refuses what this program never writes.

use rusqlite::Row;

use super::record::{RunState, StageRecord, StageState, StepValue};
use super::store::invalid_value;
use crate::error::Result;
use crate::event::{Failure, GitDiff, Millis, RunName, RunUid, StageInputs, Timestamp, Usage};
use crate::number::Number;
use crate::pipeline::StageName;

/// A row of the table `runs`.
pub(super) struct RunRow {
    pub(super) uid: String,
    pub(super) name: Option<String>,
    pub(super) kind: String,
    pub(super) parent: Option<String>,
    pub(super) experiment: Option<String>,
    pub(super) user: Option<String>,
    pub(super) lifecycle: String,
    pub(super) note: Option<String>,
    pub(super) status: String,
    pub(super) started: Timestamp,
    pub(super) started_local: String,
    pub(super) took: Option<i64>,
    pub(super) pipeline: Option<String>,
    pub(super) command: String,
    pub(super) overrides: String,
    pub(super) host: String,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) tree: Option<String>,
    pub(super) diff: Option<String>,
    pub(super) diff_lacks: Option<String>,
    pub(super) fresh: i64,
}

// SQLite computes the local time, because the standard library has no time zones.
pub(super) const RUN_SQL: &str = "SELECT uid, name, kind, parent,
    (SELECT name FROM experiments WHERE id = experiment) AS experiment_name, user, lifecycle, note,
    status, started,
    coalesce(strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch', 'localtime'), '-')
        AS started_local,
    took, pipeline, command, overrides, host, git_commit, git_branch, git_tree, git_diff,
    git_diff_lacks, fresh
    FROM runs WHERE number = ?1";

pub(super) fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
    Ok(RunRow {
        uid: row.get("uid")?,
        name: row.get("name")?,
        kind: row.get("kind")?,
        parent: row.get("parent")?,
        experiment: row.get("experiment_name")?,
        user: row.get("user")?,
        lifecycle: row.get("lifecycle")?,
        note: row.get("note")?,
        status: row.get("status")?,
        started: row.get("started")?,
        started_local: row.get("started_local")?,
        took: row.get("took")?,
        pipeline: row.get("pipeline")?,
        command: row.get("command")?,
        overrides: row.get("overrides")?,
        host: row.get("host")?,
        commit: row.get("git_commit")?,
        branch: row.get("git_branch")?,
        tree: row.get("git_tree")?,
        diff: row.get("git_diff")?,
        diff_lacks: row.get("git_diff_lacks")?,
        fresh: row.get("fresh")?,
    })
}

pub(super) fn git_diff(digest: &str, lacks: Option<&str>) -> Result<GitDiff> {
    let parsed = digest.parse().map_err(|_| invalid_value("digest", digest))?;
    Ok(GitDiff { digest: parsed, lacks: lacks.map_or(Ok(Vec::new()), texts)? })
}

pub(super) fn uid(text: &str) -> Result<RunUid> {
    RunUid::parse(text).ok_or_else(|| invalid_value("identity of a run", text))
}

/// A row of the table `stages`.
pub(super) struct StageRow {
    stage: String,
    outcome: Option<String>,
    started: Option<Timestamp>,
    took: Option<i64>,
    reasons: String,
    reason_count: i64,
    failure: Option<String>,
    because: Option<String>,
    exit_code: Option<i32>,
    cpu: Option<i64>,
    memory: Option<i64>,
    tools: String,
    env: String,
}

pub(super) const STAGE_COLUMNS: &str = "stage, outcome, stages.started AS started,
    stages.took AS took, reasons, reason_count, failure, because, exit_code, cpu, memory, tools,
    env";

pub(super) fn stage_row(row: &Row<'_>) -> rusqlite::Result<StageRow> {
    Ok(StageRow {
        stage: row.get("stage")?,
        outcome: row.get("outcome")?,
        started: row.get("started")?,
        took: row.get("took")?,
        reasons: row.get("reasons")?,
        reason_count: row.get("reason_count")?,
        failure: row.get("failure")?,
        because: row.get("because")?,
        exit_code: row.get("exit_code")?,
        cpu: row.get("cpu")?,
        memory: row.get("memory")?,
        tools: row.get("tools")?,
        env: row.get("env")?,
    })
}

impl StageRow {
    pub(super) fn record(self, run_state: RunState) -> Result<StageRecord> {
        let (failure, because) = (self.failure.as_deref(), self.because.as_deref());
        let usage = self.exit_code.map(|exit_code| Usage {
            exit_code,
            cpu: Millis(self.cpu.map_or(0, unsigned)),
            memory: self.memory.map(unsigned),
        });
        let invalid = |text: &str| invalid_value("record of a stage", text);
        let inputs = StageInputs {
            tools: serde_json::from_str(&self.tools).map_err(|_| invalid(&self.tools))?,
            env: serde_json::from_str(&self.env).map_err(|_| invalid(&self.env))?,
        };
        Ok(StageRecord {
            stage: stage_name(&self.stage)?,
            state: stage_state(run_state, self.outcome.as_deref(), failure, because)?,
            started: self.started,
            took: self.took.map(|took| Millis(unsigned(took))),
            reasons: reason_texts(&self.reasons)?,
            reason_count: usize::try_from(self.reason_count).unwrap_or(0),
            usage,
            inputs,
        })
    }
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
        Some("restored") => StageState::Restored { from: because.map(str::to_owned) },
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

pub(super) fn texts(json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|_| invalid_value("list of words", json))
}

pub(super) fn stage_name(text: &str) -> Result<StageName> {
    StageName::parse(text).ok_or_else(|| invalid_value("stage name", text))
}

/// Returns the stage that owns a row; the empty text stands for none.
pub(super) fn owner(text: &str) -> Result<StageName> {
    if text.is_empty() { Ok(StageName::outside()) } else { stage_name(text) }
}

/// Returns the stages and keys that the name of a param or metric can stand for: that of no stage
/// first, then those of stages, `lr` of the stage `train` for `train.lr`.
pub(super) fn name_readings(name: &str) -> Vec<(&str, &str)> {
    let logged = name.match_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let logged = logged.filter(|(stage, _)| StageName::parse(stage).is_some());
    std::iter::once(("", name)).chain(logged).collect()
}

/// Reads a number from its `value` and `exact` columns; NULL stands for NaN.
pub(super) fn number(value: Option<f64>, exact: Option<&str>) -> Result<Number> {
    match exact {
        None => Ok(value.map_or(Number::NAN, Number::from)),
        Some(digits) => match digits.parse::<i128>() {
            Ok(integer) => Ok(Number::from(integer)),
            Err(_) => Err(invalid_value("number", digits)),
        },
    }
}

/// The columns of a value of a series: value, exact digits and step; all NULL if there is none.
pub(super) type StepColumns = (Option<f64>, Option<String>, Option<i64>);

/// Reads three columns, beginning with `at`.
pub(super) fn step_columns(row: &Row<'_>, at: usize) -> rusqlite::Result<StepColumns> {
    Ok((row.get(at)?, row.get(at + 1)?, row.get(at + 2)?))
}

pub(super) fn step_value((value, exact, step): StepColumns) -> Result<Option<StepValue>> {
    let Some(step) = step else { return Ok(None) };
    Ok(Some(StepValue { step, value: number(value, exact.as_deref())? }))
}

/// Returns the columns of a value of a series.
pub(super) fn columns_of(one: Option<StepValue>) -> StepColumns {
    let step = one.map(|one| one.step);
    let value = one.map(|one| one.value);
    (value.map(Number::to_f64), value.and_then(exact), step)
}

/// Reads a run's number from the first column.
pub(super) fn run_name(row: &Row<'_>) -> rusqlite::Result<RunName> {
    Ok(RunName(unsigned(row.get(0)?)))
}

pub(super) fn signed(run: RunName) -> i64 {
    // No run has a number this large, so a query for `i64::MAX` finds nothing.
    i64::try_from(run.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Returns the digits of an integer that no double represents.
pub(super) fn exact(value: Number) -> Option<String> {
    value.beyond_f64().map(|integer| integer.to_string())
}

/// Converts to SQLite's signed integers; a value that does not fit is stored as the maximum.
pub(super) fn saturating_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
