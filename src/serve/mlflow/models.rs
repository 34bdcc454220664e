//! Logged models: what autologging of MLflow's clients makes, with its files, params and tags.

use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::entity::ModelJson;
use super::error::{invalid, missing};
use super::names::name_of;
use super::target::{Target, active_experiment, experiment_id};
use super::wire::Message;
use crate::engine::provenance::random_uid;
use crate::error::Result;
use crate::runs::{Lifecycle, ModelStatus, NewModel, Store};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Answers requests below `logged-models` other than a search.
pub(super) async fn route(state: &State, request: &Request, path: &[&str]) -> Option<Answer> {
    Some(match (&request.method, path) {
        (&Method::POST, []) => create(state, request).await,
        (&Method::GET, [id]) => get(state, request, id).await,
        (&Method::PATCH, [id]) => finalize(state, request, id).await,
        (&Method::DELETE, [id]) => delete(state, id).await,
        (&Method::PATCH, [id, "tags"]) => set_tags(state, request, id).await,
        (&Method::DELETE, [id, "tags", key]) => delete_tag(state, id, key).await,
        (&Method::POST, [id, "params"]) => log_params(state, request, id).await,
        _ => return None,
    })
}

#[derive(Serialize)]
struct ModelAnswer<'v> {
    model: ModelJson<'v>,
}

/// Returns a logged model as it is now.
fn answer(store: &Store, id: &str, lifecycle: Option<Lifecycle>) -> Result<Response> {
    let model = store.client_model(id, lifecycle)?;
    Ok(Response::json(&ModelAnswer { model: (&model).into() }))
}

async fn create(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let experiment = experiment_id(message.required("experiment_id")?)?;
    let uid = random_uid();
    let name = message.given("name")?.map_or_else(|| name_of(uid), str::to_owned);
    check_name(&name)?;
    let run = message.given("source_run_id")?.and_then(|id| Target::of(request, id).ok());
    let mut model = NewModel {
        id: format!("m-{uid}"),
        experiment,
        name,
        kind: message.owned("model_type")?,
        run: None,
        params: message.pairs("params")?,
        tags: message.pairs("tags")?,
    };
    state
        .write(move |store| {
            active_experiment(store, model.experiment)?;
            // As in MLflow, it may be a run of another server.
            model.run = run.and_then(|run| run.find(store).ok());
            store.create_model(&model)?;
            Ok::<_, Refusal>(answer(store, &model.id, None)?)
        })
        .await
}

/// Checks the name of a logged model, which becomes a part of addresses.
fn check_name(name: &str) -> Result<(), Refusal> {
    const FORBIDDEN: &[char] = &['/', ':', '.', '%', '"', '\''];
    if !name.contains(FORBIDDEN) {
        return Ok(());
    }
    let why = "A name has none of the characters '/', ':', '.', '%', '\"' and '\\''.";
    Err(invalid("name", &Value::from(name), why))
}

async fn get(state: &State, request: &Request, id: &str) -> Answer {
    let message = Message::of(request).await?;
    let is_any = message.flag("allow_deleted")? == Some(true);
    let lifecycle = (!is_any).then_some(Lifecycle::Active);
    let id = id.to_owned();
    state.read(move |store| Ok::<_, Refusal>(answer(store, &id, lifecycle)?)).await
}

async fn finalize(state: &State, request: &Request, id: &str) -> Answer {
    const WORDS: [&str; 4] = [
        "LOGGED_MODEL_STATUS_UNSPECIFIED",
        "LOGGED_MODEL_PENDING",
        "LOGGED_MODEL_READY",
        "LOGGED_MODEL_UPLOAD_FAILED",
    ];
    let message = Message::of(request).await?;
    let word = message.word("status", &WORDS, 0)?.ok_or_else(|| missing("status"))?;
    let status = ModelStatus::parse(&word).ok_or_else(|| {
        invalid("status", &Value::from(&*word), "It is pending, ready or failed.")
    })?;
    let id = id.to_owned();
    state
        .write(move |store| {
            store.finalize_model(&id, status)?;
            Ok::<_, Refusal>(answer(store, &id, None)?)
        })
        .await
}

async fn delete(state: &State, id: &str) -> Answer {
    let id = id.to_owned();
    state
        .write(move |store| {
            store.delete_model(&id)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

async fn set_tags(state: &State, request: &Request, id: &str) -> Answer {
    let message = Message::of(request).await?;
    let (id, tags) = (id.to_owned(), message.pairs("tags")?);
    state
        .write(move |store| {
            store.set_model_tags(&id, &tags)?;
            Ok::<_, Refusal>(answer(store, &id, None)?)
        })
        .await
}

async fn delete_tag(state: &State, id: &str, key: &str) -> Answer {
    let (id, key) = (id.to_owned(), key.to_owned());
    state
        .write(move |store| {
            store.delete_model_tag(&id, &key)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

async fn log_params(state: &State, request: &Request, id: &str) -> Answer {
    let message = Message::of(request).await?;
    let (id, params) = (id.to_owned(), message.pairs("params")?);
    state
        .write(move |store| {
            store.log_model_params(&id, &params)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}
