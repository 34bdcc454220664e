//! Reads many logged models with a fixed number of queries.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{ClientModel, FILES, ModelMetric, ModelStatus, RUN};
use crate::error::{Error, Result};
use crate::runs::record::Lifecycle;
use crate::runs::store::Store;

/// The tag in which clients look for the registered versions of a logged model.
const VERSIONS: &str = "mlflow.modelVersions";

type Models = HashMap<String, ClientModel>;

/// The models that are read.
const AMONG: &str = "IN (SELECT value FROM json_each(?1))";

impl Store {
    /// Returns a logged model.
    ///
    /// # Errors
    /// The model does not exist or is not in the lifecycle; the database cannot be read.
    pub fn client_model(&self, id: &str, lifecycle: Option<Lifecycle>) -> Result<ClientModel> {
        let sql = "SELECT lifecycle FROM models WHERE id = ?1";
        let found: Option<String> = self.query_one(sql, (id,), |row| row.get(0))?;
        let fits = |word: &String| lifecycle.is_none_or(|one| one.word() == word);
        let model = match found.filter(fits) {
            Some(_) => self.client_models(&[id.to_owned()])?.pop(),
            None => None,
        };
        model.ok_or_else(|| Error::missing(format!("there is no logged model `{id}`")))
    }

    /// Returns logged models in the order of `ids`. One that does not exist is left out.
    ///
    /// # Errors
    /// The database cannot be read.
    pub fn client_models(&self, ids: &[String]) -> Result<Vec<ClientModel>> {
        let among = serde_json::Value::from(ids).to_string();
        let mut found = self.models_without_parts(&among)?;
        for (table, part) in [("model_params", false), ("model_tags", true)] {
            let sql =
                format!("SELECT model, key, value FROM {table} WHERE model {AMONG} ORDER BY key");
            let rows = self.query_all(&sql, (&among,), |row| {
                Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
            })?;
            for (id, pair) in rows {
                let Some(model) = found.get_mut(&id) else { continue };
                if part { model.tags.push(pair) } else { model.params.push(pair) }
            }
        }
        self.model_metrics(&among, &mut found)?;
        let sql = format!(
            "SELECT model, name, version FROM model_versions WHERE model {AMONG}
             ORDER BY name, version"
        );
        let rows = self.query_all(&sql, (&among,), |row| {
            Ok((row.get::<_, String>(0)?, (row.get(1)?, row.get(2)?)))
        })?;
        for (id, version) in rows {
            found.entry(id).and_modify(|model| model.registrations.push(version));
        }
        found.values_mut().for_each(tag_versions);
        Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
    }

    fn models_without_parts(&self, among: &str) -> Result<Models> {
        let sql = format!(
            "SELECT id, experiment, {RUN}, name, type, status, status_message, {FILES}, created,
                    updated
             FROM models WHERE id {AMONG}"
        );
        let rows = self.query_all(&sql, (among,), |row| {
            let status: String = row.get(5)?;
            let status = ModelStatus::ALL.into_iter().find(|one| one.stored() == status);
            Ok(ClientModel {
                id: row.get(0)?,
                experiment: row.get(1)?,
                run: row.get(2)?,
                name: row.get(3)?,
                kind: row.get(4)?,
                status: status.unwrap_or(ModelStatus::Failed),
                status_message: row.get(6)?,
                artifact_uri: row.get(7)?,
                created: row.get(8)?,
                updated: row.get(9)?,
                params: Vec::new(),
                tags: Vec::new(),
                metrics: Vec::new(),
                registrations: Vec::new(),
            })
        })?;
        Ok(rows.into_iter().map(|model| (model.id.clone(), model)).collect())
    }

    fn model_metrics(&self, among: &str, found: &mut Models) -> Result<()> {
        let sql = format!(
            "SELECT model, key, value, at, step,
                    (SELECT uid FROM runs WHERE number = model_metrics.run), dataset_name,
                    dataset_digest
             FROM model_metrics WHERE model {AMONG} ORDER BY model, key, at, step, id"
        );
        let rows = self.query_all(&sql, (among,), |row| {
            let value: Option<f64> = row.get(2)?;
            let metric = ModelMetric {
                key: row.get(1)?,
                value: value.unwrap_or(f64::NAN),
                at: row.get(3)?,
                step: row.get(4)?,
                run: row.get(5)?,
                dataset_name: row.get(6)?,
                dataset_digest: row.get(7)?,
            };
            Ok((row.get::<_, String>(0)?, metric))
        })?;
        for (id, metric) in rows {
            found.entry(id).and_modify(|model| model.metrics.push(metric));
        }
        Ok(())
    }
}

/// Gives a model the tag with its versions. What a client has stored there can be out of date.
fn tag_versions(model: &mut ClientModel) {
    if model.registrations.is_empty() {
        return;
    }
    let versions = model.registrations.iter();
    let versions = versions
        .map(|(name, version)| json!({ "name": name, "version": version.to_string() }))
        .collect::<Value>();
    model.tags.retain(|(key, _)| key != VERSIONS);
    model.tags.push((VERSIONS.to_owned(), versions.to_string()));
    model.tags.sort();
}
