//! The metric of a sweep and its better direction.

use std::fmt;

use crate::error::{Error, Result, did_you_mean};
use crate::filter::{Known, MetricName};
use crate::pipeline::{Goal, Goals};

/// A metric and its better direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    pub metric: String,
    pub goal: Goal,
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = match self.goal {
            Goal::Max => "max",
            Goal::Min => "min",
        };
        write!(f, "{goal}:{}", self.metric)
    }
}

/// Parses `max:METRIC`, `min:METRIC`, or a metric with a declared goal.
pub(super) fn parse(option: &str, text: &str, goals: &Goals) -> Result<Objective> {
    let (goal, metric) = match text.split_once(':') {
        Some(("max", metric)) => (Some(Goal::Max), metric),
        Some(("min", metric)) => (Some(Goal::Min), metric),
        Some((other, metric)) => {
            let error = Error::usage(format!("{option} {text}: `{other}` is not a direction"));
            let short = other.to_lowercase().chars().take(3).collect::<String>();
            return Err(match did_you_mean(&short, ["max", "min"]) {
                Some(meant) => error.hint(format!("did you mean `{meant}:{metric}`?")),
                None => error.hint("write `max:METRIC` or `min:METRIC`"),
            });
        }
        None => (goals.of(text), text),
    };
    let Some(goal) = goal else {
        let error = Error::usage(format!("{option} {text}: the direction is unknown"));
        return Err(match declared_name(metric, goals) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => error.hint(format!(
                "write `max:{metric}` or `min:{metric}`, or declare it in `[metrics]`"
            )),
        });
    };
    if metric.is_empty() {
        return Err(Error::usage(format!("{option} {text}: the metric is missing"))
            .hint("write `max:STAGE.METRIC`"));
    }
    Ok(Objective { metric: metric.to_owned(), goal })
}

/// Returns the name of a metric with a goal that `metric` may be a misspelling of.
fn declared_name(metric: &str, goals: &Goals) -> Option<String> {
    let (stage, key) = match metric.rsplit_once('.') {
        Some((stage, key)) => (format!("{stage}."), key),
        None => (String::new(), metric),
    };
    let whole = did_you_mean(metric, goals.names()).map(str::to_owned);
    whole.or_else(|| Some(format!("{stage}{}", did_you_mean(key, goals.names())?)))
}

/// Reports a metric that is neither declared nor recorded, and whose name resembles one that is:
/// the sweep would end with an error after its first trial.
///
/// # Errors
/// The name is probably a misspelling.
pub(super) fn check_name(
    option: &str,
    objective: &Objective,
    known: &Known,
    goals: &Goals,
) -> Result<()> {
    let name = objective.metric.as_str();
    let is_known = known.metrics.iter().any(|metric| metric.is_called(name));
    if is_known || goals.of(name).is_some() {
        return Ok(());
    }
    let families: Vec<String> = known.metrics.iter().map(MetricName::of_family).collect();
    let keys = known.metrics.iter().map(|metric| metric.key.as_str());
    let recorded = did_you_mean(name, families.iter().map(String::as_str).chain(keys));
    let Some(meant) = recorded.map(str::to_owned).or_else(|| declared_name(name, goals)) else {
        return Ok(());
    };
    Err(Error::usage(format!("{option} {objective}: no run has reported a metric `{name}`"))
        .hint(format!("did you mean `{meant}`? A new metric can be declared in `[metrics]`")))
}
