//! Experiments.

use crate::error::{Error, Result};
use crate::runs::record::Lifecycle;
use crate::runs::store::Store;

/// The name of the first experiment for clients, which stored is `default`.
const DEFAULT: &str = "Default";

impl Store {
    /// Returns the experiment with this name, deleted or not.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiment_named(&self, name: &str) -> Result<Option<i64>> {
        let sql = "SELECT id FROM experiments
                   WHERE name = ?1 OR (id = 0 AND name = 'default' AND ?1 = ?2)";
        self.query_one(sql, (name, DEFAULT), |row| row.get(0))
    }

    /// Returns the lifecycle of an experiment; `None` if it does not exist.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn experiment_lifecycle(&self, id: i64) -> Result<Option<Lifecycle>> {
        let sql = "SELECT lifecycle FROM experiments WHERE id = ?1";
        let word: Option<String> = self.query_one(sql, (id,), |row| row.get(0))?;
        Ok(word.map(|word| Lifecycle::parse(&word).unwrap_or(Lifecycle::Active)))
    }

    /// Makes an experiment and returns its id. The name must be free.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn create_experiment(
        &self,
        name: &str,
        artifact_location: Option<&str>,
        tags: &[(String, String)],
        at: i64,
    ) -> Result<i64> {
        let sql = "INSERT INTO experiments (name, created, updated, artifact_location)
                   VALUES (?1, ?2, ?2, ?3)";
        self.execute(sql, (name, at, artifact_location))?;
        let id = self.conn.last_insert_rowid();
        for (key, value) in tags {
            self.set_experiment_tag(id, key, value)?;
        }
        Ok(id)
    }

    /// Deletes or restores an experiment together with its runs.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_experiment_lifecycle(&self, id: i64, to: Lifecycle, at: i64) -> Result<()> {
        let sql = "UPDATE experiments SET lifecycle = ?2, updated = ?3
                   WHERE id = ?1 AND lifecycle != ?2";
        if self.execute(sql, (id, to.word(), at))? > 0 {
            let sql = "UPDATE runs SET lifecycle = ?2 WHERE experiment = ?1";
            self.execute(sql, (id, to.word()))?;
        }
        Ok(())
    }

    /// Gives an experiment a name, which must be free.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn rename_experiment(&self, id: i64, name: &str, at: i64) -> Result<()> {
        let sql = "UPDATE experiments SET name = ?2, updated = ?3 WHERE id = ?1 AND name != ?2";
        self.execute(sql, (id, name, at)).map(drop)
    }

    /// Sets a tag of an experiment.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn set_experiment_tag(&self, id: i64, key: &str, value: &str) -> Result<()> {
        let sql = "INSERT INTO experiment_tags (experiment, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET value = excluded.value";
        self.execute(sql, (id, key, value)).map(drop)
    }

    /// Removes a tag of an experiment.
    ///
    /// # Errors
    /// The experiment has no such tag; the database cannot be written.
    pub fn delete_experiment_tag(&self, id: i64, key: &str) -> Result<()> {
        let sql = "DELETE FROM experiment_tags WHERE experiment = ?1 AND key = ?2";
        match self.execute(sql, (id, key))? {
            0 => Err(Error::missing(format!("experiment {id} has no tag `{key}`"))),
            _ => Ok(()),
        }
    }
}
