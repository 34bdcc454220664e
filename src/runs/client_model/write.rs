//! Writes what clients log of models. Each operation neither begins nor commits a transaction.

use super::ModelStatus;
use crate::clock;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::runs::record::Lifecycle;
use crate::runs::rows::signed;
use crate::runs::store::Store;

/// A logged model that is to be made.
#[derive(Debug, Clone, Default)]
pub struct NewModel {
    /// `m-` and 32 hexadecimal digits.
    pub id: String,
    pub experiment: i64,
    pub name: String,
    pub kind: Option<String>,
    pub run: Option<RunName>,
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
}

/// A point of a metric that a run has measured of a logged model.
#[derive(Debug, Clone)]
pub struct ModelPoint<'p> {
    pub model: &'p str,
    pub run: RunName,
    pub key: &'p str,
    pub value: f64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    pub step: i64,
    pub dataset_name: Option<&'p str>,
    pub dataset_digest: Option<&'p str>,
}

impl Store {
    /// Makes a logged model, whose files are still to come.
    ///
    /// # Errors
    /// A param occurs twice with different values; the database cannot be written.
    pub fn create_model(&self, model: &NewModel) -> Result<()> {
        let now = clock::now_millis();
        let sql = "INSERT INTO models (id, experiment, run, name, type, status, created, updated)
                   VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6, ?6)";
        let run = model.run.map(signed);
        let row = (&model.id, model.experiment, run, &model.name, &model.kind, now);
        self.execute(sql, row)?;
        self.log_model_params(&model.id, &model.params)?;
        self.set_model_tags(&model.id, &model.tags)
    }

    /// Sets the status of a logged model.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn finalize_model(&self, id: &str, status: ModelStatus) -> Result<()> {
        let sql = "UPDATE models SET status = ?2, updated = max(updated, ?3) WHERE id = ?1";
        self.change_model(id, sql, (id, status.stored(), clock::now_millis()))
    }

    /// Deletes a logged model; its files are kept.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn delete_model(&self, id: &str) -> Result<()> {
        let sql = "UPDATE models SET lifecycle = ?2, updated = max(updated, ?3) WHERE id = ?1";
        self.change_model(id, sql, (id, Lifecycle::Deleted.word(), clock::now_millis()))
    }

    /// Adds params to a logged model. A param that it has with this value stays.
    ///
    /// # Errors
    /// The model does not exist, or has a param with another value; the database cannot be
    /// written.
    pub fn log_model_params(&self, id: &str, params: &[(String, String)]) -> Result<()> {
        self.check_model(id)?;
        let sql = "INSERT INTO model_params (model, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET value = value WHERE value = excluded.value";
        for (key, value) in params {
            if self.execute(sql, (id, key, value))? == 0 {
                return Err(Error::usage(format!(
                    "param `{key}` of logged model `{id}` has another value already"
                )));
            }
        }
        Ok(())
    }

    /// Sets tags of a logged model; of several with one key, the last counts.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn set_model_tags(&self, id: &str, tags: &[(String, String)]) -> Result<()> {
        self.check_model(id)?;
        let sql = "INSERT INTO model_tags (model, key, value) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO UPDATE SET value = excluded.value";
        for (key, value) in tags {
            self.execute(sql, (id, key, value))?;
        }
        Ok(())
    }

    /// Removes a tag of a logged model.
    ///
    /// # Errors
    /// The model or the tag does not exist; the database cannot be written.
    pub fn delete_model_tag(&self, id: &str, key: &str) -> Result<()> {
        self.check_model(id)?;
        let sql = "DELETE FROM model_tags WHERE model = ?1 AND key = ?2";
        if self.execute(sql, (id, key))? == 0 {
            return Err(Error::missing(format!("logged model `{id}` has no tag `{key}`")));
        }
        Ok(())
    }

    /// Adds points to the metrics of logged models. A point that a model has already is not added
    /// again.
    ///
    /// # Errors
    /// The model does not exist; the database cannot be written.
    pub fn log_model_metrics(&self, points: &[ModelPoint<'_>]) -> Result<()> {
        let sql = "INSERT INTO model_metrics
                       (model, run, key, step, at, value, dataset_name, dataset_digest)
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
                   WHERE NOT EXISTS (SELECT 1 FROM model_metrics
                                     WHERE model = ?1 AND run IS ?2 AND key = ?3 AND step = ?4
                                     AND at = ?5 AND value IS ?6 AND dataset_name IS ?7
                                     AND dataset_digest IS ?8)";
        for point in points {
            self.check_model(point.model).map_err(|error| Error::usage(error.what))?;
            let value = Some(point.value).filter(|value| !value.is_nan());
            let names = (point.dataset_name, point.dataset_digest);
            let run = signed(point.run);
            let row = (point.model, run, point.key, point.step, point.at, value, names.0, names.1);
            self.execute(sql, row)?;
        }
        Ok(())
    }

    pub(in crate::runs) fn check_model(&self, id: &str) -> Result<()> {
        let sql = "SELECT 1 FROM models WHERE id = ?1 AND lifecycle = 'active'";
        match self.query_one(sql, (id,), |_| Ok(()))? {
            Some(()) => Ok(()),
            None => Err(Error::missing(format!("there is no logged model `{id}`"))),
        }
    }

    fn change_model(&self, id: &str, sql: &str, row: impl rusqlite::Params) -> Result<()> {
        match self.execute(sql, row)? {
            0 => Err(Error::missing(format!("there is no logged model `{id}`"))),
            _ => Ok(()),
        }
    }
}
