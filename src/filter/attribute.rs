//! The attributes of a run that filters, columns and orders can name.

use super::dialect::{Dialect, Type};
use crate::error::did_you_mean;

/// A property that every run has, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attribute {
    Run,
    Uid,
    Name,
    Status,
    Kind,
    Experiment,
    Parent,
    Started,
    Ended,
    Took,
    Pipeline,
    User,
    Host,
    Branch,
    Commit,
    Note,
}

struct Entry {
    attribute: Attribute,
    of: Type,
    /// The first one is canonical.
    names: &'static [&'static str],
    /// Names in MLflow's grammar.
    mlflow: &'static [&'static str],
}

/// In the order of [`Attribute`].
const ENTRIES: [Entry; 16] = {
    const fn entry(
        attribute: Attribute,
        of: Type,
        names: &'static [&'static str],
        mlflow: &'static [&'static str],
    ) -> Entry {
        Entry { attribute, of, names, mlflow }
    }
    use Attribute::*;
    const RUN_NAMES: &[&str] = &["run_name", "run name", "Run name", "Run Name"];
    const START_NAMES: &[&str] = &["start_time", "created", "Created"];
    [
        entry(Run, Type::Number, &["run", "number"], &[]),
        entry(Uid, Type::Id, &["uid"], &["run_id"]),
        entry(Name, Type::Text, &["name"], RUN_NAMES),
        entry(Status, Type::Status, &["status"], &["status"]),
        entry(Kind, Type::Kind, &["kind"], &[]),
        entry(Experiment, Type::Text, &["experiment"], &[]),
        entry(Parent, Type::Id, &["parent"], &[]),
        entry(Started, Type::Time, &["started"], START_NAMES),
        entry(Ended, Type::Time, &["ended"], &["end_time"]),
        entry(Took, Type::Duration, &["took", "duration"], &[]),
        entry(Pipeline, Type::Text, &["pipeline"], &[]),
        entry(User, Type::Text, &["user"], &["user_id"]),
        entry(Host, Type::Text, &["host"], &[]),
        entry(Branch, Type::Text, &["branch", "git_branch"], &[]),
        entry(Commit, Type::Text, &["commit", "git_commit"], &[]),
        entry(Note, Type::Text, &["note"], &[]),
    ]
};

impl Attribute {
    pub const ALL: [Attribute; ENTRIES.len()] = {
        let mut all = [Attribute::Run; ENTRIES.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = ENTRIES[at].attribute;
            at += 1;
        }
        all
    };

    /// Returns the name that this program uses.
    pub fn name(self) -> &'static str {
        ENTRIES[self as usize].names[0]
    }

    pub(super) fn of(self) -> Type {
        ENTRIES[self as usize].of
    }

    /// Returns the attribute with this name.
    ///
    /// # Errors
    /// There is none; the hint suggests one.
    pub fn find(name: &str, dialect: Dialect) -> Result<Attribute, String> {
        let names = |entry: &'static Entry| {
            let own = if dialect == Dialect::Repro { entry.names } else { &[] };
            own.iter().chain(entry.mlflow)
        };
        let found = ENTRIES.iter().find(|entry| names(entry).any(|other| *other == name));
        found.map(|entry| entry.attribute).ok_or_else(|| {
            match did_you_mean(name, ENTRIES.iter().flat_map(names).copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => {
                    let all = ENTRIES.iter().filter_map(|entry| names(entry).next().copied());
                    format!("the attributes are {}", all.collect::<Vec<_>>().join(", "))
                }
            }
        })
    }
}
