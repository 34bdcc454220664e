//! The attributes of a run that filters, columns and orders can name.

use super::dialect::Type;
use super::subject::{Entry, Subject, entry};

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
    /// The place of its files, for clients of MLflow's API.
    Files,
}

/// In the order of [`Attribute`].
const ENTRIES: [Entry<Attribute>; 17] = {
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
        entry(Files, Type::Text, &[], &["artifact_uri"]),
    ]
};

impl Attribute {
    /// The attributes that columns can show: all but the last one, which only MLflow names.
    pub const ALL: [Attribute; ENTRIES.len() - 1] = {
        let mut all = [Attribute::Run; ENTRIES.len() - 1];
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
}

impl Subject for Attribute {
    fn entries() -> &'static [Entry<Attribute>] {
        &ENTRIES
    }
}
