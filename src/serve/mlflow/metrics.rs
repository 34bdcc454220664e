//! Histories of metrics, whole, by pages and sampled.

use serde::Serialize;
use serde_json::Value;

use super::entity::double;
use super::error::{invalid, missing};
use super::target::Target;
use super::wire::Message;
use crate::runs::Store;
use crate::runs::tracking::{HistoryPoint, Place};
use crate::serve::http::{Answer, Refusal, Request, Response};
use crate::serve::state::State;

/// Maximum number of runs in one request.
const MOST_RUNS: usize = 100;
/// Maximum number of points of several runs.
const MOST_IN_BULK: usize = 25_000;
/// Maximum number of sampled points of a run.
const MOST_SAMPLED: i64 = 2_500;

/// Answers requests below `metrics`.
pub(super) async fn route(state: &State, request: &Request, action: &str) -> Option<Answer> {
    Some(match action {
        "get-history" => history(state, request).await,
        "get-history-bulk" => bulk(state, request).await,
        "get-history-bulk-interval" => interval(state, request).await,
        _ => return None,
    })
}

#[derive(Debug, Default, Serialize)]
struct Points<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<PointJson<'v>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Debug, Serialize)]
struct PointJson<'v> {
    key: &'v str,
    #[serde(serialize_with = "double")]
    value: f64,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'v str>,
}

impl<'v> PointJson<'v> {
    fn new(key: &'v str, point: &HistoryPoint, run_id: Option<&'v str>) -> PointJson<'v> {
        let HistoryPoint { value, at: timestamp, step, .. } = *point;
        PointJson { key, value, timestamp, step, run_id }
    }
}

async fn history(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let target = Target::of(request, message.run_id()?)?;
    let key = message.required("metric_key")?.to_owned();
    let limit = match message.int("max_results")? {
        None => usize::MAX - 1,
        Some(limit) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| invalid("max_results", &Value::from(limit), "It must be at least 1."))?,
    };
    let after = message.owned("page_token")?.map(|token| place(&token)).transpose()?;
    state
        .read(move |store| {
            let run = target.find(store)?;
            let name = target.stage.name_of(&key);
            // One more shows that there is another page.
            let mut points = store.history(run, &name, after, limit + 1)?;
            let is_more = points.len() > limit;
            points.truncate(limit);
            let next = points.last().filter(|_| is_more).map(|last| token(last.place()));
            let metrics = points.iter().map(|point| PointJson::new(&key, point, None)).collect();
            Ok::<_, Refusal>(Response::json(&Points { metrics, next_page_token: next }))
        })
        .await
}

/// Returns a place as a token. A value is written by its bits, so that it is exact.
fn token(Place { at, step, value, nth }: Place) -> String {
    format!("{at}_{step}_{:x}_{nth}", value.to_bits())
}

/// Parses a token.
fn place(token: &str) -> Result<Place, Refusal> {
    let parse = || {
        let mut parts = token.split('_');
        let mut next = || parts.next();
        let place = Place {
            at: next()?.parse().ok()?,
            step: next()?.parse().ok()?,
            value: f64::from_bits(u64::from_str_radix(next()?, 16).ok()?),
            nth: next()?.parse().ok()?,
        };
        (next().is_none() && !place.value.is_nan()).then_some(place)
    };
    parse().ok_or_else(|| invalid("page_token", &Value::from(token), "It is not a token."))
}

async fn bulk(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let mut ids = message.texts("run_id")?;
    ids.sort_unstable();
    let refused = |what: String| Refusal::invalid(format!("GetMetricHistoryBulk request {what}"));
    match ids.len() {
        0 => return Err(refused("must specify at least one run_id.".into())),
        1..=MOST_RUNS => {}
        count => {
            let most = format!("cannot specify more than {MOST_RUNS} run_ids.");
            return Err(refused(format!("{most} Received {count} run_ids.")));
        }
    }
    let runs = targets(request, &ids)?;
    let key = message.owned("metric_key")?;
    let key = key.ok_or_else(|| refused("must specify a metric_key.".into()))?;
    let limit = message.int("max_results")?.unwrap_or(i64::MAX);
    let limit = usize::try_from(limit).unwrap_or(0).min(MOST_IN_BULK);
    state
        .read(move |store| {
            let mut answer = Points::default();
            for (id, target) in &runs {
                let (run, name) = (target.find(store)?, target.stage.name_of(&key));
                let left = limit - answer.metrics.len();
                let points = store.history(run, &name, None, left)?;
                answer.metrics.extend(points.iter().map(|one| PointJson::new(&key, one, Some(id))));
            }
            Ok::<_, Refusal>(Response::json(&answer))
        })
        .await
}

async fn interval(state: &State, request: &Request) -> Answer {
    let message = Message::of(request).await?;
    let ids = message.texts("run_ids")?;
    match ids.len() {
        0 => return Err(missing("run_ids")),
        1..=MOST_RUNS => {}
        count => {
            return Err(Refusal::invalid(format!(
                "GetMetricHistoryBulkInterval request must specify at most {MOST_RUNS} run_ids. \
                 Received {count} run_ids."
            )));
        }
    }
    let runs = targets(request, &ids)?;
    let key = message.required("metric_key")?.to_owned();
    let limit = message.int("max_results")?.unwrap_or(MOST_SAMPLED);
    if !(1..=MOST_SAMPLED).contains(&limit) {
        let message = format!("max_results must be between 1 and {MOST_SAMPLED}.");
        return Err(Refusal::invalid(message));
    }
    let steps = match (message.int("start_step")?, message.int("end_step")?) {
        (None, None) => (i64::MIN, i64::MAX),
        (Some(start), Some(end)) if start <= end => (start, end),
        (Some(start), Some(end)) => {
            return Err(Refusal::invalid(format!(
                "end_step must be greater than start_step. Found start_step={start} and \
                 end_step={end}."
            )));
        }
        _ => {
            return Err(Refusal::invalid(
                "If either start step or end step are specified, both must be specified.",
            ));
        }
    };
    let sampled = move |store: &Store| {
        let mut answer = Points::default();
        for (id, target) in &runs {
            let (run, name) = (target.find(store)?, target.stage.name_of(&key));
            let limit = usize::try_from(limit).unwrap_or(1);
            let points = store.sampled_history(run, &name, steps, limit)?;
            answer.metrics.extend(points.iter().map(|one| PointJson::new(&key, one, Some(id))));
        }
        Ok::<_, Refusal>(Response::json(&answer))
    };
    state.read(sampled).await
}

/// Reads the runs of a request.
fn targets(request: &Request, ids: &[&str]) -> Result<Vec<(String, Target)>, Refusal> {
    ids.iter().map(|id| Ok(((*id).to_owned(), Target::of(request, id)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn tokens_are_read_back(at: i64, step: i64, value: f64, nth: i64, text in ".*") {
            let value = if value.is_nan() { 0.0 } else { value };
            let one = Place { at, step, value, nth };
            proptest::prop_assert_eq!(place(&token(one)), Ok(one));
            let _ = place(&text);
        }
    }

    #[test]
    fn wrong_tokens() {
        for text in ["", "1", "1_2_3", "1_2_3_4_5", "1_2_g_4", "1_2_7ff8000000000000_4"] {
            assert_eq!(place(text).unwrap_err().status, 400, "{text}");
        }
    }
}
