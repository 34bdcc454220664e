//! Many params, metrics and tags of a run at once: all are stored, or none.

use std::collections::BTreeSet;

use serde_json::json;

use super::target::Target;
use super::values::{MetricPoint, check_param, check_tag, log_points};
use super::wire::Message;
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

const MOST_METRICS: usize = 1_000;
const MOST_PARAMS: usize = 100;
const MOST_TAGS: usize = 100;
const MOST_IN_ALL: usize = 1_000;

/// Answers `runs/log-batch`.
pub(super) async fn log(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.required("run_id")?)?;
    let points = message.messages("metrics")?;
    let points = points.iter().map(MetricPoint::read).collect::<Result<Vec<_>, _>>()?;
    let mut params = message.pairs("params")?;
    let mut tags = message.pairs("tags")?;
    check_limit("metrics", MOST_METRICS, points.len())?;
    check_limit("params", MOST_PARAMS, params.len())?;
    check_limit("tags", MOST_TAGS, tags.len())?;
    let all = points.len() + params.len() + tags.len();
    check_limit("metrics, params, and tags", MOST_IN_ALL, all)?;
    for (at, (key, value)) in params.iter_mut().enumerate() {
        *value = check_param(&format!("params[{at}]."), key, value)?;
    }
    for (at, (key, value)) in tags.iter_mut().enumerate() {
        *value = check_tag(&format!("tags[{at}]."), key, value)?;
    }
    refuse_repeated(&params)?;
    state
        .write(move |store| {
            let run = target.find_active(store)?;
            store.log_params(run, &target.stage, &params)?;
            log_points(store, run, &target, &points)?;
            for (key, value) in &tags {
                store.set_client_tag(run, &target.stage, key, value)?;
            }
            Ok::<_, Refusal>(Response::json(&json!({})))
        })
        .await
}

fn check_limit(what: &str, limit: usize, count: usize) -> Result<(), Refusal> {
    if count <= limit {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please \
         split up {what} across multiple requests and try again."
    )))
}

/// Refuses params with one key, even with the same value.
fn refuse_repeated(params: &[(String, String)]) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    match params.iter().find(|(key, _)| !seen.insert(key)) {
        None => Ok(()),
        Some((key, _)) => Err(Refusal::invalid(format!(
            "Duplicate parameter keys have been submitted: ['{key}']. Please ensure the request \
             contains only one param value per param key."
        ))),
    }
}
