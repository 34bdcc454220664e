//! The order of a list of runs.

use super::dialect::Dialect;
use super::expression::Field;
use super::fault::Fault;
use super::parser;

/// A field to sort by. Runs without it come last in both directions, after NaN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub field: Field,
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

    /// Parses an entry of MLflow's `order_by`: `KEY`, `KEY ASC` or `KEY DESC`, in any case.
    ///
    /// # Errors
    /// The key is not the name of a field.
    pub fn parse_mlflow(text: &str) -> Result<Order, Fault> {
        let text = text.trim_end();
        let (key, direction) = match text.rsplit_once(char::is_whitespace) {
            Some((key, word)) if word.eq_ignore_ascii_case("asc") => (key, Direction::Ascending),
            Some((key, word)) if word.eq_ignore_ascii_case("desc") => (key, Direction::Descending),
            _ => (text, Direction::Ascending),
        };
        Ok(Order { field: parser::field(key, Dialect::Mlflow)?, direction })
    }
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
