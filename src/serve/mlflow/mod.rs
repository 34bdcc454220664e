//! MLflow's tracking API, as the client of MLflow 3 uses it.

mod artifacts;
mod batch;
mod entity;
mod error;
mod experiments;
mod inputs;
mod keys;
mod metrics;
mod models;
mod names;
mod query;
mod registry;
mod runs;
mod search;
mod target;
mod tokens;
mod values;
mod wire;

use hyper::Method;
use serde_json::json;

use super::http::{Answer, Request, Response};
use super::state::State;

/// The version of MLflow whose API this is.
const VERSION: &str = "3.17.2";

/// Answers requests of MLflow's clients.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    if let Some(answer) = artifacts::route(state, request).await {
        return Some(answer);
    }
    let segments = request.segments();
    let path = match (&request.method, &segments[..]) {
        (&Method::GET, ["health"]) => return Some(Ok(Response::text("OK"))),
        (&Method::GET, ["version"]) => return Some(Ok(Response::text(VERSION))),
        (_, ["api" | "ajax-api", "2.0" | "3.0", "mlflow", path @ ..]) => path,
        _ => return None,
    };
    if let Some(answer) = registry::route(state, request, path).await {
        return Some(answer);
    }
    if let Some(answer) = search::route(state, request, path).await {
        return Some(answer);
    }
    let (get, post) = (request.method == Method::GET, request.method == Method::POST);
    Some(match path {
        ["server-info"] if get => Ok(server_info()),
        ["experiments", action] => return experiments::route(state, request, action).await,
        ["runs", "log-batch"] if post => batch::log(state, request).await,
        ["runs", action @ ("log-inputs" | "outputs" | "log-model")] => {
            return inputs::route(state, request, action).await;
        }
        ["logged-models", path @ ..] => return models::route(state, request, path).await,
        ["runs", action] => match runs::route(state, request, action).await {
            None => return values::route(state, request, action).await,
            answer => return answer,
        },
        ["metrics", action] if get => return metrics::route(state, request, action).await,
        _ => return None,
    })
}

/// Returns what the server can do. A client asks before it downloads, to choose the way.
fn server_info() -> Response {
    Response::json(&json!({
        "store_type": "SqlStore",
        "workspaces_enabled": false,
        "trace_archival_enabled": false,
        "multipart_uploads_enabled": false,
        "multipart_downloads_enabled": false,
    }))
}
