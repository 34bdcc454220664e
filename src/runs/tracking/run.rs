//! Runs that other programs log: their start, their state and their end.

use crate::error::Result;
use crate::event::{RunKind, RunName, RunUid};
use crate::pipeline::StageName;
use crate::runs::edits::Field;
use crate::runs::folders;
use crate::runs::record::{Lifecycle, RunState};
use crate::runs::rows::signed;
use crate::runs::store::Store;

/// A run that is to be made.
#[derive(Debug, Clone)]
pub struct NewRun {
    pub uid: RunUid,
    pub experiment: i64,
    pub name: String,
    pub user: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub started: i64,
    pub tags: Vec<(String, String)>,
}

/// The changes of a run; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    pub state: Option<RunState>,
    /// Milliseconds since 1970 UTC.
    pub ended: Option<i64>,
    pub name: Option<String>,
}

impl Store {
    /// Makes a run, which stays in progress until its client ends it.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn create_run(&self, new: &NewRun) -> Result<RunName> {
        let run = folders::take_number_above(&self.root, self.highest()?);
        let sql = "INSERT INTO runs (number, uid, name, kind, experiment, user, status, started,
                       command, overrides, host)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '[]', '[]', '')";
        let kind = RunKind::External.word();
        let state = RunState::Running.word();
        let (number, uid) = (signed(run), new.uid.to_string());
        let row = (number, uid, &new.name, kind, new.experiment, &new.user, state, new.started);
        self.execute(sql, row)?;
        for (key, value) in &new.tags {
            self.set_client_tag(run, &StageName::outside(), key, value)?;
        }
        Ok(run)
    }

    /// Returns the origin of a run and its lifecycle.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn kind_and_lifecycle(&self, run: RunName) -> Result<Option<(RunKind, Lifecycle)>> {
        let sql = "SELECT kind, lifecycle FROM runs WHERE number = ?1";
        let found = self.query_one(sql, (signed(run),), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        })?;
        Ok(found.and_then(|(kind, word)| Some((RunKind::parse(&kind)?, Lifecycle::parse(&word)?))))
    }

    /// Changes the state, the end and the name of a run. Only its client says how an external run
    /// ended; all others end themselves.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn update_run(&self, run: RunName, update: &Update) -> Result<()> {
        let number = signed(run);
        if let Some(state) = update.state {
            // A run that goes on has no end.
            let sql = "UPDATE runs SET status = ?2,
                           ended = CASE WHEN ?4 THEN ended END,
                           took = CASE WHEN ?4 THEN took END
                       WHERE number = ?1 AND kind = ?3";
            let row = (number, state.word(), RunKind::External.word(), state.is_final());
            self.execute(sql, row)?;
        }
        if let Some(ended) = update.ended {
            let sql = "UPDATE runs SET ended = ?2, took = max(0, ?2 - started)
                       WHERE number = ?1 AND kind = ?3";
            self.execute(sql, (number, ended, RunKind::External.word()))?;
        }
        if let Some(name) = &update.name {
            self.mark_edited(run, &Field::Name)?;
            self.execute("UPDATE runs SET name = ?2 WHERE number = ?1", (number, name))?;
        }
        Ok(())
    }

    /// Deletes or restores a run, but not its parts.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_lifecycle_alone(&self, run: RunName, to: Lifecycle) -> Result<()> {
        self.mark_edited(run, &Field::Lifecycle)?;
        let sql = "UPDATE runs SET lifecycle = ?2 WHERE number = ?1";
        self.execute(sql, (signed(run), to.word())).map(drop)
    }
}
