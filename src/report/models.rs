//! The report of `repro models`: registered models and their versions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::digest::Content;
use crate::error::Result;
use crate::event::{RunName, RunUid, Timestamp};
use crate::runs::Store;
use crate::runs::registry::ModelVersion;

/// A version of a registered model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VersionReport {
    pub model: String,
    pub version: u64,
    pub aliases: Vec<String>,
    /// Identity of the run that made the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The number of that run, if the history has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<RunName>,
    /// Path of the out, if the version is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    pub registered: Timestamp,
    #[serde(skip)]
    pub registered_local: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
}

impl VersionReport {
    /// # Errors
    /// The run store cannot be read.
    pub fn new(store: &Store, version: ModelVersion) -> Result<VersionReport> {
        let uid = version.run.as_deref().and_then(RunUid::parse);
        let number = uid.map(|uid| store.with_uid(uid)).transpose()?.flatten();
        Ok(VersionReport {
            model: version.name,
            version: version.version,
            aliases: version.aliases,
            run: version.run,
            number,
            path: version.path,
            source: version.source,
            content: version.content,
            registered: version.created,
            registered_local: version.created_local,
            user: version.user,
            description: version.description,
            tags: version.tags,
        })
    }

    /// Returns the place of the files as a user reads it: `run-3:model.onnx` or the source.
    pub fn place(&self) -> String {
        let below = self.run.as_ref().and_then(|run| {
            self.source.strip_prefix("runs:/")?.strip_prefix(run.as_str())?.strip_prefix('/')
        });
        match (self.number, self.path.as_deref().or(below)) {
            (Some(run), Some(path)) => format!("{run}:{path}"),
            _ => self.source.clone(),
        }
    }
}

/// A registered model with its versions, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub versions: Vec<VersionReport>,
}

impl ModelReport {
    /// Returns a registered model.
    ///
    /// # Errors
    /// The model does not exist, or the run store cannot be read.
    pub fn read(store: &Store, name: &str) -> Result<ModelReport> {
        let Some(model) = store.registered_model(name)? else { return Err(store.no_model(name)?) };
        let versions = store.model_versions(name)?.into_iter();
        let versions = versions.map(|version| VersionReport::new(store, version));
        Ok(ModelReport {
            model: model.name,
            description: model.description,
            tags: model.tags,
            versions: versions.collect::<Result<_>>()?,
        })
    }

    /// Returns all registered models, by name.
    ///
    /// # Errors
    /// The run store cannot be read.
    pub fn all(store: &Store) -> Result<Vec<ModelReport>> {
        let models = store.registered_models()?.into_iter();
        models.map(|model| ModelReport::read(store, &model.name)).collect()
    }
}
