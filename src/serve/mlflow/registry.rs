//! The model registry: registered models, their versions, and the aliases of versions.

use std::collections::{BTreeMap, BTreeSet};

use hyper::Method;
use serde::Serialize;
use serde_json::json;

use super::wire::Message;
use crate::engine::models::{identify, place};
use crate::error::{Error, Result};
use crate::filter::{Fault, Filter, Order};
use crate::runs::Store;
use crate::runs::files::{Owner, Place};
use crate::runs::registry::{Archive, ModelVersion, NewVersion, RegisteredModel};
use crate::runs::search::RegistryQuery;
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Results on a page unless the request says how many.
const USUAL_MODELS: i64 = 100;
const USUAL_VERSIONS: i64 = 10_000;
const MOST_RESULTS: i64 = 200_000;

/// Answers requests for registered models.
pub(super) async fn route(state: &State, request: &Request, path: &[&str]) -> Option<Answer> {
    let [group @ ("registered-models" | "model-versions"), call @ ..] = path else {
        return None;
    };
    let message = match Message::of(request).await {
        Ok(message) => message,
        Err(refusal) => return Some(Err(refusal)),
    };
    match *group {
        "registered-models" => models(state, &request.method, call, &message).await,
        _ => versions(state, &request.method, call, &message).await,
    }
}

async fn models(
    state: &State,
    method: &Method,
    call: &[&str],
    message: &Message,
) -> Option<Answer> {
    Some(match (method.as_str(), call) {
        ("POST", ["create"]) => create_model(state, message).await,
        ("POST", ["rename"]) => rename_model(state, message).await,
        ("PATCH", ["update"]) => update_model(state, message).await,
        ("DELETE", ["delete"]) => {
            change(state, message, |store, name, _| Ok(store.remove_model(name)?)).await
        }
        ("GET", ["get"]) => get_model(state, message).await,
        ("GET", ["search"]) => search_models(state, message).await,
        ("POST" | "GET", ["get-latest-versions"]) => latest_versions(state, message).await,
        ("POST", ["set-tag"]) => {
            change(state, message, |store, name, message| {
                let (key, value) = pair(message)?;
                store.set_model_tag(name, &key, &value).map_err(Refusal::from)
            })
            .await
        }
        ("DELETE", ["delete-tag"]) => {
            change(state, message, |store, name, message| {
                Ok(store.remove_model_tag(name, message.required("key")?)?)
            })
            .await
        }
        ("POST", ["alias"]) => {
            change(state, message, |store, name, message| {
                let (alias, version) = (message.required("alias")?, version(message)?);
                Ok(store.set_alias(name, alias, version)?)
            })
            .await
        }
        ("DELETE", ["alias"]) => {
            change(state, message, |store, name, message| {
                Ok(store.remove_alias(name, message.required("alias")?)?)
            })
            .await
        }
        ("GET", ["alias"]) => version_by_alias(state, message).await,
        _ => return None,
    })
}

async fn versions(
    state: &State,
    method: &Method,
    call: &[&str],
    message: &Message,
) -> Option<Answer> {
    Some(match (method.as_str(), call) {
        ("POST", ["create"]) => create_version(state, message).await,
        ("GET", ["get"]) => get_version(state, message).await,
        ("GET", ["get-download-uri"]) => download_uri(state, message).await,
        ("GET", ["search"]) => search_versions(state, message).await,
        ("PATCH", ["update"]) => {
            change_version(state, message, |store, name, version, message| {
                let text = message.text("description")?.unwrap_or_default();
                Ok(store.describe_version(name, version, text)?)
            })
            .await
        }
        ("POST", ["transition-stage"]) => {
            change_version(state, message, |store, name, version, message| {
                let others = match message.flag("archive_existing_versions")? {
                    Some(true) => Archive::Others,
                    Some(false) | None => Archive::Nothing,
                };
                Ok(store.set_stage(name, version, message.required("stage")?, others)?)
            })
            .await
        }
        ("DELETE", ["delete"]) => {
            change(state, message, |store, name, message| {
                Ok(store.remove_version(name, version(message)?)?)
            })
            .await
        }
        ("POST", ["set-tag"]) => {
            change(state, message, |store, name, message| {
                let (key, value) = pair(message)?;
                Ok(store.set_version_tag(name, version(message)?, &key, &value)?)
            })
            .await
        }
        ("DELETE", ["delete-tag"]) => {
            change(state, message, |store, name, message| {
                let key = message.required("key")?;
                Ok(store.remove_version_tag(name, version(message)?, key)?)
            })
            .await
        }
        _ => return None,
    })
}

