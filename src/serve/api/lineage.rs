//! Lineage: the origins and the uses of a content.

use hyper::Method;

use crate::engine::lineage::Subject;
use crate::error::Error;
use crate::pipeline::StageName;
use crate::report::lineage::{LineageReport, subject};
use crate::runs::Store;
use crate::serve::diagrams;
use crate::serve::http::{Answer, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    if request.method != Method::GET {
        return None;
    }
    match &request.segments()[..] {
        ["api", "lineage", digest] => {
            let digest = (*digest).to_owned();
            Some(answer(state, move |store| subject(store, &digest)).await)
        }
        ["api", "lineage", run, stage] => {
            let (run, stage) = ((*run).to_owned(), (*stage).to_owned());
            let of_stage = move |store: &Store| {
                let run = store.resolve(&run, Default::default)?;
                let name = StageName::parse(&stage);
                let name = name.ok_or_else(|| {
                    Error::missing(format!("there is no stage `{stage}` in {run}"))
                })?;
                Ok(Subject::Stage(run, name))
            };
            Some(answer(state, of_stage).await)
        }
        _ => None,
    }
}

async fn answer(
    state: &State,
    subject: impl FnOnce(&Store) -> Result<Subject, Error> + Send + 'static,
) -> Answer {
    let (root, history) = (state.root.clone(), state.history.clone());
    let report = state.read(move |store| {
        let report = LineageReport::read(&root, &history, store, &subject(store)?)?;
        Ok::<_, Error>(diagrams::lineage(report))
    });
    Ok(Response::json(&report.await?))
}
