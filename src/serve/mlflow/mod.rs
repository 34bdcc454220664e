//! MLflow's tracking API, as the client of MLflow 3 uses it.

mod artifacts;

use hyper::Method;

use super::http::{Answer, Request, Response};
use super::state::State;

/// The version of MLflow whose API this is.
const VERSION: &str = "3.17.2";

/// Answers requests of MLflow's clients.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    match (&request.method, &request.segments()[..]) {
        (&Method::GET, ["health"]) => Some(Ok(Response::text("OK"))),
        (&Method::GET, ["version"]) => Some(Ok(Response::text(VERSION))),
        _ => artifacts::route(state, request).await,
    }
}
