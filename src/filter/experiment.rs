//! The attributes of an experiment that MLflow's clients can name.

use super::dialect::Type;
use super::subject::{Entry, Subject, entry};

/// A property of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExperimentAttribute {
    Id,
    Name,
    Created,
    Updated,
}

impl Subject for ExperimentAttribute {
    fn entries() -> &'static [Entry<ExperimentAttribute>] {
        use ExperimentAttribute::{Created, Id, Name, Updated};
        const {
            &[
                entry(Id, Type::Integer, &[], &["experiment_id"]),
                entry(Name, Type::Text, &[], &["name"]),
                entry(Created, Type::Time, &[], &["creation_time"]),
                entry(Updated, Type::Time, &[], &["last_update_time"]),
            ]
        }
    }
}
