//! Runs: made, read, ended, renamed, deleted and restored.

use hyper::Method;
use serde_json::json;

use super::entity::{RunInfo, RunJson};
use super::names;
use super::target::{Target, active_experiment, experiment_id};
use super::values::check_tag;
use super::wire::Message;
use crate::engine::provenance::random_uid;
use crate::pipeline::StageName;
use crate::runs::tracking::{NewRun, Update};
use crate::runs::{Lifecycle, RunState};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// The tag with the name of a run.
const NAME: &str = "mlflow.runName";
const PARENT: &str = "mlflow.parentRunId";
const USER: &str = "mlflow.user";
/// The states of MLflow, numbered from 1.
const STATUSES: [&str; 5] = ["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"];

/// Answers requests below `runs` that are about whole runs.
pub(super) async fn route(state: &State, request: &Request, action: &str) -> Option<Answer> {
    Some(match (&request.method, action) {
        (&Method::GET, "get") => get(state, request).await,
        (&Method::POST, "create") => create(state, request).await,
        (&Method::POST, "update") => update(state, request).await,
        (&Method::POST, "delete") => set_lifecycle(state, request, Lifecycle::Deleted).await,
        (&Method::POST, "restore") => set_lifecycle(state, request, Lifecycle::Active).await,
        _ => return None,
    })
}

async fn get(state: &State, request: &Request) -> Answer {
    let target = Target::of(request, Message::of(request).await?.run_id()?)?;
    state
        .read(move |store| {
            let run = target.view(store, target.find(store)?)?;
            Ok::<_, Refusal>(Response::json(&json!({ "run": RunJson::from(&run) })))
        })
        .await
}

async fn create(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let experiment = experiment_id(message.text("experiment_id")?.unwrap_or_default())?;
    let uid = random_uid();
    let mut tags = message.pairs("tags")?;
    for (at, (key, value)) in tags.iter_mut().enumerate() {
        *value = check_tag(&format!("tags[{at}]."), key, value)?;
    }
    // What a stage makes beside the run of the pipeline is a part of it.
    if let Some(run) = request.run()
        && !tags.iter().any(|(key, _)| key == PARENT)
    {
        tags.push((PARENT.to_owned(), run.to_owned()));
    }
    let tagged = tags.iter().rev().find(|(key, _)| key == NAME).map(|(_, name)| name.clone());
    let name = match (message.owned("run_name")?, tagged.filter(|name| !name.is_empty())) {
        (Some(name), Some(tagged)) if name != tagged => {
            return Err(Refusal::invalid(format!(
                "Both 'run_name' argument and '{NAME}' tag are specified, but with different \
                 values (run_name='{name}', {NAME}='{tagged}')."
            )));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => names::name_of(uid),
    };
    tags.retain(|(key, _)| key != NAME);
    let user = match message.owned("user_id")? {
        None => tags.iter().find(|(key, _)| key == USER).map(|(_, user)| user.clone()),
        user => user,
    };
    let started = message.int("start_time")?.unwrap_or(0);
    let new = NewRun { uid, experiment, name, user, started, tags };
    let target = Target::of(request, &uid.to_string())?;
    state
        .write(move |store| {
            active_experiment(store, experiment)?;
            let run = target.view(store, store.create_run(&new)?)?;
            Ok::<_, Refusal>(Response::json(&json!({ "run": RunJson::from(&run) })))
        })
        .await
}

async fn update(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.run_id()?)?;
    // An unknown status changes nothing.
    let status = message.word("status", &STATUSES, 1).unwrap_or(None);
    let update = Update {
        state: status.as_deref().and_then(state_of),
        ended: message.int("end_time")?,
        name: message.owned("run_name")?,
    };
    state
        .write(move |store| {
            let run = target.find_active(store)?;
            // A stage does not say how the run as a whole ends.
            if target.stage == StageName::outside() {
                store.update_run(run, &update)?;
            }
            let run = target.view(store, run)?;
            Ok::<_, Refusal>(Response::json(&json!({ "run_info": RunInfo::from(&run) })))
        })
        .await
}

fn state_of(status: &str) -> Option<RunState> {
    match status {
        "RUNNING" => Some(RunState::Running),
        "SCHEDULED" => Some(RunState::Scheduled),
        "FINISHED" => Some(RunState::Ok),
        "FAILED" => Some(RunState::Failed),
        "KILLED" => Some(RunState::Interrupted),
        _ => None,
    }
}

/// Deletes or restores a run. One that is so already stays.
async fn set_lifecycle(state: &State, request: &Request, to: Lifecycle) -> Answer {
    let target = Target::of(request, Message::of(request).await?.required("run_id")?)?;
    if target.stage != StageName::outside() {
        return Err(Refusal::invalid(
            "a stage cannot delete or restore the run that it is part of",
        ));
    }
    state
        .write(move |store| {
            store.set_lifecycle_alone(target.find(store)?, to)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}
