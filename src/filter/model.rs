//! The attributes of a logged model that MLflow's clients can name.

use super::dialect::Type;
use super::subject::{Entry, Subject, entry};

/// A property of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelAttribute {
    Id,
    Name,
    Kind,
    Status,
    StatusMessage,
    Experiment,
    Run,
    Files,
    Created,
    Updated,
}

impl Subject for ModelAttribute {
    fn entries() -> &'static [Entry<ModelAttribute>] {
        use ModelAttribute::*;
        const CREATED: &[&str] = &["creation_timestamp", "creation_time", "creation_timestamp_ms"];
        const UPDATED: &[&str] = &["last_updated_timestamp", "last_updated_timestamp_ms"];
        const {
            &[
                entry(Id, Type::Text, &[], &["model_id"]),
                entry(Name, Type::Text, &[], &["name"]),
                entry(Kind, Type::Text, &[], &["model_type"]),
                entry(Status, Type::Status, &[], &["status"]),
                entry(StatusMessage, Type::Text, &[], &["status_message"]),
                entry(Experiment, Type::Text, &[], &["experiment_id"]),
                entry(Run, Type::Text, &[], &["source_run_id"]),
                entry(Files, Type::Text, &[], &["artifact_location", "artifact_uri"]),
                entry(Created, Type::Time, &[], CREATED),
                entry(Updated, Type::Time, &[], UPDATED),
            ]
        }
    }
}
