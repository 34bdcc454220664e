//! The registered models.

use hyper::Method;

use crate::report::models::ModelReport;
use crate::serve::http::{Answer, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    match (&request.method, &request.segments()[1..]) {
        (&Method::GET, ["models"]) => Some(all(state).await),
        _ => None,
    }
}

async fn all(state: &State) -> Answer {
    Ok(Response::json(&state.read(ModelReport::all).await?))
}
