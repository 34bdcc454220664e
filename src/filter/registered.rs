//! The attributes of registered models and their versions that MLflow's clients can name.

use super::dialect::Type;
use super::subject::{Entry, Subject, entry};

/// A property of a registered model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisteredAttribute {
    Name,
    Created,
    Updated,
}

/// A property of a version of a registered model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionAttribute {
    Name,
    Number,
    Run,
    Source,
    Created,
    Updated,
}

const CREATED: &[&str] = &["creation_timestamp"];
const UPDATED: &[&str] = &["last_updated_timestamp", "timestamp"];

impl Subject for RegisteredAttribute {
    fn entries() -> &'static [Entry<RegisteredAttribute>] {
        use RegisteredAttribute::{Created, Name, Updated};
        const {
            &[
                entry(Name, Type::Text, &[], &["name"]),
                entry(Created, Type::Time, &[], CREATED),
                entry(Updated, Type::Time, &[], UPDATED),
            ]
        }
    }
}

impl Subject for VersionAttribute {
    fn entries() -> &'static [Entry<VersionAttribute>] {
        use VersionAttribute::{Created, Name, Number, Run, Source, Updated};
        const {
            &[
                entry(Name, Type::Text, &[], &["name"]),
                entry(Number, Type::Number, &[], &["version_number"]),
                entry(Run, Type::Text, &[], &["run_id"]),
                entry(Source, Type::Text, &[], &["source_path"]),
                entry(Created, Type::Time, &[], CREATED),
                entry(Updated, Type::Time, &[], UPDATED),
            ]
        }
    }
}
