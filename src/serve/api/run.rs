//! One run: everything recorded about it, its series, logs and files.

use std::path::PathBuf;

use hyper::Method;

use super::content::{self, Opened};
use crate::engine::project::goals;
use crate::error::{Error, Result, did_you_mean};
use crate::event::RunName;
use crate::pipeline::StageName;
use crate::report::contents::ArtifactsReport;
use crate::report::curve::{Axis, Cursor, CurveReport, Window};
use crate::report::log::{LogMatches, LogReport};
use crate::report::run_page::RunPageReport;
use crate::runs::log::Log;
use crate::runs::{Series, Store, run_dir};
use crate::serve::http::{Answer, Query, Refusal, Request, Response};
use crate::serve::state::State;

/// Width for which a series is decimated if the request names none.
const USUAL_WIDTH: usize = 1000;
/// Number of lines of a log in an answer, if the request names none, and at most.
const LINES: (usize, usize) = (500, 5000);

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    if request.method != Method::GET {
        return None;
    }
    let query = &request.query;
    match &request.segments()[..] {
        ["api", "runs", run] => Some(page(state, run).await),
        ["api", "runs", run, "series"] => Some(series(state, run, query).await),
        ["api", "runs", run, "logs", stage] => Some(log(state, run, stage, query).await),
        ["api", "runs", run, "artifacts"] => Some(artifacts(state, run).await),
        ["api", "runs", run, "files", path @ ..] => Some(file(state, run, path, request).await),
        _ => None,
    }
}

/// Finds a run by any of its names, as the command line does.
async fn find(state: &State, run: &str) -> Result<RunName> {
    let (root, run) = (state.root.clone(), run.to_owned());
    state.read(move |store| store.resolve(&run, || goals(&root))).await
}

async fn page(state: &State, run: &str) -> Answer {
    let run = find(state, run).await?;
    let (root, history) = (state.root.clone(), state.history.clone());
    let read = move |store: &Store| RunPageReport::read(store, &history, run, &goals(&root));
    Ok(Response::json(&state.read(read).await?))
}

async fn series(state: &State, run: &str, query: &Query) -> Answer {
    let run = find(state, run).await?;
    let (stage, key) = (text(query, "stage"), text(query, "key"));
    let window = Window {
        axis: query.get("axis").map_or(Ok(Axis::Step), Axis::parse)?,
        from: number(query, "from")?,
        to: number(query, "to")?,
        width: match query.get("width") {
            Some("all") => None,
            _ => Some(number(query, "width")?.unwrap_or(USUAL_WIDTH)),
        },
    };
    let cursor = query.get("after").map(Cursor::parse).transpose()?;
    let read = move |store: &Store| {
        let series = named(store.series(run)?, run, &stage, &key)?;
        match cursor {
            Some(cursor) => CurveReport::since(store, run, &series, window, cursor),
            None => CurveReport::read(store, run, &series, window),
        }
    };
    Ok(Response::json(&state.read(read).await?))
}

fn named(all: Vec<Series>, run: RunName, stage: &str, key: &str) -> Result<Series> {
    let of_stage: Vec<Series> =
        all.into_iter().filter(|series| series.stage.as_str() == stage).collect();
    match of_stage.iter().position(|series| series.key == key) {
        Some(at) => Ok(of_stage.into_iter().nth(at).unwrap_or_else(|| panic!("BUG: no series"))),
        None => {
            let error = Error::missing(format!("stage `{stage}` of {run} has no series `{key}`"));
            let meant = did_you_mean(key, of_stage.iter().map(|series| &*series.key));
            Err(match meant {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error,
            })
        }
    }
}

async fn log(state: &State, run: &str, stage: &str, query: &Query) -> Answer {
    let run = find(state, run).await?;
    let missing = || Error::missing(format!("stage `{stage}` has no log in {run}"));
    let name = StageName::parse(stage).ok_or_else(missing)?;
    let wanted = Wanted::of(query)?;
    let history = state.history.clone();
    let read = move || -> Result<Option<Response>> {
        let log = Log::open(&history, run, &name)?;
        log.map(|log| wanted.read(log)).transpose()
    };
    state.work(read).await?.ok_or_else(|| missing().into())
}

/// The part of a log that a request asks for.
enum Wanted {
    /// From this line on; negative numbers count from the end.
    Lines {
        from: i64,
        count: usize,
    },
    /// After this byte, at which a line ends.
    After {
        byte: u64,
        count: usize,
    },
    Matches {
        text: String,
        count: usize,
    },
}

impl Wanted {
    fn of(query: &Query) -> Result<Wanted, Refusal> {
        let (usual, most) = LINES;
        let count = number(query, "count")?.unwrap_or(usual).min(most);
        if let Some(text) = query.get("find") {
            return Ok(Wanted::Matches { text: text.to_owned(), count });
        }
        Ok(match number(query, "after")? {
            Some(byte) => Wanted::After { byte, count },
            None => Wanted::Lines { from: number(query, "from")?.unwrap_or(1), count },
        })
    }

    fn read(self, mut log: Log<std::fs::File>) -> Result<Response> {
        let size = log.size();
        let (from, count) = match self {
            Wanted::Matches { text, count } => {
                return Ok(Response::json(&LogMatches::from(log.find(&text, count)?)));
            }
            Wanted::After { byte, count } => match log.after(byte, count)? {
                Some(lines) => return Ok(Response::json(&LogReport::new(&lines, None, size))),
                // Another log than before.
                None => (1, count),
            },
            Wanted::Lines { from, count } => (from, count),
        };
        let index = log.index()?;
        let total = index.total();
        let first = match u64::try_from(from) {
            Ok(from) => from,
            Err(_) => (total + 1).saturating_sub(from.unsigned_abs()),
        };
        let lines = log.lines(&index, first, count)?;
        Ok(Response::json(&LogReport::new(&lines, Some(total), size)))
    }
}

async fn artifacts(state: &State, run: &str) -> Answer {
    let run = find(state, run).await?;
    let (root, history) = (state.root.clone(), state.history.clone());
    let read = move |store: &Store| {
        let cache = crate::engine::open_cache(&root)?;
        ArtifactsReport::read(store, &cache, &history, run)
    };
    Ok(Response::json(&state.read(read).await?))
}

/// Answers with a file of the folder of a run.
async fn file(state: &State, run: &str, path: &[&str], request: &Request) -> Answer {
    let run = find(state, run).await?;
    let folder: PathBuf = run_dir(&state.history, run);
    let parts: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
    let shown = parts.join("/");
    let open = move || content::open_below(&folder, &parts);
    let file = state.work(open).await?;
    let file = file.ok_or_else(|| Refusal::missing(format!("{run} has no file `{shown}`")))?;
    content::answer(state, Opened { file, name: shown, digest: None }, request).await
}

fn text(query: &Query, key: &str) -> String {
    query.get(key).unwrap_or_default().to_owned()
}

/// Reads a whole number of the query.
fn number<T: std::str::FromStr>(query: &Query, key: &str) -> Result<Option<T>, Refusal> {
    let parse = |text: &str| {
        let invalid = || Refusal::invalid(format!("`{key}={text}` is not a valid whole number"));
        text.parse().map_err(|_| invalid())
    };
    query.get(key).filter(|text| !text.is_empty()).map(parse).transpose()
}
