//! Reads the columns of the tables as values, and refuses what this program never writes.

use rusqlite::Row;

use super::record::{RunState, StageState};
use super::store::invalid_value;
use crate::error::Result;
use crate::event::{Failure, RunName, Timestamp};
use crate::number::Number;
use crate::pipeline::StageName;

/// A row of the table `runs`.
pub(super) struct RunRow {
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
    pub(super) fresh: i64,
}

// SQLite computes the local time, because the standard library has no time zones.
pub(super) const RUN_SQL: &str = "SELECT status, started,
    coalesce(strftime('%Y-%m-%d %H:%M:%S', started / 1000, 'unixepoch', 'localtime'), '-'),
    took, pipeline, command, overrides, host, git_commit, git_branch, git_tree, fresh
    FROM runs WHERE number = ?1";

pub(super) fn run_row(row: &Row<'_>) -> rusqlite::Result<RunRow> {
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

pub(super) fn stage_state(
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

pub(super) fn reason_texts(text: &str) -> Result<Vec<String>> {
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

pub(super) fn signed(run: RunName) -> i64 {
    // No run has a number this large, so a query for `i64::MAX` finds nothing.
    i64::try_from(run.0).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
