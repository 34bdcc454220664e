//! The model registry: registered models, their versions, and the aliases of versions.

mod entity;
mod source;

use std::collections::BTreeMap;

use hyper::Method;
use serde_json::json;

use super::query::{limit, refused};
use super::wire::Message;
use crate::engine::models::{identify, place};
use crate::error::{Error, Result};
use crate::filter::{Filter, Order};
use crate::runs::Store;
use crate::runs::files::{Owner, Place};
use crate::runs::registry::{Archive, ModelVersion, NewVersion};
use crate::runs::search::RegistryQuery;
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

use entity::{
    ModelAnswer, ModelJson, ModelsAnswer, VersionAnswer, VersionJson, VersionsAnswer, found_model,
    found_version,
};

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
                let (key, value) = message.pair()?;
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
                let (key, value) = message.pair()?;
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

fn tags(message: &Message) -> Result<BTreeMap<String, String>, Refusal> {
    Ok(message.pairs("tags")?.into_iter().collect())
}

async fn create_model(state: &State, message: &Message) -> Answer {
    let name = message.required("name")?.to_owned();
    let (description, tags) = (message.owned("description")?, tags(message)?);
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
        limit: limit(message, USUAL_MODELS, MOST_RESULTS)?,
        after: message.owned("page_token")?,
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
        limit: limit(message, USUAL_VERSIONS, MOST_RESULTS)?,
        after: message.owned("page_token")?,
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
        description: message.owned("description")?,
        run: message.owned("run_id")?,
        run_link: message.owned("run_link")?,
        model: message.owned("model_id")?,
        tags: tags(message)?,
        source,
        ..NewVersion::default()
    };
    let known = new.clone();
    let (place, run) = state
        .read(move |store| {
            source::check(store, &known)?;
            Ok::<_, Refusal>(origin(store, &known)?)
        })
        .await?;
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
