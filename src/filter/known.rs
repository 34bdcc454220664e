//! The names that runs have recorded, and the names that users write for them.

use std::collections::{BTreeMap, BTreeSet};

use super::attribute::Attribute;
use super::dialect::Dialect;
use super::expression::Field;
use super::fault::Fault;
use crate::error::{Error, Result, did_you_mean};
use crate::pipeline::{Goal, Goals};

/// Maximum number of names in a hint.
const MOST_LISTED: usize = 6;

/// The names of all metrics, params and tags of a run store, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub metrics: Vec<MetricName>,
    pub params: Vec<String>,
    pub tags: Vec<String>,
}

/// A metric as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricName {
    /// Empty for a metric that no stage reported.
    pub stage: String,
    pub key: String,
}

impl MetricName {
    /// Returns the full name: `evaluate@small.accuracy`.
    pub fn full(&self) -> String {
        joined(&self.stage, &self.key)
    }

    /// Returns the name by the family of the stage: `evaluate.accuracy`.
    pub fn of_family(&self) -> String {
        joined(self.stage.split('@').next().unwrap_or_default(), &self.key)
    }

    /// Reports whether `name` is a name of this metric, perhaps among others.
    pub fn is_called(&self, name: &str) -> bool {
        [self.full(), self.of_family()].iter().any(|full| full == name || is_ending(full, name))
    }
}

fn joined(stage: &str, key: &str) -> String {
    if stage.is_empty() { key.to_owned() } else { format!("{stage}.{key}") }
}

impl Known {
    /// Returns the metrics that `name` stands for: one, or one for each variant of a matrix.
    ///
    /// A name is the full name, the name by the family of a matrix, or an ending of one of them at
    /// a dot.
    ///
    /// # Errors
    /// There is no such metric, or the ending is that of several.
    pub fn metric(&self, name: &str) -> Result<Vec<MetricName>> {
        self.find_metric(name).map_err(|several| match several[..] {
            [] => {
                let (full, family): (Vec<String>, Vec<String>) =
                    self.metrics.iter().map(|metric| (metric.full(), metric.of_family())).unzip();
                let keys = self.metrics.iter().map(|metric| metric.key.as_str());
                let names = family.iter().chain(&full).map(String::as_str).chain(keys);
                unknown("metric", name, names)
            }
            _ => ambiguous("metric", name, several.iter()),
        })
    }

    /// Does the same as [`Known::metric`]; the error lists the metrics if there are several.
    fn find_metric(&self, name: &str) -> Result<Vec<MetricName>, Vec<String>> {
        let of = |is_meant: &dyn Fn(&str) -> bool, shown: fn(&MetricName) -> String| {
            let mut found: BTreeMap<String, Vec<MetricName>> = BTreeMap::new();
            for metric in self.metrics.iter().filter(|metric| is_meant(&shown(metric))) {
                found.entry(shown(metric)).or_default().push(metric.clone());
            }
            found
        };
        let is_name = |full: &str| full == name;
        let ends = |full: &str| is_ending(full, name);
        for found in [
            of(&is_name, MetricName::full),
            of(&is_name, MetricName::of_family),
            of(&ends, MetricName::of_family),
            of(&ends, MetricName::full),
        ] {
            match found.len() {
                0 => {}
                1 => return Ok(found.into_values().next().unwrap_or_default()),
                _ => return Err(found.into_keys().collect()),
            }
        }
        Err(Vec::new())
    }

    /// Returns the field that `text` names in a list of columns or an order. The prefix may be left
    /// out where no attribute has the name.
    ///
    /// # Errors
    /// No run has such a field, or the name is that of several metrics or params.
    pub fn field(&self, text: &str) -> Result<Field> {
        let field = match Field::parse(text, Dialect::Repro) {
            Ok(field) => field,
            Err(fault) => match self.without_prefix(text) {
                Some(field) => field,
                None => return Err(self.no_field(text, fault)),
            },
        };
        match &field {
            Field::Attribute(_) => {}
            Field::Metric(name) => drop(self.metric(name)?),
            Field::Param(name) => drop(self.param(name)?),
            Field::Tag(name) => drop(self.tag(name)?),
            Field::Dataset(_) => return Err(no_column(&field)),
        }
        Ok(field)
    }

    /// Returns the metric, param or tag that `name` is the name of.
    fn without_prefix(&self, name: &str) -> Option<Field> {
        let owned = || name.to_owned();
        match (self.find_metric(name), self.find_param(name)) {
            (Ok(_), _) => Some(Field::Metric(owned())),
            (Err(several), _) if !several.is_empty() => Some(Field::Metric(owned())),
            (_, Ok(_)) => Some(Field::Param(owned())),
            (_, Err(several)) if !several.is_empty() => Some(Field::Param(owned())),
            _ => self.tags.iter().any(|key| key == name).then(|| Field::Tag(owned())),
        }
    }

