//! Registered models and their versions in the form in which MLflow's clients read them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::runs::Store;
use crate::runs::registry::{ModelVersion, RegisteredModel};
use crate::serve::http::{Answer, Refusal, Response};

/// A registered model with its versions.
pub(super) struct Found {
    pub(super) model: RegisteredModel,
    versions: Vec<ModelVersion>,
}

impl Found {
    /// Returns the latest version of each stage.
    pub(super) fn latest(&self) -> impl Iterator<Item = &ModelVersion> {
        let mut stages = BTreeSet::new();
        self.versions.iter().filter(move |version| stages.insert(version.stage.clone()))
    }
}

pub(super) fn found_model(store: &Store, name: &str) -> Result<Found, Refusal> {
    let Some(model) = store.registered_model(name)? else {
        return Err(Refusal::missing(format!("Registered Model with name={name} not found")));
    };
    Ok(Found { model, versions: store.model_versions(name)? })
}

pub(super) fn found_version(
    store: &Store,
    name: &str,
    number: u64,
) -> Result<ModelVersion, Refusal> {
    store.model_version(name, number)?.ok_or_else(|| {
        Refusal::missing(format!("Model Version (name={name}, version={number}) not found"))
    })
}

#[derive(Serialize)]
struct Pair<'v> {
    key: &'v str,
    value: &'v str,
}

fn pairs(tags: &BTreeMap<String, String>) -> Vec<Pair<'_>> {
    tags.iter().map(|(key, value)| Pair { key, value }).collect()
}

#[derive(Serialize)]
struct AliasJson<'v> {
    alias: &'v str,
    version: String,
}

#[derive(Serialize)]
pub(super) struct ModelJson<'v> {
    name: &'v str,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'v str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_versions: Vec<VersionJson<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasJson<'v>>,
}

impl<'v> From<&'v Found> for ModelJson<'v> {
    fn from(found: &'v Found) -> ModelJson<'v> {
        let Found { model, .. } = found;
        let alias = |(alias, version): (&'v String, &u64)| AliasJson {
            alias,
            version: version.to_string(),
        };
        ModelJson {
            name: &model.name,
            creation_timestamp: model.created,
            last_updated_timestamp: model.updated,
            description: model.description.as_deref(),
            latest_versions: found.latest().map(VersionJson::from).collect(),
            tags: pairs(&model.tags),
            aliases: model.aliases.iter().map(alias).collect(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct VersionJson<'v> {
    name: &'v str,
    version: String,
    creation_timestamp: i64,
    last_updated_timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'v str>,
    current_stage: &'v str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'v str>,
    source: &'v str,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'v str>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'v str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_link: Option<&'v str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    aliases: &'v [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'v str>,
}

impl<'v> From<&'v ModelVersion> for VersionJson<'v> {
    fn from(version: &'v ModelVersion) -> VersionJson<'v> {
        VersionJson {
            name: &version.name,
            version: version.version.to_string(),
            creation_timestamp: version.created,
            last_updated_timestamp: version.updated,
            user_id: version.user.as_deref(),
            current_stage: &version.stage,
            description: version.description.as_deref(),
            source: &version.source,
            run_id: version.run.as_deref(),
            status: version.status.to_uppercase(),
            status_message: version.status_message.as_deref(),
            tags: pairs(&version.tags),
            run_link: version.run_link.as_deref(),
            aliases: &version.aliases,
            model_id: version.model.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct ModelAnswer<'v> {
    registered_model: ModelJson<'v>,
}

impl ModelAnswer<'_> {
    pub(super) fn of(store: &Store, name: &str) -> Answer {
        let found = found_model(store, name)?;
        Ok(Response::json(&ModelAnswer { registered_model: (&found).into() }))
    }
}

#[derive(Serialize)]
pub(super) struct VersionAnswer<'v> {
    model_version: VersionJson<'v>,
}

impl VersionAnswer<'_> {
    pub(super) fn of(version: &ModelVersion) -> Response {
        Response::json(&VersionAnswer { model_version: version.into() })
    }
}

#[derive(Serialize)]
pub(super) struct ModelsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) registered_models: Vec<ModelJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_page_token: Option<String>,
}

#[derive(Serialize)]
pub(super) struct VersionsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) model_versions: Vec<VersionJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_page_token: Option<String>,
}
