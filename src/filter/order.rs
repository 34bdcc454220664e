//! The order of a list of runs.

use super::attribute::Attribute;
use super::dialect::Dialect;
use super::experiment::ExperimentAttribute;
use super::expression::Field;
use super::fault::Fault;
use super::model::ModelAttribute;
use super::parser;
use super::registered::{RegisteredAttribute, VersionAttribute};
use super::subject::{Subject, find};

/// A field to sort by. Runs without it come last in both directions, after NaN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order<A = Attribute> {
    pub field: Field<A>,
    pub direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

impl Order {
    /// Splits `KEY:asc` or `KEY:desc` into the key and the direction, which may be missing.
    pub fn split(text: &str) -> (&str, Option<Direction>) {
        match text.rsplit_once(':') {
            Some((key, "asc")) => (key, Some(Direction::Ascending)),
            Some((key, "desc")) => (key, Some(Direction::Descending)),
            _ => (text, None),
        }
    }

    /// Parses an entry of MLflow's `order_by` for runs: `KEY`, `KEY ASC` or `KEY DESC`, in any
    /// case.
    ///
    /// # Errors
    /// The key is not the name of a field.
    pub fn parse_mlflow(text: &str) -> Result<Order, Fault> {
        parse(text, Dialect::Mlflow)
    }
}

impl Order<ExperimentAttribute> {
    /// Parses an entry of MLflow's `order_by` for experiments.
    ///
    /// # Errors
    /// The key is not the name of a field.
    pub fn parse_experiments(text: &str) -> Result<Order<ExperimentAttribute>, Fault> {
        parse(text, Dialect::Experiments)
    }
}

impl Order<RegisteredAttribute> {
    /// Parses an entry of MLflow's `order_by` for registered models.
    ///
    /// # Errors
    /// The key is not the name of a field.
    pub fn parse_registered(text: &str) -> Result<Order<RegisteredAttribute>, Fault> {
        parse(text, Dialect::Registry)
    }
}

impl Order<VersionAttribute> {
    /// Parses an entry of MLflow's `order_by` for versions of registered models.
    ///
    /// # Errors
    /// The key is not the name of a field.
    pub fn parse_versions(text: &str) -> Result<Order<VersionAttribute>, Fault> {
        parse(text, Dialect::Registry)
    }
}

impl Field<ModelAttribute> {
    /// Parses the field of an order of logged models: an attribute, or `metrics.` and a key as it
    /// is.
    ///
    /// # Errors
    /// The attribute does not exist.
    pub fn parse_model_order(text: &str) -> Result<Field<ModelAttribute>, Fault> {
        match text.split_once('.') {
            Some(("metrics", key)) => Ok(Field::Metric(key.to_owned())),
            Some(_) => Err(Fault::new(0, format!("logged models are not ordered by `{text}`"))
                .hint("write an attribute or `metrics.KEY`")),
            None => find(text, Dialect::Models).map(Field::Attribute).map_err(|hint| {
                Fault::new(0, format!("there is no attribute `{text}`")).hint(hint)
            }),
        }
    }
}

fn parse<A: Subject>(text: &str, dialect: Dialect) -> Result<Order<A>, Fault> {
    let text = text.trim_end();
    let (key, direction) = match text.rsplit_once(char::is_whitespace) {
        Some((key, word)) if word.eq_ignore_ascii_case("asc") => (key, Direction::Ascending),
        Some((key, word)) if word.eq_ignore_ascii_case("desc") => (key, Direction::Descending),
        _ => (text, Direction::Ascending),
    };
    let field = parser::field(key, dialect)?;
    if let Field::Dataset(_) = field {
        return Err(Fault::new(0, "datasets have no order, since a run can use several"));
    }
    Ok(Order { field, direction })
}

impl Field {
    /// Parses the name of a field, such as `metrics.evaluate.accuracy` or `status`.
    ///
    /// # Errors
    /// The text is not the name of a field.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Field, Fault> {
        parser::field(text, dialect)
    }
}
