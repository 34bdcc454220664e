//! Datasets and logged models that runs used and made, as clients log them. Each operation neither
//! begins nor commits a transaction.

use std::collections::BTreeMap;

use super::client_run::DatasetInput;
use super::rows::signed;
use super::store::{Store, database_error};
use crate::error::Result;
use crate::event::RunName;

/// A dataset that runs of an experiment used, in one context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetSummary {
    pub experiment: i64,
    pub name: String,
    pub digest: String,
    pub context: Option<String>,
}

/// The tag that says what a run used a dataset for.
const CONTEXT: &str = "mlflow.data.context";

impl Store {
    /// Adds datasets that a run used. One that it has already stays as it is.
    ///
    /// # Errors
    /// The database cannot be written.
    pub fn log_datasets(&self, run: RunName, datasets: &[DatasetInput]) -> Result<()> {
        let dataset = "INSERT OR IGNORE INTO datasets
                           (experiment, name, digest, source_type, source, schema, profile)
                       SELECT experiment, ?2, ?3, ?4, ?5, ?6, ?7 FROM runs WHERE number = ?1";
        let input = "INSERT OR IGNORE INTO run_inputs (run, name, digest, context, tags)
                     VALUES (?1, ?2, ?3, ?4, ?5)";
        for one in datasets {
            let tags: BTreeMap<&str, &str> =
                one.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            let json = serde_json::json!(tags).to_string();
            let (run, name, digest) = (signed(run), &one.name, &one.digest);
            let (source, schema) = ((&one.source_type, &one.source), (&one.schema, &one.profile));
            let row = (run, name, digest, source.0, source.1, schema.0, schema.1);
            let write = || {
                self.conn.prepare_cached(dataset)?.execute(row)?;
                let row = (run, name, digest, tags.get(CONTEXT), &json);
                self.conn.prepare_cached(input)?.execute(row)
            };
            write().map_err(|err| database_error("write", err))?;
        }
        Ok(())
    }

    /// Adds logged models that a run used.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn log_model_inputs(&self, run: RunName, models: &[String]) -> Result<()> {
        models.iter().try_for_each(|model| self.link_model(run, "input", model, 0))
    }

    /// Adds logged models that a run made, each with a step. One that it has already stays as it
    /// is.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn log_model_outputs(&self, run: RunName, models: &[(String, i64)]) -> Result<()> {
        models.iter().try_for_each(|(model, step)| self.link_model(run, "output", model, *step))
    }

    fn link_model(&self, run: RunName, role: &str, model: &str, step: i64) -> Result<()> {
        self.check_model(model)?;
        let sql = "INSERT OR IGNORE INTO run_models (run, role, model, step)
                   VALUES (?1, ?2, ?3, ?4)";
        let row = (signed(run), role, model, step);
        let write = || self.conn.prepare_cached(sql)?.execute(row);
        write().map(drop).map_err(|err| database_error("write", err))
    }

    /// Returns the datasets that runs of the experiments used, at most `limit`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn dataset_summaries(
        &self,
        experiments: &[i64],
        limit: usize,
    ) -> Result<Vec<DatasetSummary>> {
        let among = serde_json::Value::from(experiments).to_string();
        let sql = "SELECT DISTINCT experiment, run_inputs.name, digest, context
                   FROM run_inputs JOIN runs ON runs.number = run_inputs.run
                   WHERE experiment IN (SELECT value FROM json_each(?1))
                   ORDER BY experiment, run_inputs.name, digest, context LIMIT ?2";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.query_all(sql, (among, limit), |row| {
            Ok(DatasetSummary {
                experiment: row.get(0)?,
                name: row.get(1)?,
                digest: row.get(2)?,
                context: row.get(3)?,
            })
        })
    }
}
