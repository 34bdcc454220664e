//! Names of runs, and their tree: a sweep is the parent of its trials.

use std::collections::BTreeSet;

use super::record::Lifecycle;
use super::rows::{run_name, signed};
use super::store::Store;
use super::sweeps::TRIAL;
use crate::error::Result;
use crate::event::RunName;
use crate::pipeline::StageName;

impl Store {
    /// Returns at most `limit` of the latest runs with their names, newest first, without deleted
    /// ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn latest_with_names(&self, limit: usize) -> Result<Vec<(RunName, Option<String>)>> {
        let sql = "SELECT number, name FROM runs WHERE lifecycle = 'active'
                   ORDER BY number DESC LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_all(sql, (limit,), |row| Ok((run_name(row)?, row.get(1)?)))
    }

    /// Returns the runs of at most `limit` of the latest families, newest first, without deleted
    /// ones. A sweep and its trials are one family, any other run is one on its own.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn in_latest_families(&self, limit: usize) -> Result<Vec<RunName>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let sql =
            "SELECT number FROM runs WHERE lifecycle = 'active' AND coalesce(parent, uid) IN (
                       SELECT coalesce(parent, uid) AS family FROM runs WHERE lifecycle = 'active'
                       GROUP BY family ORDER BY max(number) DESC LIMIT ?1
                   ) ORDER BY number DESC";
        self.query_all(sql, (limit,), run_name)
    }

    /// Reports whether any run is deleted.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn has_deleted(&self) -> Result<bool> {
        let sql = "SELECT number FROM runs WHERE lifecycle = 'deleted' LIMIT 1";
        Ok(self.query_one(sql, (), run_name)?.is_some())
    }

    /// Returns the latest run that started a process of the stage, without deleted ones.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn latest_with_process(&self, stage: &StageName) -> Result<Option<RunName>> {
        let sql = "SELECT number FROM stages JOIN runs ON run = number
                   WHERE stage = ?1 AND work = 'run' AND lifecycle = 'active'
                   ORDER BY number DESC LIMIT 1";
        self.query_one(sql, (stage.as_str(),), run_name)
    }

    /// Returns the parent of a run, if the store has it.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parent(&self, run: RunName) -> Result<Option<RunName>> {
        let sql = "SELECT above.number FROM runs JOIN runs AS above ON above.uid = runs.parent
                   WHERE runs.number = ?1";
        self.query_one(sql, (signed(run),), run_name)
    }

    /// Returns the children of a run with this lifecycle, in the order of their numbers.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn children_in(&self, run: RunName, lifecycle: Lifecycle) -> Result<Vec<RunName>> {
        let sql = "SELECT number FROM runs
                   WHERE parent = (SELECT uid FROM runs WHERE number = ?1) AND lifecycle = ?2
                   ORDER BY number";
        self.query_all(sql, (signed(run), lifecycle.word()), run_name)
    }

    /// Returns the runs that have children with this lifecycle.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn with_children(&self, lifecycle: Lifecycle) -> Result<BTreeSet<RunName>> {
        let sql = "SELECT number FROM runs WHERE uid IN (
                       SELECT parent FROM runs WHERE parent NOT NULL AND lifecycle = ?1)";
        Ok(self.query_all(sql, (lifecycle.word(),), run_name)?.into_iter().collect())
    }

    /// Counts the parts of a run. The runs of a trial are one part.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn parts_in(&self, run: RunName, lifecycle: Lifecycle) -> Result<usize> {
        let sql = "SELECT COUNT(DISTINCT COALESCE(
                       (SELECT value FROM tags WHERE run = number AND key = ?3), -number))
                   FROM runs
                   WHERE parent = (SELECT uid FROM runs WHERE number = ?1) AND lifecycle = ?2";
        let counts =
            self.query_all(sql, (signed(run), lifecycle.word(), TRIAL), |row| row.get(0))?;
        Ok(counts.first().map_or(0, |count: &i64| usize::try_from(*count).unwrap_or_default()))
    }
}
