//! Runs in progress, the last run, and the state of the workspace.

use hyper::Method;

use crate::pipeline::Goals;
use crate::report::home::HomeReport;
use crate::report::pipeline::PipelineReport;
use crate::serve::http::{Answer, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    match (&request.method, &request.segments()[..]) {
        (&Method::GET, ["api", "home"]) => Some(home(state).await),
        _ => None,
    }
}

async fn home(state: &State) -> Answer {
    // A pipeline that is not valid is shown with its error; the history has its place beside it.
    let now = state.assess().await;
    let history = state.history.clone();
    let report = state.read(move |store| {
        let goals = now.as_ref().map(|now| now.project.pipeline.goals.clone());
        let goals = goals.unwrap_or_else(|_| Goals::default());
        let pipeline = now
            .and_then(|now| PipelineReport::new(&now.project.pipeline, &now.status, Some(store)));
        HomeReport::read(pipeline, &history, Some(store), &goals)
    });
    Ok(Response::json(&report.await?))
}
