//! The kinds of things that can be filtered: runs, experiments and logged models.

use std::fmt;

use super::dialect::{Dialect, Type};
use crate::error::did_you_mean;

/// The attributes of a kind of thing.
pub trait Subject: Copy + PartialEq + fmt::Debug + 'static {
    /// Returns the description of each attribute.
    fn entries() -> &'static [Entry<Self>];
}

/// An attribute with its type and its names.
#[derive(Debug)]
pub struct Entry<A> {
    pub(super) attribute: A,
    pub(super) of: Type,
    /// The first one is canonical. Empty if only MLflow has the attribute.
    pub(super) names: &'static [&'static str],
    /// Names in MLflow's grammar.
    pub(super) mlflow: &'static [&'static str],
}

pub(super) const fn entry<A>(
    attribute: A,
    of: Type,
    names: &'static [&'static str],
    mlflow: &'static [&'static str],
) -> Entry<A> {
    Entry { attribute, of, names, mlflow }
}

/// Returns the description of an attribute.
pub(super) fn entry_of<A: Subject>(attribute: A) -> &'static Entry<A> {
    let found = A::entries().iter().find(|entry| entry.attribute == attribute);
    found.unwrap_or_else(|| panic!("BUG: an attribute without an entry: {attribute:?}"))
}

impl<A> Entry<A> {
    pub(super) fn name(&self) -> &'static str {
        self.names.first().or(self.mlflow.first()).copied().unwrap_or_default()
    }

    fn in_dialect(&self, dialect: Dialect) -> impl Iterator<Item = &'static str> + Clone + use<A> {
        let own: &[&str] = if dialect == Dialect::Repro { self.names } else { &[] };
        own.iter().chain(self.mlflow).copied()
    }
}

/// Returns the attribute with this name.
///
/// # Errors
/// No attribute has the name; the hint suggests one.
pub(super) fn find<A: Subject>(name: &str, dialect: Dialect) -> Result<A, String> {
    let names = |entry: &'static Entry<A>| entry.in_dialect(dialect);
    let found = A::entries().iter().find(|entry| names(entry).any(|other| other == name));
    found.map(|entry| entry.attribute).ok_or_else(|| {
        match did_you_mean(name, A::entries().iter().flat_map(names)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                let shown = |entry: &'static Entry<A>| match dialect {
                    Dialect::Repro => entry.names.first(),
                    _ => entry.mlflow.first(),
                };
                let all = A::entries().iter().filter_map(shown).copied();
                format!("the attributes are {}", all.collect::<Vec<_>>().join(", "))
            }
        }
    })
}