    /// Replaces the hint of a fault about a name without prefix by the field that it names.
    pub fn explain(&self, fault: Fault) -> Fault {
        match fault.name.as_deref().and_then(|name| self.without_prefix(name)) {
            Some(field) => fault.hint(format!("did you mean `{field}`?")),
            None => fault,
        }
    }

    fn no_field(&self, text: &str, fault: Fault) -> Error {
        let metrics: Vec<String> = self.metrics.iter().map(MetricName::of_family).collect();
        let keys = self.metrics.iter().map(|metric| &metric.key);
        let attributes = Attribute::ALL.map(Attribute::name);
        let names = attributes.into_iter().chain(
            metrics.iter().chain(&self.params).chain(&self.tags).chain(keys).map(|it| &**it),
        );
        let error = Error::usage(format!("there is no field `{text}`"));
        match did_you_mean(text, names) {
            Some(meant) => error.hint(format!("did you mean `{meant}`?")),
            None => match fault.hint {
                Some(hint) => error.hint(hint),
                None => error.because(fault.what),
            },
        }
    }

    /// Returns the goal by which one of the variants `metrics` is chosen; `None` if there is only
    /// one.
    ///
    /// # Errors
    /// There are several, and the metric has no goal.
    pub fn pick(name: &str, metrics: &[MetricName], goals: &Goals) -> Result<Option<Goal>> {
        let [first, _, ..] = metrics else { return Ok(None) };
        goals.of(&first.of_family()).map(Some).ok_or_else(|| {
            let full: Vec<String> = metrics.iter().map(MetricName::full).collect();
            let goal = format!("or declare a goal: `{} = {{ goal = \"max\" }}`", first.key);
            let error = ambiguous("metric", name, full.iter());
            let named = error.hint.clone().unwrap_or_default();
            error.hint(format!("{named}, {goal} under `[metrics]`"))
        })
    }

    /// Returns the param that `name` stands for: its key, or an ending of it at a dot.
    ///
    /// # Errors
    /// There is no such param, or the ending is that of several.
    pub fn param(&self, name: &str) -> Result<&str> {
        self.find_param(name).map_err(|several| match several[..] {
            [] => {
                let endings = self.params.iter().filter_map(|key| key.rsplit('.').next());
                let names = self.params.iter().map(String::as_str).chain(endings);
                unknown("param", name, names)
            }
            _ => ambiguous("param", name, several.into_iter()),
        })
    }

    /// Does the same as [`Known::param`]; the error lists the params if there are several.
    fn find_param(&self, name: &str) -> Result<&str, Vec<&String>> {
        if let Some(key) = self.params.iter().find(|key| *key == name) {
            return Ok(key);
        }
        let found: Vec<&String> = self.params.iter().filter(|key| is_ending(key, name)).collect();
        if let [key] = found[..] { Ok(key) } else { Err(found) }
    }

    /// Returns the tag called `name`.
    ///
    /// # Errors
    /// There is no such tag.
    pub fn tag(&self, name: &str) -> Result<&str> {
        match self.tags.iter().find(|key| *key == name) {
            Some(key) => Ok(key),
            None => Err(unknown("tag", name, self.tags.iter().map(String::as_str))),
        }
    }
}

/// Returns the error for a field that has several values in one run.
pub fn no_column(field: &Field) -> Error {
    Error::usage(format!("`{field}` is neither a column nor an order"))
        .hint(format!("a run can use several datasets: filter by `{field} = '…'`"))
}

/// Reports whether `name` is `full` without some of its first words.
fn is_ending(full: &str, name: &str) -> bool {
    full.strip_suffix(name).is_some_and(|before| before.ends_with('.'))
}

fn unknown<'n>(what: &str, name: &str, names: impl Iterator<Item = &'n str> + Clone) -> Error {
    let error = Error::usage(format!("no run has a {what} `{name}`"));
    if let Some(meant) = did_you_mean(name, names.clone()) {
        return error.hint(format!("did you mean `{meant}`?"));
    }
    let mut seen = BTreeSet::new();
    let full = names.clone().filter(|name| seen.insert(*name));
    let listed: Vec<&str> = full.take(MOST_LISTED + 1).collect();
    match &listed[..] {
        [] => error.hint(format!("no run has any {what}")),
        [shown @ .., _] if shown.len() == MOST_LISTED => {
            error.hint(format!("the {what}s are {}, …", shown.join(", ")))
        }
        shown => error.hint(format!("the {what}s are {}", shown.join(", "))),
    }
}

fn ambiguous<'n>(what: &str, name: &str, found: impl Iterator<Item = &'n String>) -> Error {
    let found: Vec<&str> = found.map(String::as_str).collect();
    let more = if found.len() > MOST_LISTED { ", …" } else { "" };
    let listed = found[..found.len().min(MOST_LISTED)].join(", ");
    Error::usage(format!("`{name}` is the name of several {what}s"))
        .hint(format!("name one of {listed}{more}"))
}
