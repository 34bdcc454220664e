//! Records of stages over many runs, and runs in progress.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rusqlite::Row;

use super::liveness::is_alive;
use super::record::{RunState, StageRecord};
use super::rows::{STAGE_COLUMNS, run_name, stage_row, unsigned};
use super::store::{Store, invalid_value};
use crate::error::Result;
use crate::event::{RunKind, RunName, Timestamp};
use crate::pipeline::StageName;

/// A run that reached a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct StageInRun {
    pub run: RunName,
    pub name: Option<String>,
    pub kind: RunKind,
    /// When the run started.
    pub started: Timestamp,
    pub record: StageRecord,
}

impl Store {
    /// Returns the runs in progress that are not deleted, newest first.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn in_progress(&self) -> Result<Vec<(RunName, RunKind)>> {
        let sql = "SELECT number, kind FROM runs
                   WHERE status = 'running' AND lifecycle = 'active' ORDER BY number DESC";
        let rows = self.query_all(sql, (), |row| Ok((run_name(row)?, row.get::<_, String>(1)?)))?;
        let mut runs = Vec::new();
        for (run, kind) in rows {
            let kind = kind_of(&kind)?;
            if self.state_of(run, kind, "running")? == RunState::Running {
                runs.push((run, kind));
            }
        }
        Ok(runs)
    }

    /// Returns the last run that has ended, without deleted ones and those that are a part of
    /// another.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_ended(&self) -> Result<Option<RunName>> {
        let running: BTreeSet<RunName> =
            self.in_progress()?.into_iter().map(|(run, _)| run).collect();
        let limit = i64::try_from(running.len() + 1).unwrap_or(i64::MAX);
        let sql = "SELECT number FROM runs WHERE lifecycle = 'active' AND parent IS NULL
                   ORDER BY number DESC LIMIT ?1";
        let latest = self.query_all(sql, (limit,), run_name)?;
        Ok(latest.into_iter().find(|run| !running.contains(run)))
    }

    /// Returns the last record of each of these stages in which it was more than up to date or
    /// skipped, in runs that are not deleted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn last_work(
        &self,
        mut stages: BTreeSet<&str>,
    ) -> Result<BTreeMap<StageName, (RunName, StageRecord)>> {
        let before = i64::try_from(self.highest()?.saturating_sub(RECENT)).unwrap_or(i64::MAX);
        let is_work = "lifecycle = 'active' AND kind IN ('pipeline', 'accept')
                       AND coalesce(outcome, '') NOT IN ('fresh', 'skipped')";
        let mut rows = Vec::new();
        let sql = format!(
            "SELECT {STAGE_COLUMNS}, number, kind, status
             FROM runs CROSS JOIN stages ON run = number
             WHERE number > ?1 AND {is_work} ORDER BY number DESC"
        );
        self.each_row(&sql, (before,), |row| {
            if stages.remove(row.get_ref("stage")?.as_str()?) {
                rows.push((of_run(row)?, stage_row(row)?));
            }
            Ok(if stages.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        if !stages.is_empty() {
            // Finds the stages in the index of (run, stage). SQLite takes the other columns from
            // the row with the maximum.
            let sql = format!(
                "SELECT {STAGE_COLUMNS}, max(number) AS number, kind, status
                 FROM stages JOIN runs ON run = number
                 WHERE stages.id IN (
                     SELECT id FROM stages
                     WHERE run <= ?1 AND stage IN (SELECT value FROM json_each(?2)))
                   AND {is_work}
                 GROUP BY stage"
            );
            let stages = serde_json::json!(stages).to_string();
            rows.extend(
                self.query_all(&sql, (before, stages), |row| Ok((of_run(row)?, stage_row(row)?)))?,
            );
        }
        rows.into_iter()
            .map(|((run, kind, status), stage)| {
                let record = stage.record(self.state_of(run, kind_of(&kind)?, &status)?)?;
                Ok((record.stage.clone(), (run, record)))
            })
            .collect()
    }

    /// Returns at most `limit` of the latest runs that reached a stage, newest first, without
    /// deleted ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn history_of(&self, stage: &StageName, limit: usize) -> Result<Vec<StageInRun>> {
        let sql = format!(
            "SELECT {STAGE_COLUMNS}, number, kind, status, name, runs.started AS run_started
             FROM stages JOIN runs ON run = number
             WHERE stage = ?1 AND lifecycle = 'active' ORDER BY number DESC LIMIT ?2"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query_all(&sql, (stage.as_str(), limit), |row| {
            let run: (Option<String>, Timestamp) = (row.get("name")?, row.get("run_started")?);
            Ok((of_run(row)?, run, stage_row(row)?))
        })?;
        rows.into_iter()
            .map(|((run, kind, status), (name, started), stage)| {
                let kind = kind_of(&kind)?;
                let record = stage.record(self.state_of(run, kind, &status)?)?;
                Ok(StageInRun { run, name, kind, started, record })
            })
            .collect()
    }

    /// Returns the state of a run whose status is stored.
    pub(super) fn state_of(&self, run: RunName, kind: RunKind, status: &str) -> Result<RunState> {
        match RunState::parse(status).ok_or_else(|| invalid_value("status", status))? {
            // Its process has died. Other programs hold no lock.
            RunState::Running if kind != RunKind::External && !is_alive(&self.root, run) => {
                Ok(RunState::Interrupted)
            }
            state => Ok(state),
        }
    }
}

