//! The table of runs, and edits of runs.

use std::collections::BTreeMap;

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::engine::project::goals as goals_of;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::Goals;
use crate::report::run_grid::{
    By, FieldNames, RunCells, RunGrid, RunGroups, Shape, View, curves, values_of_field,
};
use crate::runs::{Lifecycle, Store};
use crate::serve::http::{Answer, Query, Refusal, Request, Response};
use crate::serve::state::State;

/// Maximum number of runs whose values one request reads.
const MOST_RUNS: usize = 1000;
/// Maximum number of pieces of a small curve.
const MOST_PIECES: usize = 400;
/// Maximum number of values that complete a filter.
const MOST_VALUES: usize = 100;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    let segments = request.segments();
    Some(match (&request.method, &segments[1..]) {
        (&Method::GET, ["runs"]) => grid(state, request).await,
        (&Method::GET, ["runs", "cells"]) => cells(state, request).await,
        (&Method::GET, ["runs", "groups"]) => groups(state, request).await,
        (&Method::GET, ["runs", "curves"]) => small_curves(state, request).await,
        (&Method::GET, ["runs", "names"]) => names(state).await,
        (&Method::GET, ["runs", "values"]) => values(state, request).await,
        (&Method::POST, ["runs", run, edit]) => {
            let edit = Edit::of(edit)?;
            change(state, request, run, edit).await
        }
        _ => return None,
    })
}

async fn grid(state: &State, request: &Request) -> Answer {
    let view = view(&request.query);
    let count = number(&request.query, "count", 0, MOST_RUNS)?;
    let goals = goals(state);
    let read = state.read(move |store| RunGrid::read(store, &view, count, &goals));
    Ok(Response::json(&read.await?))
}

async fn cells(state: &State, request: &Request) -> Answer {
    let runs = runs(&request.query, "runs")?;
    let columns = list(&request.query, "columns");
    let goals = goals(state);
    let read = state
        .read(move |store: &Store| RunCells::read(store, &runs, &columns, &store.known()?, &goals));
    Ok(Response::json(&read.await?))
}

async fn groups(state: &State, request: &Request) -> Answer {
    let view = view(&request.query);
    let by = By::parse(request.query.get("by").unwrap_or("sweep"));
    let goals = goals(state);
    let read = state.read(move |store| RunGroups::read(store, &view, &by, &goals));
    Ok(Response::json(&read.await?))
}

async fn small_curves(state: &State, request: &Request) -> Answer {
    let runs = runs(&request.query, "runs")?;
    let key = request.query.get("key").unwrap_or("").to_owned();
    let width = number(&request.query, "width", 50, MOST_PIECES)?;
    let read = state.read(move |store: &Store| curves(store, &runs, &key, width));
    Ok(Response::json(&read.await?))
}

async fn names(state: &State) -> Answer {
    let goals = goals(state);
    let read = state.read(move |store: &Store| FieldNames::read(store, &goals));
    Ok(Response::json(&read.await?))
}

async fn values(state: &State, request: &Request) -> Answer {
    let field = request.query.get("field").unwrap_or("").to_owned();
    let read = state.read(move |store: &Store| values_of_field(store, &field, MOST_VALUES));
    Ok(Response::json(&read.await?))
}

/// An edit of a run, as the address names it.
#[derive(Debug, Clone, Copy)]
enum Edit {
    Tags,
    Note,
    Name,
    Delete,
    Undelete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagsBody {
    #[serde(default)]
    set: BTreeMap<String, String>,
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteBody {
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NameBody {
    name: Option<String>,
}

impl Edit {
    fn of(word: &str) -> Option<Edit> {
        Some(match word {
            "tags" => Edit::Tags,
            "note" => Edit::Note,
            "name" => Edit::Name,
            "delete" => Edit::Delete,
            "undelete" => Edit::Undelete,
            _ => return None,
        })
    }
}

/// Changes a run, and answers with an empty object.
async fn change(state: &State, request: &Request, run: &str, edit: Edit) -> Answer {
    let run = run.to_owned();
    let find = move |store: &Store| store.resolve(&run, Goals::default);
    match edit {
        Edit::Tags => {
            let TagsBody { set, remove } = body(request).await?;
            if let Some(key) = set.keys().find(|key| key.trim().is_empty()) {
                return Err(Refusal::invalid(format!("`{key}` cannot be the key of a tag")));
            }
            state.write(move |store: &Store| store.tag(find(store)?, &set, &remove)).await?;
        }
        Edit::Note => {
            let NoteBody { note } = body(request).await?;
            state
                .write(move |store: &Store| {
                    store.set_note(find(store)?, note.as_deref().unwrap_or(""))
                })
                .await?;
        }
        Edit::Name => {
            let NameBody { name } = body(request).await?;
            let named = move |store: &Store| {
                store.rename(find(store)?, name.as_deref().filter(|name| !name.is_empty()))
            };
            state.write(named).await?;
        }
        Edit::Delete | Edit::Undelete => {
            let lifecycle = match edit {
                Edit::Delete => Lifecycle::Deleted,
                _ => Lifecycle::Active,
            };
            let changed = move |store: &Store| store.set_lifecycle(find(store)?, lifecycle);
            state.write(changed).await?;
        }
    }
    Ok(Response::json(&serde_json::json!({})))
}

/// Reads a JSON body.
async fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Refusal> {
    let bytes = request.body().await?;
    // A list would be taken for the values of the fields in their order.
    let object: serde_json::Result<serde_json::Map<_, _>> = serde_json::from_slice(&bytes);
    object
        .and_then(|object| serde_json::from_value(object.into()))
        .map_err(|err| Refusal::invalid(format!("the body is not what is expected: {err}")))
}

fn goals(state: &State) -> Goals {
    goals_of(&state.root)
}

fn view(query: &Query) -> View {
    let texts = |key: &str| list(query, key);
    View {
        filter: query.get("filter").unwrap_or("").to_owned(),
        sort: texts("sort"),
        columns: texts("columns"),
        shape: match query.get("tree") {
            Some("1") => Shape::Tree,
            Some("0") => Shape::List,
            _ => Shape::Usual,
        },
        open: texts("open").iter().filter_map(|text| text.parse().ok().map(RunName)).collect(),
        is_deleted: query.get("deleted") == Some("1"),
    }
}

/// Splits a list at its commas.
fn list(query: &Query, key: &str) -> Vec<String> {
    let text = query.get(key).unwrap_or("");
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

/// Reads a list of numbers of runs.
fn runs(query: &Query, key: &str) -> Result<Vec<RunName>, Refusal> {
    let texts = list(query, key);
    if texts.len() > MOST_RUNS {
        return Err(Refusal::invalid(format!("at most {MOST_RUNS} runs can be read at once")));
    }
    let number = |text: &String| {
        let number = text.parse().map(RunName);
        number.map_err(|_| Error::usage(format!("`{text}` is not the number of a run")))
    };
    Ok(texts.iter().map(number).collect::<Result<_>>()?)
}

fn number(query: &Query, key: &str, usual: usize, most: usize) -> Result<usize, Refusal> {
    let Some(text) = query.get(key) else { return Ok(usual) };
    let number: Option<usize> = text.parse().ok();
    number
        .map(|number| number.min(most))
        .ok_or_else(|| Refusal::invalid(format!("`{key}` must be a number, not `{text}`")))
}
