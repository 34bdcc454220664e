//! The columns of a table of runs, as users choose them.

use crate::error::{Error, Result};
use crate::filter::{Attribute, Direction, Field, Known, MetricName, Order, no_column};
use crate::pipeline::{Goal, Goals};
use crate::runs::cells::Source;

/// A column of a table of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Key in JSON and heading in CSV: `metrics.evaluate.accuracy`.
    pub name: String,
    pub shows: Shows,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    One(Source),
    /// The best value of a metric among the variants of a matrix.
    Best(Vec<MetricName>, Goal),
    /// The stage that has the best value. The column before is [`Shows::Best`].
    BestStage,
}

impl Column {
    pub fn attribute(attribute: Attribute) -> Column {
        Column {
            name: attribute.name().to_owned(),
            shows: Shows::One(Source::Attribute(attribute)),
        }
    }

    /// Returns the heading in a table for people: the name without its prefix.
    pub fn heading(&self) -> &str {
        match &self.shows {
            Shows::BestStage => "stage",
            _ => ["metrics.", "params.", "tags."]
                .iter()
                .find_map(|prefix| self.name.strip_prefix(prefix))
                .unwrap_or(&self.name),
        }
    }
}

/// Returns the columns that `texts` choose, each once. A text is the name of a field, or a glob
/// after a prefix: `metrics.evaluate.*`.
///
/// # Errors
/// No run has such a field, or there is no column at all.
pub fn columns(texts: &[String], known: &Known, goals: &Goals) -> Result<Vec<Column>> {
    let mut columns: Vec<Column> = Vec::new();
    for text in texts {
        let text = text.trim();
        let found = match text.split_once('.') {
            Some((prefix, glob)) if is_glob(text) => matching(prefix, glob, known, goals)?,
            _ if is_glob(text) => {
                return Err(Error::usage(format!("`{text}` lacks a prefix"))
                    .hint(format!("write `metrics.{text}`, `params.{text}` or `tags.{text}`")));
            }
            _ => of_field(&known.field(text)?, known, goals)?,
        };
        for column in found {
            if !columns.contains(&column) || column.shows == Shows::BestStage {
                columns.push(column);
            }
        }
    }
    if columns.is_empty() && !texts.is_empty() {
        return Err(Error::usage(format!("no field matches `{}`", texts.join(",")))
            .hint("`metrics.*`, `params.*` and `tags.*` match all of them"));
    }
    // A column with the best stage belongs to the one before it.
    columns.dedup();
    Ok(columns)
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

fn of_field(field: &Field, known: &Known, goals: &Goals) -> Result<Vec<Column>> {
    Ok(match field {
        Field::Attribute(attribute) => vec![Column::attribute(*attribute)],
        Field::Metric(name) => metric(known.metric(name)?, goals),
        Field::Param(name) => vec![param(known.param(name)?)],
        Field::Tag(name) => vec![tag(known.tag(name)?)],
        Field::Dataset(_) => return Err(no_column(field)),
    })
}

/// Returns the columns of the variants of a metric: the best one and its stage, or without a goal
/// one column each.
fn metric(variants: Vec<MetricName>, goals: &Goals) -> Vec<Column> {
    let of_family = variants.first().map(MetricName::of_family).unwrap_or_default();
    match goals.of(&of_family) {
        Some(goal) if variants.len() > 1 => {
            let name = format!("metrics.{of_family}");
            let stage = format!("{name}.stage");
            vec![
                Column { name, shows: Shows::Best(variants, goal) },
                Column { name: stage, shows: Shows::BestStage },
            ]
        }
        _ => variants
            .into_iter()
            .map(|metric| Column {
                name: format!("metrics.{}", metric.full()),
                shows: Shows::One(Source::Metric(metric)),
            })
            .collect(),
    }
}

fn param(key: &str) -> Column {
    Column { name: format!("params.{key}"), shows: Shows::One(Source::Param(key.to_owned())) }
}

fn tag(key: &str) -> Column {
    Column { name: format!("tags.{key}"), shows: Shows::One(Source::Tag(key.to_owned())) }
}

fn matching(prefix: &str, glob: &str, known: &Known, goals: &Goals) -> Result<Vec<Column>> {
    // A slash is a character like any other here.
    let plain = |text: &str| text.replace('/', "\u{1}");
    let glob = plain(glob);
    let is_match = |name: &str| fast_glob::glob_match(&glob, plain(name));
    Ok(match prefix {
        "metrics" | "metric" => {
            let mut columns = Vec::new();
            let mut families: Vec<String> = Vec::new();
            for one in &known.metrics {
                let of_family = one.of_family();
                if families.contains(&of_family) {
                    continue;
                }
                if is_match(&of_family) {
                    let is_variant = |other: &&MetricName| other.of_family() == of_family;
                    let variants = known.metrics.iter().filter(is_variant).cloned().collect();
                    columns.extend(metric(variants, goals));
                    families.push(of_family);
                } else if is_match(&one.full()) {
                    columns.extend(metric(vec![one.clone()], goals));
                }
            }
            columns
        }
        "params" | "param" => {
            known.params.iter().filter(|key| is_match(key)).map(|key| param(key)).collect()
        }
        "tags" | "tag" => {
            known.tags.iter().filter(|key| is_match(key)).map(|key| tag(key)).collect()
        }
        _ => {
            return Err(Error::usage(format!("there is no prefix `{prefix}`"))
                .hint("the prefixes are metrics, params and tags"));
        }
    })
}

/// Parses an order. Without a direction, the best, newest and longest come first, and texts are
/// sorted from A to Z.
///
/// # Errors
/// No run has such a field.
pub fn order(text: &str, known: &Known, goals: &Goals) -> Result<Order> {
    let (name, given) = Order::split(text);
    if let Some((name, word)) = name.rsplit_once(' ')
        && ["asc", "desc"].iter().any(|it| word.eq_ignore_ascii_case(it))
    {
        let (name, word) = (name.trim_end(), word.to_lowercase());
        return Err(Error::usage(format!("there is no field `{text}`"))
            .hint(format!("write the direction after a colon: `{name}:{word}`")));
    }
    let field = known.field(name)?;
    let usual = match &field {
        Field::Metric(name) => {
            let full = known.metric(name)?.first().map(|metric| metric.of_family());
            match full.and_then(|full| goals.of(&full)) {
                Some(Goal::Min) => Direction::Ascending,
                Some(Goal::Max) | None => Direction::Descending,
            }
        }
        Field::Attribute(
            Attribute::Run | Attribute::Started | Attribute::Ended | Attribute::Took,
        ) => Direction::Descending,
        _ => Direction::Ascending,
    };
    Ok(Order { field, direction: given.unwrap_or(usual) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(texts: &[&str]) -> String {
        let metric = |(stage, key): (&str, &str)| MetricName {
            stage: stage.to_owned(),
            key: key.to_owned(),
        };
        let known = Known {
            metrics: [
                ("evaluate@a", "accuracy"),
                ("evaluate@a", "clips"),
                ("evaluate@b", "accuracy"),
                ("evaluate@b", "clips"),
                ("train", "val/loss"),
            ]
            .map(metric)
            .into(),
            params: ["model", "train.epochs", "train.rate"].map(str::to_owned).into(),
            tags: vec!["team".to_owned()],
        };
        let mut goals = Goals::default();
        goals.insert("accuracy".to_owned(), Goal::Max);
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        match columns(&texts, &known, &goals) {
            Ok(columns) => {
                let names: Vec<String> = columns.into_iter().map(|column| column.name).collect();
                names.join(" ")
            }
            Err(error) => format!("{}; {}", error.what, error.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn chosen_columns() {
        for (texts, expected) in [
            (&["run", "status", "run"][..], "run status"),
            (&["epochs", "params.model"], "params.train.epochs params.model"),
            (&["accuracy"], "metrics.evaluate.accuracy metrics.evaluate.accuracy.stage"),
            (&["metrics.evaluate@b.accuracy"], "metrics.evaluate@b.accuracy"),
            (&["clips"], "metrics.evaluate@a.clips metrics.evaluate@b.clips"),
            (
                &["metrics.*"],
                "metrics.evaluate.accuracy metrics.evaluate.accuracy.stage \
                 metrics.evaluate@a.clips metrics.evaluate@b.clips metrics.train.val/loss",
            ),
            (&["metrics.*@b.*"], "metrics.evaluate@b.accuracy metrics.evaluate@b.clips"),
            (&["params.train.*", "tags.t*"], "params.train.epochs params.train.rate tags.team"),
            (&["team"], "tags.team"),
            (&["run", "params.none*"], "run"),
            (
                &["params.none*"],
                "no field matches `params.none*`; `metrics.*`, `params.*` and `tags.*` match all \
                 of them",
            ),
            (&["*"], "`*` lacks a prefix; write `metrics.*`, `params.*` or `tags.*`"),
            (&["x.*"], "there is no prefix `x`; the prefixes are metrics, params and tags"),
            (&["acuracy"], "there is no field `acuracy`; did you mean `accuracy`?"),
            (&["stauts"], "there is no field `stauts`; did you mean `status`?"),
            (&["tags.tema"], "no run has a tag `tema`; did you mean `team`?"),
        ] {
            assert_eq!(chosen(texts), expected, "{texts:?}");
        }
    }
}
