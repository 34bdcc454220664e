//! Sweeps in the run store: the parent run, which may be continued by a later process, and its
//! trials.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Transaction, TransactionBehavior, params};

use super::folders::{run_dir, take_number};
use super::liveness;
use super::record::Run;
use super::rows::{saturating_i64, unsigned};
use super::store::{Store, database_error};
use super::write;
use crate::error::{Error, Result};
use crate::event::{Millis, RunInfo, RunKind, RunName, RunStatus, RunUid, Timestamp};

/// Tag of a sweep's run: the identity by which the same command finds it again.
pub const KEY: &str = "sweep.key";
/// Tag of a sweep's run: the metric that it optimizes, `max:STAGE.KEY`.
pub const METRIC: &str = "sweep.metric";
/// Tag of a trial: its number in the sweep.
pub const TRIAL: &str = "sweep.trial";
/// Tag of a trial: its number among the repeats with other seeds, from 1.
pub const REPEAT: &str = "sweep.repeat";
/// Tag of a trial that was ended early because others were better.
pub const HALVED: &str = "sweep.halved";

const TIMEOUT: Duration = Duration::from_secs(10);
/// File in the folder of a sweep's run with the id of the process that drives it.
const PID: &str = "pid";

/// The run of a sweep while this process drives it.
#[derive(Debug)]
pub struct SweepRecord {
    pub run: RunName,
    pub uid: RunUid,
    history: PathBuf,
    _alive: liveness::Alive,
}

impl SweepRecord {
    /// Records a new sweep.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn start(history: &Path, info: &RunInfo, at: Timestamp) -> Result<SweepRecord> {
        let run = take_number(history);
        let store = Store::open(history, TIMEOUT)?;
        let alive = hold(history, run)?;
        let begin = || {
            let behavior = TransactionBehavior::Immediate;
            let transaction = Transaction::new_unchecked(&store.conn, behavior)?;
            write::begin(&transaction, saturating_i64(run.0), at, info)?;
            transaction.commit()
        };
        begin().map_err(|err| database_error("write", err))?;
        Ok(SweepRecord { run, uid: info.uid, history: history.to_owned(), _alive: alive })
    }

    /// Continues a sweep that has ended or was killed.
    ///
    /// # Errors
    /// Another process drives it, or the store cannot be written.
    pub fn resume(history: &Path, run: &Run) -> Result<SweepRecord> {
        let store = Store::open(history, TIMEOUT)?;
        if liveness::is_alive(history, run.name) {
            return Err(already_running(Some(run.name)));
        }
        let alive = hold(history, run.name)?;
        let number = saturating_i64(run.name.0);
        let sql = "UPDATE runs SET status = 'running', ended = NULL, took = NULL WHERE number = ?1";
        store.conn.execute(sql, [number]).map_err(|err| database_error("write", err))?;
        let (history, uid) = (history.to_owned(), run.info.uid);
        Ok(SweepRecord { run: run.name, uid, history, _alive: alive })
    }

    /// Records the end.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn end(self, at: Timestamp, status: RunStatus, took: Millis) -> Result<()> {
        let store = Store::open(&self.history, TIMEOUT)?;
        let sql = "UPDATE runs SET status = ?2, ended = ?3, took = ?4 WHERE number = ?1";
        let number = saturating_i64(self.run.0);
        store
            .conn
            .execute(sql, params![number, status.word(), at, saturating_i64(took.0)])
            .map_err(|err| database_error("write", err))?;
        let _ = fs::remove_file(run_dir(&self.history, self.run).join(PID));
        Ok(())
    }

    /// Marks a trial that was ended early after this number of reported values.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn mark_halved(&self, trial: RunName, count: usize) -> Result<()> {
        let store = Store::open(&self.history, TIMEOUT)?;
        let sql = "INSERT OR REPLACE INTO tags (run, key, value) VALUES (?1, ?2, ?3)";
        let values = params![saturating_i64(trial.0), HALVED, count.to_string()];
        store.conn.execute(sql, values).map_err(|err| database_error("write", err))?;
        Ok(())
    }
}

/// Returns the error of a sweep that another process drives, or is about to record.
pub fn already_running(sweep: Option<RunName>) -> Error {
    let Some(name) = sweep else {
        return Error::usage("another process has just started the same sweep")
            .hint("`repro sweep status` shows it");
    };
    Error::usage(format!("the sweep is already running as {name}"))
        .hint(format!("`repro sweep status {name}` shows it, `repro sweep stop {name}` ends it"))
}

fn hold(history: &Path, run: RunName) -> Result<liveness::Alive> {
    let alive = liveness::hold(history, run, TIMEOUT)?;
    // It only serves `repro sweep stop`.
    let _ = fs::write(run_dir(history, run).join(PID), std::process::id().to_string());
    Ok(alive)
}

impl Store {
    /// Returns the latest sweep with this identity that is not deleted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn sweep(&self, key: &str) -> Result<Option<Run>> {
        let sql = "SELECT max(number) FROM runs JOIN tags ON run = number
                   WHERE kind = ?1 AND key = ?2 AND value = ?3 AND lifecycle = 'active'";
        let values = params![RunKind::Sweep.word(), KEY, key];
        let number: Option<i64> = self.query_one(sql, values, |row| row.get(0))?.flatten();
        number.map(|number| self.run(RunName(unsigned(number)))).transpose()
    }

    /// Returns the latest sweep that is not deleted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn latest_sweep(&self) -> Result<Option<RunName>> {
        let sql = "SELECT max(number) FROM runs WHERE kind = ?1 AND lifecycle = 'active'";
        let values = [RunKind::Sweep.word()];
        let number: Option<i64> = self.query_one(sql, values, |row| row.get(0))?.flatten();
        Ok(number.map(|number| RunName(unsigned(number))))
    }

    /// Returns the trials of a sweep that are not deleted, in the order in which they began.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn trials(&self, sweep: RunUid) -> Result<Vec<Run>> {
        let sql = "SELECT number FROM runs WHERE parent = ?1 AND lifecycle = 'active'
                   ORDER BY number";
        let numbers: Vec<i64> = self.query_all(sql, [sweep.to_string()], |row| row.get(0))?;
        numbers.into_iter().map(|number| self.run(RunName(unsigned(number)))).collect()
    }

    /// Returns the id of the process that drives a sweep; `None` if none does.
    pub fn driver(&self, sweep: RunName) -> Option<u32> {
        let pid = fs::read_to_string(run_dir(&self.root, sweep).join(PID)).ok()?;
        pid.trim().parse().ok().filter(|_| liveness::is_alive(&self.root, sweep))
    }
}