/// Changes what is called `name`, and answers with an empty message.
async fn change(
    state: &State,
    message: &Message,
    work: impl FnOnce(&Store, &str, &Message) -> Result<(), Refusal> + Send + 'static,
) -> Answer {
    let (name, message) = (message.required("name")?.to_owned(), message.clone());
    state.write(move |store| work(store, &name, &message)).await?;
    Ok(Response::json(&json!({})))
}

/// Changes a version, and answers with what it is now.
async fn change_version(
    state: &State,
    message: &Message,
    work: impl FnOnce(&Store, &str, u64, &Message) -> Result<(), Refusal> + Send + 'static,
) -> Answer {
    let (name, number) = (message.required("name")?.to_owned(), version(message)?);
    let message = message.clone();
    state
        .write(move |store| {
            work(store, &name, number, &message)?;
            let version = found_version(store, &name, number)?;
            Ok::<_, Refusal>(VersionAnswer::of(&version))
        })
        .await
}

/// Returns the version that a request names, which may be written as text.
fn version(message: &Message) -> Result<u64, Refusal> {
    match message.int("version")?.map(u64::try_from) {
        None => Err(super::error::missing("version")),
        Some(Ok(version)) => Ok(version),
        Some(Err(_)) => Err(Refusal::invalid("Parameter 'version' must be an integer from 1 on.")),
    }
}

/// Returns the key and the value of a tag.
fn pair(message: &Message) -> Result<(String, String), Refusal> {
    let key = message.required("key")?.to_owned();
    Ok((key, message.text("value")?.unwrap_or_default().to_owned()))
}

fn tags(message: &Message) -> Result<BTreeMap<String, String>, Refusal> {
    Ok(message.pairs("tags")?.into_iter().collect())
}

fn given(message: &Message, name: &str) -> Result<Option<String>, Refusal> {
    Ok(message.text(name)?.filter(|text| !text.is_empty()).map(str::to_owned))
}

async fn create_model(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let (description, tags) = (given(message, "description")?, tags(message)?);
    state
        .write(move |store| match store.register_model(&name, description.as_deref(), &tags)? {
            true => ModelAnswer::of(store, &name),
            false => {
                Err(Refusal::exists(format!("Registered Model (name={name}) already exists.")))
            }
        })
        .await
}

async fn rename_model(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let new = message.required("new_name")?.to_owned();
    state
        .write(move |store| match store.rename_model(&name, &new)? {
            true => ModelAnswer::of(store, &new),
            false => Err(Refusal::exists(format!("Registered Model (name={new}) already exists."))),
        })
        .await
}

async fn update_model(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let description = message.text("description")?.unwrap_or_default().to_owned();
    state
        .write(move |store| {
            store.describe_model(&name, &description)?;
            ModelAnswer::of(store, &name)
        })
        .await
}

async fn get_model(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    state.read(move |store| ModelAnswer::of(store, &name)).await
}

