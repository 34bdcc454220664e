//! Experiments: made, read, renamed, tagged, deleted and restored.

use hyper::Method;
use serde_json::json;

use super::entity::ExperimentJson;
use super::error::no_experiment;
use super::keys;
use super::target::{active_experiment, experiment, experiment_id};
use super::wire::Message;
use crate::clock;
use crate::event::RunUid;
use crate::runs::{Lifecycle, Store};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Maximum length of a name in characters.
const LONGEST_NAME: usize = 500;

/// Answers requests below `experiments`.
pub(super) async fn route(state: &State, request: &Request, action: &str) -> Option<Answer> {
    Some(match (&request.method, action) {
        (&Method::GET, "get") => get(state, request).await,
        (&Method::GET, "get-by-name") => get_by_name(state, request).await,
        (&Method::POST, "create") => create(state, request).await,
        (&Method::POST, "update") => update(state, request).await,
        (&Method::POST, "delete") => set_lifecycle(state, request, Lifecycle::Deleted).await,
        (&Method::POST, "restore") => set_lifecycle(state, request, Lifecycle::Active).await,
        (&Method::POST, "set-experiment-tag") => set_tag(state, request).await,
        (&Method::POST, "delete-experiment-tag") => delete_tag(state, request).await,
        _ => return None,
    })
}

/// Reads the experiment that a message names.
fn named(message: &Message) -> Result<i64, Refusal> {
    experiment_id(message.required("experiment_id")?)
}

fn read(store: &Store, id: i64) -> Result<Response, Refusal> {
    let found = store.client_experiments(&[id])?;
    let experiment = found.first().ok_or_else(|| no_experiment(&id.to_string()))?;
    Ok(Response::json(&json!({ "experiment": ExperimentJson::from(experiment) })))
}

async fn get(state: &State, request: &Request) -> Answer {
    let id = named(&Message::of(request).await?)?;
    state.read(move |store| read(store, id)).await
}

async fn get_by_name(state: &State, request: &Request) -> Answer {
    let name = Message::of(request).await?.required("experiment_name")?.to_owned();
    // A stage that names an experiment stays in that of its run: the client refuses to continue a
    // run of another one.
    let own = request.run().and_then(RunUid::parse);
    state
        .read(move |store| {
            let own = own.map(|run| store.experiment_of(run)).transpose()?.flatten();
            match own.map_or_else(|| store.experiment_named(&name), |id| Ok(Some(id)))? {
                Some(id) => read(store, id),
                None => {
                    let shown = name.escape_debug();
                    let message = format!("Could not find experiment with name '{shown}'");
                    Err(Refusal::missing(message))
                }
            }
        })
        .await
}

async fn create(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let name = message.required("name")?.to_owned();
    let location = message.owned("artifact_location")?;
    let tags = message.pairs("tags")?;
    keys::check_length("name", &name, LONGEST_NAME)?;
    check_location(location.as_deref())?;
    for (key, value) in &tags {
        check_tag(key, value)?;
    }
    let id = state
        .write(move |store| {
            refuse_taken(store, &name, None)?;
            let at = clock::now_millis();
            Ok::<_, Refusal>(store.create_experiment(&name, location.as_deref(), &tags, at)?)
        })
        .await?;
    Ok(Response::json(&json!({ "experiment_id": id.to_string() })))
}

/// Refuses a place for files that clients could not use.
fn check_location(location: Option<&str>) -> Result<(), Refusal> {
    let Some(location) = location else { return Ok(()) };
    let shown = location.escape_debug();
    if location.starts_with("runs:") {
        let message = format!("Artifact location cannot be a runs:/ URI. Given: '{shown}'");
        return Err(Refusal::invalid(message));
    }
    // Clients append paths to it.
    if location.contains(['?', '#']) {
        return Err(Refusal::invalid(format!(
            "'artifact_location' URL can't include fragments or params: '{shown}'"
        )));
    }
    Ok(())
}

/// Fails if an experiment other than `own` has a name.
fn refuse_taken(store: &Store, name: &str, own: Option<i64>) -> Result<(), Refusal> {
    let Some(id) = store.experiment_named(name)? else { return Ok(()) };
    if own == Some(id) {
        return Ok(());
    }
    let shown = name.escape_debug();
    Err(Refusal::exists(match store.experiment_lifecycle(id)? {
        Some(Lifecycle::Deleted) => format!(
            "Experiment '{shown}' already exists in deleted state. You can restore the experiment."
        ),
        _ => format!("Experiment(name={shown}) already exists."),
    }))
}

async fn update(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let id = named(&message)?;
    let name = message.required("new_name")?.to_owned();
    keys::check_length("new_name", &name, LONGEST_NAME)?;
    state
        .write(move |store| {
            if experiment(store, id)? == Lifecycle::Deleted {
                return Err(Refusal::invalid("Cannot rename a non-active experiment."));
            }
            refuse_taken(store, &name, Some(id))?;
            store.rename_experiment(id, &name, clock::now_millis())?;
            Ok(Response::json(&json!({})))
        })
        .await
}

/// Deletes or restores an experiment. One that is so already stays: the client may have asked
/// before, without getting the answer.
async fn set_lifecycle(state: &State, request: &Request, to: Lifecycle) -> Answer {
    let id = named(&Message::of(request).await?)?;
    state
        .write(move |store| {
            experiment(store, id)?;
            store.set_experiment_lifecycle(id, to, clock::now_millis())?;
            Ok(Response::json(&json!({})))
        })
        .await
}

fn check_tag(key: &str, value: &str) -> Result<(), Refusal> {
    keys::check("key", key)?;
    keys::check_length("value", value, keys::LONGEST_EXPERIMENT_TAG)
}

async fn set_tag(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let id = named(&message)?;
    let (key, value) = message.pair()?;
    check_tag(&key, &value)?;
    state
        .write(move |store| {
            active_experiment(store, id)?;
            store.set_experiment_tag(id, &key, &value)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

async fn delete_tag(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let id = named(&message)?;
    let key = message.required("key")?.to_owned();
    state
        .write(move |store| {
            active_experiment(store, id)?;
            store.delete_experiment_tag(id, &key)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}