/// Number of the latest runs that are read one by one for the last record of a stage.
const RECENT: u64 = 200;

fn of_run(row: &Row<'_>) -> rusqlite::Result<(RunName, String, String)> {
    Ok((RunName(unsigned(row.get("number")?)), row.get("kind")?, row.get("status")?))
}

fn kind_of(word: &str) -> Result<RunKind> {
    RunKind::parse(word).ok_or_else(|| invalid_value("kind of run", word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stages that worked long ago, lately, only in a deleted run, in a trial, and never.
    #[test]
    fn last_work_in_all_runs() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(dir.path()).unwrap();
        let runs = (1..=2 * RECENT).map(|number| {
            let lifecycle = if number == 2 * RECENT { "deleted" } else { "active" };
            let kind = if number == 3 { "trial" } else { "pipeline" };
            format!(
                "INSERT INTO runs (number, uid, status, kind, lifecycle, started, command,
                     overrides, host)
                 VALUES ({number}, 'u{number}', 'ok', '{kind}', '{lifecycle}', 1, '[]', '[]', 'h');
                 INSERT INTO stages (run, stage, outcome) VALUES ({number}, 'never', 'fresh');"
            )
        });
        store.conn.execute_batch(&runs.collect::<String>()).unwrap();
        let work = |run: u64, stage: &str, outcome: &str| {
            let sql = "INSERT INTO stages (run, stage, outcome) VALUES (?1, ?2, ?3)";
            store.conn.execute(sql, (run as i64, stage, outcome)).unwrap();
        };
        for (run, stage, outcome) in [
            (1, "old", "ran"),
            (2, "old", "restored"),
            (3, "old", "ran"),
            (4, "old", "skipped"),
            (5, "both", "ran"),
            (2 * RECENT - 1, "both", "restored"),
            (2 * RECENT, "both", "ran"),
            (2 * RECENT, "deleted", "ran"),
            (6, "other", "ran"),
        ] {
            work(run, stage, outcome);
        }
        let found = store.last_work(["old", "both", "deleted", "never"].into()).unwrap();
        let found = found
            .iter()
            .map(|(stage, (run, record))| format!("{stage} {} in {run}", record.state.word()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            [format!("both restored in run-{}", 2 * RECENT - 1), "old restored in run-2".into()]
        );
    }
}
