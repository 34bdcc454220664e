//! The dialects of the grammar, as data: what may be compared with what.

/// The grammar of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// MLflow's grammar for runs with additions: more attributes, numeric params, `IN` for texts,
    /// dates, durations, and `- / : @ +` in names without quotes.
    Repro,
    /// Accepts what MLflow's server accepts in a search of runs.
    Mlflow,
    /// Accepts what MLflow's server accepts in a search of experiments.
    Experiments,
    /// Accepts what MLflow's server accepts in a search of logged models.
    Models,
    /// Accepts what MLflow's server accepts in a search of registered models or their versions.
    Registry,
}

/// The kind of a field, by its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    Attribute,
    Metric,
    Param,
    Tag,
    Dataset,
}

const RUN_PREFIXES: &[(&str, Prefix)] = &[
    ("metrics", Prefix::Metric),
    ("metric", Prefix::Metric),
    ("params", Prefix::Param),
    ("param", Prefix::Param),
    ("parameters", Prefix::Param),
    ("parameter", Prefix::Param),
    ("tags", Prefix::Tag),
    ("tag", Prefix::Tag),
    ("datasets", Prefix::Dataset),
    ("dataset", Prefix::Dataset),
    ("attributes", Prefix::Attribute),
    ("attribute", Prefix::Attribute),
    ("attr", Prefix::Attribute),
    ("run", Prefix::Attribute),
];

const EXPERIMENT_PREFIXES: &[(&str, Prefix)] =
    &[("attribute", Prefix::Attribute), ("tags", Prefix::Tag), ("tag", Prefix::Tag)];

const MODEL_PREFIXES: &[(&str, Prefix)] = &[
    ("metrics", Prefix::Metric),
    ("params", Prefix::Param),
    ("tags", Prefix::Tag),
    ("attributes", Prefix::Attribute),
];

/// The type of a field, which determines its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Number,
    Text,
    /// A text that identifies a run. MLflow has `IN` for it only.
    Id,
    /// An integer that is written in quotes.
    Integer,
    Param,
    Tag,
    Dataset,
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
    /// Reports whether a text is read as MLflow's server reads it.
    ///
    /// MLflow's server ignores a superfluous or missing `AND`. It refuses a blank text but takes an
    /// empty one. A number that is too large is an infinity.
    pub(super) fn is_mlflow(self) -> bool {
        self != Dialect::Repro
    }

    /// Returns the prefixes of fields, with what they stand for.
    pub(super) fn prefixes(self) -> &'static [(&'static str, Prefix)] {
        match self {
            Dialect::Repro | Dialect::Mlflow => RUN_PREFIXES,
            Dialect::Experiments | Dialect::Registry => EXPERIMENT_PREFIXES,
            Dialect::Models => MODEL_PREFIXES,
        }
    }

    /// Returns the characters of names without quotes, besides letters, digits, `_` and `.`.
    pub(super) fn extra_name_characters(self) -> &'static str {
        match self {
            Dialect::Repro => "-/:@+",
            _ => "",
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
            (_, Type::Number | Type::Time | Type::Duration) => &[Equality, Order],
            (_, Type::Integer) => &[Equality, In],
            (_, Type::Dataset) | (Dialect::Models | Dialect::Registry, _) => &[Equality, Like, In],
            (_, Type::Param | Type::Tag) => &[Equality, Like, Null],
            (_, Type::Id) => &[Equality, Like, In],
            (_, Type::Text | Type::Status | Type::Kind) => &[Equality, Like],
        }
    }
}