async fn search_models(state: &State, message: &Message) -> Answer {
    let (text, orders) = search_texts(message)?;
    let order = orders.iter().map(|text| {
        Order::parse_registered(text).map_err(|fault| refused(fault, "order_by", text))
    });
    let query = RegistryQuery {
        filter: Filter::parse_registered(&text).map_err(|fault| refused(fault, "filter", &text))?,
        order: order.collect::<Result<_, _>>()?,
        limit: limit(message, USUAL_MODELS)?,
        after: given(message, "page_token")?,
    };
    state
        .read(move |store| {
            let page = store.registered_search(&query)?;
            let models = page.found.iter().map(|name| found_model(store, name));
            let models = models.collect::<Result<Vec<_>, Refusal>>()?;
            let registered_models = models.iter().map(ModelJson::from).collect();
            Ok(Response::json(&ModelsAnswer { registered_models, next_page_token: page.next }))
        })
        .await
}

async fn search_versions(state: &State, message: &Message) -> Answer {
    let (text, orders) = search_texts(message)?;
    let order = orders
        .iter()
        .map(|text| Order::parse_versions(text).map_err(|fault| refused(fault, "order_by", text)));
    let query = RegistryQuery {
        filter: Filter::parse_versions(&text).map_err(|fault| refused(fault, "filter", &text))?,
        order: order.collect::<Result<_, _>>()?,
        limit: limit(message, USUAL_VERSIONS)?,
        after: given(message, "page_token")?,
    };
    state
        .read(move |store| {
            let page = store.version_search(&query)?;
            let versions =
                page.found.iter().map(|(name, number)| found_version(store, name, *number));
            let versions = versions.collect::<Result<Vec<_>, Refusal>>()?;
            let model_versions = versions.iter().map(VersionJson::from).collect();
            Ok(Response::json(&VersionsAnswer { model_versions, next_page_token: page.next }))
        })
        .await
}

fn search_texts(message: &Message) -> Result<(String, Vec<String>), Refusal> {
    let text = message.text("filter")?.unwrap_or_default().to_owned();
    Ok((text, message.texts("order_by")?.into_iter().map(str::to_owned).collect()))
}

fn refused(fault: Fault, name: &str, text: &str) -> Refusal {
    let error: Error = fault.in_text(name, text);
    error.into()
}

fn limit(message: &Message, usual: i64) -> Result<usize, Refusal> {
    let count = message.int("max_results")?.unwrap_or(usual);
    match usize::try_from(count) {
        Ok(limit) if (1..=MOST_RESULTS).contains(&count) => Ok(limit),
        _ => {
            let why = format!("It must be at least 1 and at most {MOST_RESULTS}.");
            Err(super::error::invalid("max_results", &count.into(), &why))
        }
    }
}

/// Answers with the latest version of each stage that is asked for; of all stages by default.
async fn latest_versions(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let stages: Vec<String> = message.texts("stages")?.into_iter().map(str::to_owned).collect();
    state
        .read(move |store| {
            let model = found_model(store, &name)?;
            let is_wanted = |version: &&ModelVersion| {
                let mut stages = stages.iter();
                stages.len() == 0 || stages.any(|one| one.eq_ignore_ascii_case(&version.stage))
            };
            let model_versions = model.latest().filter(is_wanted).map(VersionJson::from).collect();
            Ok::<_, Refusal>(Response::json(&VersionsAnswer {
                model_versions,
                next_page_token: None,
            }))
        })
        .await
}

async fn create_version(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let source = message.required("source")?.to_owned();
    let mut new = NewVersion {
        description: given(message, "description")?,
        run: given(message, "run_id")?,
        run_link: given(message, "run_link")?,
        model: given(message, "model_id")?,
        tags: tags(message)?,
        source,
        ..NewVersion::default()
    };
    let known = new.clone();
    let (place, run) = state.read(move |store| origin(store, &known)).await?;
    if let Some(Place { id, .. }) = &place
        && id.starts_with("m-")
    {
        new.model.get_or_insert_with(|| id.clone());
    }
    new.run = new.run.or(run);
    if let Some(place) = place {
        let undigested = new.clone();
        let digested = state.project(move |project| {
            if let Some(store) = Store::open_existing(&project.history)? {
                identify(project, &store, &place, &mut new)?;
            }
            Ok::<_, Error>(new)
        });
        // Whether the files can be read decides nothing: they may come later.
        new = digested.await.unwrap_or(undigested);
    }
    state
        .write(move |store| {
            let number = store.register_version(&name, &new)?;
            let version = found_version(store, &name, number)?;
            Ok::<_, Refusal>(VersionAnswer::of(&version))
        })
        .await
}

