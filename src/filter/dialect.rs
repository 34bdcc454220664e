//! The two dialects of the grammar, as data: what may be compared with what.

/// The grammar of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MLflow's grammar with additions: more attributes, numeric params, `IN` for texts, dates,
    /// durations, and `- / : @ +` in names without quotes.
    Repro,
    /// Accepts what MLflow's server accepts.
    Mlflow,
}

/// The type of a field, which determines its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Text,
    /// A text that identifies a run. MLflow has `IN` for it only.
    Id,
    Param,
    Tag,
    Status,
    Kind,
    Time,
    Duration,
}

/// A form of comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `=` and `!=`
    Equality,
    /// `<`, `<=`, `>` and `>=`
    Order,
    /// `LIKE` and `ILIKE`
    Like,
    /// `IN` and `NOT IN`
    In,
    /// `IS NULL` and `IS NOT NULL`
    Null,
}

impl Form {
    pub(super) fn operators(self) -> &'static str {
        match self {
            Form::Equality => "`=`, `!=`",
            Form::Order => "`<`, `<=`, `>`, `>=`",
            Form::Like => "`LIKE`, `ILIKE`",
            Form::In => "`IN`, `NOT IN`",
            Form::Null => "`IS NULL`, `IS NOT NULL`",
        }
    }
}

impl Dialect {
    /// Returns the characters of names without quotes, besides letters, digits, `_` and `.`.
    pub(super) fn extra_name_characters(self) -> &'static str {
        match self {
            Dialect::Repro => "-/:@+",
            Dialect::Mlflow => "",
        }
    }

    /// Returns the forms of comparison that a field of this type has.
    pub(super) fn forms(self, of: Type) -> &'static [Form] {
        use Form::{Equality, In, Like, Null, Order};
        match (self, of) {
            (Dialect::Repro, Type::Number | Type::Time | Type::Duration) => {
                &[Equality, Order, Null]
            }
            (Dialect::Repro, Type::Text | Type::Id | Type::Tag) => &[Equality, Like, In, Null],
            (Dialect::Repro, Type::Param) => &[Equality, Order, Like, In, Null],
            (Dialect::Repro, Type::Status | Type::Kind) => &[Equality, In],
            (Dialect::Mlflow, Type::Number | Type::Time | Type::Duration) => &[Equality, Order],
            (Dialect::Mlflow, Type::Param | Type::Tag) => &[Equality, Like, Null],
            (Dialect::Mlflow, Type::Id) => &[Equality, Like, In],
            (Dialect::Mlflow, Type::Text) => &[Equality, Like],
            // The words of MLflow's statuses are not stored, so no pattern can match them.
            (Dialect::Mlflow, Type::Status | Type::Kind) => &[Equality],
        }
    }
}
