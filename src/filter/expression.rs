//! A filter as a value, and its canonical text.

use std::fmt;
use std::time::Duration;

use super::attribute::Attribute;
use super::subject::{Subject, entry_of};

/// Comparisons that must all be true. An empty filter is true of everything.
///
/// `A` are the attributes of what is filtered: runs, unless stated otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter<A = Attribute> {
    pub comparisons: Vec<Comparison<A>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Comparison<A = Attribute> {
    pub field: Field<A>,
    pub test: Test,
}

/// A property of a run, as the filter names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field<A = Attribute> {
    Attribute(A),
    /// `evaluate.accuracy`, or an ending of it.
    Metric(String),
    /// `train.epochs`, or an ending of it.
    Param(String),
    Tag(String),
    /// A property of one of the datasets that a run used.
    Dataset(DatasetField),
}

/// A property of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetField {
    Name,
    Digest,
    /// Its purpose in the run, such as `training`.
    Context,
}

impl DatasetField {
    pub(super) const ALL: [DatasetField; 3] =
        [DatasetField::Name, DatasetField::Digest, DatasetField::Context];

    pub fn name(self) -> &'static str {
        match self {
            DatasetField::Name => "name",
            DatasetField::Digest => "digest",
            DatasetField::Context => "context",
        }
    }
}

impl<A> Default for Filter<A> {
    fn default() -> Filter<A> {
        Filter { comparisons: Vec::new() }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    Compare(Op, Value),
    Like(Case, String),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Null,
    NotNull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Treatment of upper and lower case by a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// `LIKE`
    Sensitive,
    /// `ILIKE`
    Ignored,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Finite if it was parsed. Times are milliseconds since 1970 UTC.
    Number(f64),
    Text(String),
    /// A day, or a day and a time, in the local time zone: `2026-05-09 14:03`.
    Time(String),
    Duration(Duration),
}

impl Op {
    pub const ALL: [Op; 6] = [Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];

    pub fn symbol(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }
}

impl<A: Subject> fmt::Display for Filter<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, &self.comparisons, " and ")
    }
}

impl<A: Subject> fmt::Display for Comparison<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.test)
    }
}

impl<A: Subject> fmt::Display for Field<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (prefix, key) = match self {
            Field::Attribute(attribute) => return f.write_str(entry_of(*attribute).name()),
            Field::Dataset(field) => return write!(f, "datasets.{}", field.name()),
            Field::Metric(key) => ("metrics", key),
            Field::Param(key) => ("params", key),
            Field::Tag(key) => ("tags", key),
        };
        let is_bare = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.');
        if !key.is_empty() && key.chars().all(is_bare) && !key.split('.').any(str::is_empty) {
            write!(f, "{prefix}.{key}")
        } else {
            write!(f, "{prefix}.")?;
            quoted(f, key, &['`', '"', '\''])
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = |word: &str, values: &[Value]| {
            write!(f, "{word} (")?;
            joined(f, values, ", ")?;
            f.write_str(")")
        };
        match self {
            Test::In(values) => list("IN", values),
            Test::NotIn(values) => list("NOT IN", values),
            Test::Compare(op, value) => write!(f, "{} {value}", op.symbol()),
            Test::Like(case, pattern) => {
                f.write_str(if *case == Case::Sensitive { "LIKE " } else { "ILIKE " })?;
                quoted(f, pattern, &['\'', '"'])
            }
            Test::Null => f.write_str("IS NULL"),
            Test::NotNull => f.write_str("IS NOT NULL"),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Always with a point or an exponent, and exact.
            Value::Number(number) => write!(f, "{number:?}"),
            Value::Text(text) | Value::Time(text) => quoted(f, text, &['\'', '"']),
            Value::Duration(duration) => write!(f, "'{}s'", duration.as_secs()),
        }
    }
}

/// Writes `text` in the first quotes that it does not contain. The grammar has no escapes, so a
/// text that was parsed lacks at least one of them.
fn quoted(f: &mut fmt::Formatter<'_>, text: &str, quotes: &[char]) -> fmt::Result {
    let quote = quotes.iter().find(|quote| !text.contains(**quote)).unwrap_or(&quotes[0]);
    write!(f, "{quote}{text}{quote}")
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T], between: &str) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if at == 0 { "" } else { between })?;
    }
    Ok(())
}
