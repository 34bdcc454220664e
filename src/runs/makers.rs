//! Finds the runs and stages that made a content.

use super::rows::{run_name, signed, stage_name};
use super::store::Store;
use crate::digest::Digest;
use crate::error::Result;
use crate::event::{RunName, Timestamp};
use crate::pipeline::StageName;

/// A stage that had a content among its outs and artifacts when a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maker {
    pub run: RunName,
    /// [Outside](StageName::outside) of stages, if a client logged it.
    pub stage: StageName,
    pub path: String,
    /// Kind of the content.
    pub kind: String,
    /// The stage ran, instead of being up to date or restored.
    pub did_run: bool,
}

/// The state of the code when a run started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeState {
    pub started: Timestamp,
    pub commit: Option<String>,
    pub is_dirty: bool,
}

impl Store {
    /// Returns the stages that had a content, the first run first, without deleted runs.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn makers(&self, digest: &Digest) -> Result<Vec<Maker>> {
        let sql = "SELECT number, artifacts.stage, path, artifacts.kind, outcome
                   FROM artifacts JOIN runs ON artifacts.run = number
                       LEFT JOIN stages ON stages.run = number AND stages.stage = artifacts.stage
                   WHERE digest = ?1 AND lifecycle = 'active' ORDER BY number";
        let rows = self.query_all(sql, (&*digest.to_hex(),), |row| {
            let texts: (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((run_name(row)?, texts, row.get::<_, Option<String>>(4)?))
        })?;
        rows.into_iter()
            .map(|(run, (stage, path, kind), outcome)| {
                let did_run = matches!(outcome.as_deref(), Some("ran" | "unrecorded"));
                Ok(Maker { run, stage: stage_name(&stage)?, path, kind, did_run })
            })
            .collect()
    }

    /// Returns at most two digests of artifacts that begin with these digits.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn digests_from(&self, digits: &str) -> Result<Vec<String>> {
        let sql = "SELECT DISTINCT digest FROM artifacts
                   WHERE digest >= ?1 AND digest < ?1 || 'g' LIMIT 2";
        self.query_all(sql, (digits,), |row| row.get(0))
    }

    /// Returns the state of the code when a run started; `None` if there is no such run.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn code_of(&self, run: RunName) -> Result<Option<CodeState>> {
        let sql = "SELECT started, git_commit, git_tree FROM runs WHERE number = ?1";
        self.query_one(sql, (signed(run),), |row| {
            Ok(CodeState {
                started: row.get(0)?,
                commit: row.get(1)?,
                is_dirty: row.get::<_, Option<String>>(2)?.is_some_and(|tree| tree != "clean"),
            })
        })
    }
}
