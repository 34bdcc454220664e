//! Experiments as MLflow's clients see them.

use std::collections::HashMap;

use super::store::Store;
use crate::error::Result;

/// An experiment with all that an answer to a client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientExperiment {
    pub id: i64,
    pub name: String,
    pub artifact_location: String,
    pub is_deleted: bool,
    /// Milliseconds since 1970 UTC.
    pub created: i64,
    pub updated: i64,
    /// Keys and values, sorted.
    pub tags: Vec<(String, String)>,
}

/// The name as an SQL expression. Clients rely on the name of the first experiment.
pub(super) const NAME: &str =
    "CASE WHEN experiments.id = 0 AND experiments.name = 'default' THEN 'Default'
     ELSE experiments.name END";

impl Store {
    /// Returns experiments as clients see them, in the order of `ids`. One that does not exist is
    /// left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn client_experiments(&self, ids: &[i64]) -> Result<Vec<ClientExperiment>> {
        let among = serde_json::Value::from(ids).to_string();
        let sql = format!(
            "SELECT id, {NAME}, coalesce(artifact_location, 'mlflow-artifacts:/' || id), lifecycle,
                    created, updated
             FROM experiments WHERE id IN (SELECT value FROM json_each(?1))"
        );
        let rows = self.query_all(&sql, (&among,), |row| {
            let lifecycle: String = row.get(3)?;
            Ok(ClientExperiment {
                id: row.get(0)?,
                name: row.get(1)?,
                artifact_location: row.get(2)?,
                is_deleted: lifecycle == "deleted",
                created: row.get(4)?,
                updated: row.get(5)?,
                tags: Vec::new(),
            })
        })?;
        let mut found: HashMap<i64, _> = rows.into_iter().map(|one| (one.id, one)).collect();
        let sql = "SELECT experiment, key, value FROM experiment_tags
                   WHERE experiment IN (SELECT value FROM json_each(?1)) ORDER BY experiment, key";
        let tags = self.query_all(sql, (&among,), |row| {
            Ok((row.get::<_, i64>(0)?, (row.get(1)?, row.get(2)?)))
        })?;
        for (id, tag) in tags {
            found.entry(id).and_modify(|one| one.tags.push(tag));
        }
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }
}
