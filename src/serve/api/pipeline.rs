//! Stages, their verdicts and their history.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::Method;

use crate::pipeline::StageName;
use crate::report::pipeline::PipelineReport;
use crate::report::stage::{StageReport, unknown};
use crate::serve::diagrams;
use crate::serve::http::{Answer, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    match (&request.method, &request.segments()[..]) {
        (&Method::GET, ["api", "pipeline"]) => {
            let open = request.query.all("open").map(str::to_owned).collect();
            Some(pipeline(state, open).await)
        }
        (&Method::GET, ["api", "pipeline", name]) => Some(stage(state, name).await),
        (&Method::GET, ["api", "status"]) => Some(status(state).await),
        _ => None,
    }
}

async fn pipeline(state: &State, open: BTreeSet<String>) -> Answer {
    let now = state.assess().await?;
    let page = state.read(move |store| {
        let report = PipelineReport::new(&now.project.pipeline, &now.status, Some(store))?;
        Ok::<_, crate::error::Error>(diagrams::pipeline(report, &open))
    });
    Ok(Response::json(&page.await?))
}

async fn stage(state: &State, name: &str) -> Answer {
    let now = state.assess().await?;
    let Some(name) = StageName::parse(name) else {
        return Err(unknown(&now.project.pipeline, name).into());
    };
    let report = state.read(move |store| {
        let pipeline = PipelineReport::new(&now.project.pipeline, &now.status, Some(store))?;
        StageReport::read(&now.project, pipeline, Some(store), &name)
    });
    Ok(Response::json(&report.await?))
}

/// Answers with what `repro status --json` prints.
async fn status(state: &State) -> Answer {
    let now: Arc<_> = state.assess().await?;
    Ok(Response::json(&now.status))
}
