//! The names of fields and their values, for choosing columns and completing filters.

use serde::Serialize;

use crate::error::Result;
use crate::filter::{Attribute, Field, Known};
use crate::pipeline::{Goal, Goals};
use crate::runs::Store;
use crate::runs::columns::Keyed;

/// The names of everything that runs have recorded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldNames {
    pub attributes: Vec<&'static str>,
    pub metrics: Vec<NamedMetric>,
    pub params: Vec<String>,
    pub tags: Vec<String>,
    /// Numbers that clients use for experiments, and their names.
    pub experiments: Vec<(i64, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedMetric {
    pub name: String,
    pub goal: Option<Goal>,
}

impl FieldNames {
    /// # Errors
    /// The store cannot be read.
    pub fn read(store: &Store, goals: &Goals) -> Result<FieldNames> {
        Ok(FieldNames::new(store.known()?, store.names_of_experiments()?, goals))
    }

    fn new(known: Known, experiments: Vec<(i64, String)>, goals: &Goals) -> FieldNames {
        let mut metrics: Vec<NamedMetric> = Vec::new();
        for metric in &known.metrics {
            let family = metric.of_family();
            let goal = goals.of(&family);
            let full = metric.full();
            for name in if goal.is_some() { vec![family, full] } else { vec![full] } {
                if !metrics.iter().rev().any(|other| other.name == name) {
                    metrics.push(NamedMetric { name, goal });
                }
            }
        }
        let attributes = Attribute::ALL.map(Attribute::name).into();
        FieldNames { attributes, metrics, params: known.params, tags: known.tags, experiments }
    }
}

/// Returns at most `limit` values that runs have for a field, as a filter writes them; none for a
/// metric.
///
/// # Errors
/// No run has such a field; the store cannot be read.
pub fn values_of_field(store: &Store, name: &str, limit: usize) -> Result<Vec<String>> {
    let known = store.known()?;
    Ok(match known.field(name)? {
        Field::Metric(_) | Field::Dataset(_) => Vec::new(),
        Field::Attribute(
            Attribute::Run | Attribute::Started | Attribute::Ended | Attribute::Took,
        ) => Vec::new(),
        Field::Attribute(attribute) => {
            let texts = store.texts_of_attribute(attribute, limit)?;
            texts.iter().filter_map(|text| quoted(text)).collect()
        }
        Field::Param(name) => {
            let values = store.values_of_key(Keyed::Params, known.param(&name)?, limit)?;
            values.iter().filter_map(|value| of_param(value)).collect()
        }
        Field::Tag(name) => {
            let values = store.values_of_key(Keyed::Tags, known.tag(&name)?, limit)?;
            values.iter().filter_map(|value| quoted(value)).collect()
        }
    })
}

/// Writes a param, which is JSON, as a filter does: numbers as they are, and texts in quotes.
fn of_param(json: &str) -> Option<String> {
    match serde_json::from_str(json).ok()? {
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::String(text) => quoted(&text),
        _ => quoted(json),
    }
}

/// Returns a text in quotes; `None` if it contains both kinds of quotes.
fn quoted(text: &str) -> Option<String> {
    let quote = ['\'', '"'].into_iter().find(|quote| !text.contains(*quote))?;
    Some(format!("{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::MetricName;

    #[test]
    fn values_as_filters_write_them() {
        for (json, written) in [
            ("1e-3", Some("0.001")),
            ("10", Some("10")),
            ("\"small\"", Some("'small'")),
            ("\"it's\"", Some("\"it's\"")),
            ("\"'\\\"\"", None),
            ("true", Some("'true'")),
            ("[\"x\"]", Some("'[\"x\"]'")),
            ("nothing", None),
        ] {
            assert_eq!(of_param(json).as_deref(), written, "{json}");
        }
    }

    #[test]
    fn metrics_by_family_and_variant() {
        let metric = |stage: &str| MetricName { stage: stage.to_owned(), key: "acc".to_owned() };
        let known = Known { metrics: vec![metric("a@x"), metric("a@y")], ..Known::default() };
        let names = |goals: &Goals| {
            let names = FieldNames::new(known.clone(), Vec::new(), goals).metrics.into_iter();
            names.map(|metric| metric.name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&Goals::default()), "a@x.acc a@y.acc");
        let mut goals = Goals::default();
        goals.insert("acc".to_owned(), Goal::Max);
        assert_eq!(names(&goals), "a.acc a@x.acc a@y.acc");
    }
}
