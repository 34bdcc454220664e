//! Filters of runs: text to a typed expression, and the names that it uses to what was recorded.
//!
//! The reference is the grammar of MLflow's `runs/search`: comparisons that are joined by `and`.
//!
//! ```text
//! metrics.evaluate.accuracy > 0.7 and params.model = 'small' and status = 'ok'
//! ```
//!
//! # Grammar
//!
//! ```text
//! filter     := "" | comparison ("and" comparison)*
//! comparison := field OP value | field ["I"]"LIKE" text | field ["NOT"] "IN" "(" value, … ")"
//!             | field "IS" ["NOT"] "NULL"
//! field      := [prefix "."] name          only the first dot separates
//! name       := letters, digits, `_`, `.`, or in quotes: `…`, "…" or '…'
//! value      := number | '…' | "…"         nothing is escaped in quotes
//! ```
//!
//! # Meaning
//!
//! - A comparison with a metric, param or tag that a run does not have is false, also with `!=`.
//! - NaN differs from every number, and no other comparison with it is true.
//! - Metrics and times are compared as numbers. A param is compared as a number if the value is a
//!   number, else as text: a string as it is, anything else as JSON.
//! - `LIKE` is case-sensitive, `ILIKE` is not; `%` stands for any text, `_` for any character.
//!
//! Experiments and logged models have attributes of their own and a subset of the grammar: the type
//! parameter of [`Filter`] tells them apart.
//!
//! [`Dialect`] has what this program adds to MLflow's grammar, as data. Pure: does not know about
//! the database.

mod attribute;
mod dialect;
mod experiment;
mod expression;
mod fault;
mod known;
mod lexer;
mod model;
mod order;
mod parser;
mod registered;
mod subject;
#[cfg(test)]
mod tests;
mod value;

pub use attribute::Attribute;
pub use dialect::Dialect;
pub use experiment::ExperimentAttribute;
pub use expression::{Case, Comparison, DatasetField, Field, Filter, Op, Test, Value};
pub use fault::Fault;
pub use known::{Known, MetricName, no_column};
pub use model::ModelAttribute;
pub use order::{Direction, Order};
pub use registered::{RegisteredAttribute, VersionAttribute};
pub use subject::Subject;
pub use value::STATUSES;
