//! Single params, metrics and tags of runs.

use hyper::Method;
use serde_json::{Value, json};

use super::error::{invalid, missing};
use super::keys;
use super::target::Target;
use super::wire::Message;
use crate::runs::tracking::LoggedPoint;
use crate::runs::{ModelPoint, RunName, Store};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Answers requests below `runs` that are about single values.
pub(super) async fn route(state: &State, request: &Request, action: &str) -> Option<Answer> {
    Some(match (&request.method, action) {
        (&Method::POST, "log-metric") => log_metric(state, request).await,
        (&Method::POST, "log-parameter") => log_param(state, request).await,
        (&Method::POST, "set-tag") => set_tag(state, request).await,
        (&Method::POST, "delete-tag") => delete_tag(state, request).await,
        _ => return None,
    })
}

/// A point as a client logs it, perhaps also for a model.
#[derive(Debug, Clone)]
pub(super) struct MetricPoint {
    point: LoggedPoint,
    model: Option<String>,
    dataset_name: Option<String>,
    dataset_digest: Option<String>,
}

impl MetricPoint {
    /// Reads and checks a point.
    pub(super) fn read(message: &Message) -> Result<MetricPoint, Refusal> {
        let key = message.required("key")?.to_owned();
        let value = message.number("value")?.ok_or_else(|| missing(&message.path("value")))?;
        let at = message.int("timestamp")?.ok_or_else(|| missing(&message.path("timestamp")))?;
        keys::check(&message.path("key"), &key)?;
        if at < 0 {
            let why = "Timestamp must be a nonnegative long (64-bit integer)";
            return Err(invalid(&message.path("timestamp"), &Value::from(at), why));
        }
        let step = message.int("step")?.unwrap_or(0);
        Ok(MetricPoint {
            point: LoggedPoint { key, value, at, step },
            model: message.owned("model_id")?,
            dataset_name: message.owned("dataset_name")?,
            dataset_digest: message.owned("dataset_digest")?,
        })
    }
}

/// Adds points to a run, and to the models that they belong to.
pub(super) fn log_points(
    store: &Store,
    run: RunName,
    target: &Target,
    points: &[MetricPoint],
) -> Result<(), Refusal> {
    let logged: Vec<LoggedPoint> = points.iter().map(|point| point.point.clone()).collect();
    store.log_points(run, &target.stage, &logged)?;
    let of_models =
        points.iter().filter_map(|MetricPoint { point, model, dataset_name, dataset_digest }| {
            let model = model.as_deref()?;
            let LoggedPoint { key, value, at, step } = point;
            let (dataset_name, dataset_digest) =
                (dataset_name.as_deref(), dataset_digest.as_deref());
            let (value, at, step) = (*value, *at, *step);
            Some(ModelPoint { model, run, key, value, at, step, dataset_name, dataset_digest })
        });
    let of_models: Vec<ModelPoint<'_>> = of_models.collect();
    Ok(store.log_model_metrics(&of_models)?)
}

async fn log_metric(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.run_id()?)?;
    let points = [MetricPoint::read(&message)?];
    state
        .write(move |store| {
            log_points(store, target.find_active(store)?, &target, &points)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

/// Checks a param at a place in a request, and returns the value that is stored.
pub(super) fn check_param(place: &str, key: &str, value: &str) -> Result<String, Refusal> {
    keys::check(&format!("{place}key"), key)?;
    Ok(keys::cut(value, keys::LONGEST_PARAM).to_owned())
}

async fn log_param(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.run_id()?)?;
    let (key, value) = message.pair()?;
    let value = check_param("", &key, &value)?;
    let params = [(key, value)];
    state
        .write(move |store| {
            store.log_params(target.find_active(store)?, &target.stage, &params)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

/// Checks a tag at a place in a request, and returns the value that is stored.
pub(super) fn check_tag(place: &str, key: &str, value: &str) -> Result<String, Refusal> {
    keys::check(&format!("{place}key"), key)?;
    Ok(keys::cut(value, keys::LONGEST_TAG).to_owned())
}

async fn set_tag(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.run_id()?)?;
    let (key, value) = message.pair()?;
    let value = check_tag("", &key, &value)?;
    state
        .write(move |store| {
            store.set_client_tag(target.find_active(store)?, &target.stage, &key, &value)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

async fn delete_tag(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.required("run_id")?)?;
    let key = message.required("key")?.to_owned();
    state
        .write(move |store| {
            store.delete_client_tag(target.find_active(store)?, &target.stage, &key)?;
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}
