//! Searches of runs, experiments and logged models, and the datasets that runs used.

use hyper::Method;
use serde::Serialize;

use super::entity::{ExperimentJson, ModelJson, RunJson, SummaryJson};
use super::query::{limit, refused};
use super::wire::Message;
use crate::filter::{Direction, Field, Filter, Order};
use crate::runs::Lifecycle;
use crate::runs::search::{ClientQuery, DatasetChoice, ExperimentQuery, ModelOrder, ModelQuery};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Maximum number of results on a page.
const MOST_RESULTS: i64 = 50_000;
/// Results on a page unless the request says how many.
const USUAL_RUNS: i64 = 1_000;
const USUAL_MODELS: i64 = 50;
/// Maximum number of experiments whose datasets are summarized.
const MOST_EXPERIMENTS: usize = 20;
/// Maximum number of summaries of datasets.
const MOST_SUMMARIES: usize = 1_000;

/// Answers a search.
pub(super) async fn route(state: &State, request: &Request, path: &[&str]) -> Option<Answer> {
    let (get, post) = (request.method == Method::GET, request.method == Method::POST);
    Some(match path {
        ["runs", "search"] if post => runs(state, request).await,
        ["experiments", "search"] if post || get => experiments(state, request).await,
        ["experiments", "search-datasets"] if post => datasets(state, request).await,
        ["logged-models", "search"] if post => models(state, request).await,
        _ => return None,
    })
}

/// An answer with one list and the token of the next page.
#[derive(Serialize)]
struct RunsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    runs: Vec<RunJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct ExperimentsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    experiments: Vec<ExperimentJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct ModelsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    models: Vec<ModelJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
struct DatasetsAnswer<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_summaries: Vec<SummaryJson<'v>>,
}

async fn runs(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let text = message.text("filter")?.unwrap_or_default();
    let order = message
        .texts("order_by")?
        .into_iter()
        .map(|text| Order::parse_mlflow(text).map_err(|fault| refused(fault, "order_by", text)));
    let query = ClientQuery {
        filter: Filter::parse(text, crate::filter::Dialect::Mlflow)
            .map_err(|fault| refused(fault, "filter", text))?,
        order: order.collect::<Result<_, _>>()?,
        experiments: experiment_ids(&message)?,
        lifecycle: lifecycle(&message, "run_view_type")?,
        limit: limit(&message, USUAL_RUNS, MOST_RESULTS)?,
        after: message.owned("page_token")?,
    };
    state
        .read(move |store| {
            let page = store.client_search(&query)?;
            let found = store.client_runs(&page.found)?;
            let runs = found.iter().map(RunJson::from).collect();
            Ok(Response::json(&RunsAnswer { runs, next_page_token: page.next }))
        })
        .await
}

async fn experiments(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let text = message.text("filter")?.unwrap_or_default();
    let order = message.texts("order_by")?.into_iter().map(|text| {
        Order::parse_experiments(text).map_err(|fault| refused(fault, "order_by", text))
    });
    let query = ExperimentQuery {
        filter: Filter::parse_experiments(text).map_err(|fault| refused(fault, "filter", text))?,
        order: order.collect::<Result<_, _>>()?,
        lifecycle: lifecycle(&message, "view_type")?,
        limit: limit(&message, 0, MOST_RESULTS)?,
        after: message.owned("page_token")?,
    };
    state
        .read(move |store| {
            let page = store.experiment_search(&query)?;
            let found = store.client_experiments(&page.found)?;
            let experiments = found.iter().map(ExperimentJson::from).collect();
            Ok(Response::json(&ExperimentsAnswer { experiments, next_page_token: page.next }))
        })
        .await
}

async fn models(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let text = message.text("filter")?.unwrap_or_default();
    let datasets = message.messages("datasets")?;
    let datasets = datasets.iter().map(|one| {
        let name = one.required("dataset_name")?.to_owned();
        Ok(DatasetChoice { name, digest: one.owned("dataset_digest")? })
    });
    let orders = message.messages("order_by")?;
    let query = ModelQuery {
        filter: Filter::parse_models(text).map_err(|fault| refused(fault, "filter", text))?,
        datasets: datasets.collect::<Result<_, Refusal>>()?,
        order: orders.iter().map(model_order).collect::<Result<_, _>>()?,
        experiments: experiment_ids(&message)?,
        limit: limit(&message, USUAL_MODELS, MOST_RESULTS)?,
        after: message.owned("page_token")?,
    };
    state
        .read(move |store| {
            let page = store.model_search(&query)?;
            let found = store.client_models(&page.found)?;
            let models = found.iter().map(ModelJson::from).collect();
            Ok(Response::json(&ModelsAnswer { models, next_page_token: page.next }))
        })
        .await
}

fn model_order(message: &Message) -> Result<ModelOrder, Refusal> {
    let text = message.required("field_name")?;
    Ok(ModelOrder {
        field: Field::parse_model_order(text).map_err(|fault| refused(fault, "order_by", text))?,
        direction: match message.flag("ascending")? {
            Some(false) => Direction::Descending,
            Some(true) | None => Direction::Ascending,
        },
        dataset_name: message.owned("dataset_name")?,
        dataset_digest: message.owned("dataset_digest")?,
    })
}

async fn datasets(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let experiments = experiment_ids(&message)?;
    match experiments.len() {
        0 => {
            let message = "SearchDatasets request must specify at least one experiment_id.";
            return Err(Refusal::invalid(message));
        }
        1..=MOST_EXPERIMENTS => {}
        count => {
            return Err(Refusal::invalid(format!(
                "SearchDatasets request cannot specify more than {MOST_EXPERIMENTS} \
                 experiment_ids. Received {count} experiment_ids."
            )));
        }
    }
    state
        .read(move |store| {
            let found = store.dataset_summaries(&experiments, MOST_SUMMARIES)?;
            let dataset_summaries = found.iter().map(SummaryJson::from).collect();
            Ok(Response::json(&DatasetsAnswer { dataset_summaries }))
        })
        .await
}

fn experiment_ids(message: &Message) -> Result<Vec<i64>, Refusal> {
    let id = |text: &str| {
        text.parse().map_err(|_| {
            Refusal::invalid(format!("Invalid experiment ID: '{}'", text.escape_debug()))
        })
    };
    message.texts("experiment_ids")?.into_iter().map(id).collect()
}

/// Returns the lifecycle that is asked for; `None` stands for any.
fn lifecycle(message: &Message, name: &str) -> Result<Option<Lifecycle>, Refusal> {
    const VIEWS: [&str; 3] = ["ACTIVE_ONLY", "DELETED_ONLY", "ALL"];
    Ok(match message.word(name, &VIEWS, 1)?.as_deref() {
        Some("DELETED_ONLY") => Some(Lifecycle::Deleted),
        Some("ALL") => None,
        _ => Some(Lifecycle::Active),
    })
}
