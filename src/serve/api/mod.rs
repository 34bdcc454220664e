//! The dashboard's own JSON API, below `/api`. Every value is a report, in one file per view.

mod compare;
mod content;
mod events;
mod home;
mod lineage;
mod models;
mod pipeline;
mod run;
mod runs;

use hyper::Method;

use super::http::{Answer, Request, Response};
use super::state::State;

/// Answers requests below `/api` that are not MLflow's.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    let segments = request.segments();
    let ["api", view, ..] = &segments[..] else { return None };
    match (&request.method, *view) {
        (&Method::GET, "events") if segments.len() == 2 => Some(Ok(events::stream(state).await)),
        (&Method::GET, "server") if segments.len() == 2 => Some(Ok(server(state))),
        (_, "home") => home::route(state, request).await,
        (_, "runs") => match runs::route(state, request).await {
            None => run::route(state, request).await,
            answer => answer,
        },
        (_, "objects") => content::route(state, request).await,
        (_, "compare") => compare::route(state, request).await,
        (_, "pipeline" | "status") => pipeline::route(state, request).await,
        (_, "lineage") => lineage::route(state, request).await,
        (_, "models") => models::route(state, request).await,
        _ => None,
    }
}

/// Returns what this server is.
fn server(state: &State) -> Response {
    let project = state.root.file_name().unwrap_or_default().to_string_lossy();
    let version = env!("CARGO_PKG_VERSION");
    Response::json(&serde_json::json!({ "project": project, "version": version }))
}