/// Returns the place of the files of a version, and the run that has logged the model.
fn origin(store: &Store, new: &NewVersion) -> Result<(Option<Place>, Option<String>)> {
    let place = place(store, &new.source)?;
    let model = match &place {
        Some(place) if place.id.starts_with("m-") => Some(place.id.clone()),
        _ => new.model.clone(),
    };
    let run = model.map(|model| store.run_of_model(&model)).transpose()?.flatten();
    Ok((place, run))
}

async fn get_version(state: &State, message: &Message) -> Answer {
    let (name, number) = (message.required("name")?.to_owned(), version(message)?);
    state
        .read(move |store| {
            Ok::<_, Refusal>(VersionAnswer::of(&found_version(store, &name, number)?))
        })
        .await
}

async fn version_by_alias(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let alias = message.required("alias")?.to_owned();
    state
        .read(move |store| {
            let model = found_model(store, &name)?;
            match model.model.aliases.get(&alias) {
                Some(number) => Ok(VersionAnswer::of(&found_version(store, &name, *number)?)),
                // MLflow's client tests for this code, which is not that of a missing resource.
                None => Err(Refusal::invalid(format!("Registered model alias {alias} not found."))),
            }
        })
        .await
}

/// Answers with the place of a version's files: that of a logged model, or what was registered.
async fn download_uri(state: &State, message: &Message) -> Answer {
    let (name, number) = (message.required("name")?.to_owned(), version(message)?);
    state
        .read(move |store| {
            let source = found_version(store, &name, number)?.source;
            let uri = match place(store, &source)? {
                Some(Place { id, path }) if source.starts_with("models:") => {
                    match store.owner(&id)? {
                        Some(owner @ Owner::Model(_)) => store.artifact_uri(&owner)?,
                        _ => match path {
                            Some(path) => format!("runs:/{id}/{path}"),
                            None => format!("runs:/{id}"),
                        },
                    }
                }
                _ => source,
            };
            Ok::<_, Refusal>(Response::json(&json!({ "artifact_uri": uri })))
        })
        .await
}

/// A registered model with its versions.
struct Found {
    model: RegisteredModel,
    versions: Vec<ModelVersion>,
}

impl Found {
    /// Returns the latest version of each stage.
    fn latest(&self) -> impl Iterator<Item = &ModelVersion> {
        let mut stages = BTreeSet::new();
        self.versions.iter().filter(move |version| stages.insert(version.stage.clone()))
    }
}

fn found_model(store: &Store, name: &str) -> Result<Found, Refusal> {
    let Some(model) = store.registered_model(name)? else {
        return Err(Refusal::missing(format!("Registered Model with name={name} not found")));
    };
    Ok(Found { model, versions: store.model_versions(name)? })
}

fn found_version(store: &Store, name: &str, number: u64) -> Result<ModelVersion, Refusal> {
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
struct ModelJson<'v> {
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
struct VersionJson<'v> {
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
struct ModelAnswer<'v> {
    registered_model: ModelJson<'v>,
}

impl ModelAnswer<'_> {
    fn of(store: &Store, name: &str) -> Answer {
        let found = found_model(store, name)?;
        Ok(Response::json(&ModelAnswer { registered_model: (&found).into() }))
    }
}

#[derive(Serialize)]
struct VersionAnswer<'v> {
    model_version: VersionJson<'v>,
}

impl VersionAnswer<'_> {
    fn of(version: &ModelVersion) -> Response {
        Response::json(&VersionAnswer { model_version: version.into() })
    }
}

#[derive(Serialize)]
struct ModelsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registered_models: Vec<ModelJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct VersionsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_versions: Vec<VersionJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}
