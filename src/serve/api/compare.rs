//! Runs side by side. Each `run` of the query names one; without any, they are the last two.

use hyper::Method;

use crate::engine::side::{self, Side};
use crate::engine::{self, Project, plots};
use crate::error::Result;
use crate::report::compared::ComparedReport;
use crate::report::plots::PlotsReport;
use crate::runs::compare::Grouping;
use crate::runs::{Run, Store, query};
use crate::serve::http::{Answer, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    match (&request.method, &request.segments()[..]) {
        (&Method::GET, ["api", "compare"]) => Some(compare(state, request).await),
        (&Method::GET, ["api", "compare", "figures"]) => Some(figures(state, request).await),
        _ => None,
    }
}

fn names(request: &Request) -> Vec<String> {
    request.query.all("run").map(str::to_owned).collect()
}

async fn compare(state: &State, request: &Request) -> Answer {
    let (root, names) = (state.root.clone(), names(request));
    let baseline = request.query.get("base").map(str::to_owned);
    let grouping = match request.query.get("apart") {
        Some(_) => Grouping::None,
        None => Grouping::default(),
    };
    let read = move || ComparedReport::read(&root, &names, baseline.as_deref(), grouping);
    Ok(Response::json(&state.work(read).await?))
}

/// Returns the figures of the outs that the pipeline declares as plots, for the sides that are
/// runs.
async fn figures(state: &State, request: &Request) -> Answer {
    let names = names(request);
    let read = move |project: &Project| -> Result<PlotsReport> {
        let sides = side::named(&project.root, &names)?;
        let runs: Vec<Run> = sides.iter().filter_map(Side::run).cloned().collect();
        let files = plots::files(project, &runs)?;
        let store = Store::open_existing(&engine::home(&project.root))?;
        let store = store.ok_or_else(query::no_runs)?;
        PlotsReport::read(&store, &runs, &files, &project.pipeline.goals, &|_| false)
    };
    Ok(Response::json(&state.project(read).await?))
}
