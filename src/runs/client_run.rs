//! Runs as MLflow's clients see them, whichever program recorded them.
//!
//! A metric or param of a stage is called `STAGE.KEY`. What a run records in columns of its own,
//! such as its parent and its commit, appears as the tags that clients use for it.

mod read;

use super::cells::column;
use crate::event::RunName;
use crate::filter::{Attribute, STATUSES};

/// A run with all that an answer to a client has.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRun {
    pub run: RunName,
    pub uid: String,
    pub name: String,
    pub experiment: i64,
    pub user: String,
    /// MLflow's word: `RUNNING`.
    pub status: String,
    /// Milliseconds since 1970 UTC.
    pub started: i64,
    pub ended: Option<i64>,
    pub is_deleted: bool,
    pub artifact_uri: String,
    pub metrics: Vec<ClientMetric>,
    /// Keys and values, sorted.
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    pub datasets: Vec<DatasetInput>,
    /// Logged models that the run used.
    pub model_inputs: Vec<String>,
    /// Logged models that the run made, each with a step.
    pub model_outputs: Vec<(String, i64)>,
}

/// The latest value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientMetric {
    pub key: String,
    pub value: f64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    pub step: i64,
}

/// A dataset that a run used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetInput {
    pub name: String,
    pub digest: String,
    pub source_type: String,
    pub source: String,
    pub schema: Option<String>,
    pub profile: Option<String>,
    /// Tags of this use, such as `mlflow.data.context`.
    pub tags: Vec<(String, String)>,
}

/// Tags that are stored in columns of `runs`, as SQL expressions. Of a run that this program made,
/// the columns also say what its source was.
pub(super) const TAG_COLUMNS: &[(&str, &str)] = &[
    ("mlflow.note.content", "runs.note"),
    ("mlflow.parentRunId", "runs.parent"),
    ("mlflow.runName", NAME),
    ("mlflow.source.git.branch", "runs.git_branch"),
    ("mlflow.source.git.commit", "runs.git_commit"),
    ("mlflow.source.name", "CASE WHEN runs.kind != 'external' THEN runs.pipeline END"),
    ("mlflow.source.type", "CASE WHEN runs.kind != 'external' THEN 'PROJECT' END"),
    ("mlflow.user", "runs.user"),
    ("repro.kind", "CASE WHEN runs.kind != 'external' THEN runs.kind END"),
];

const NAME: &str = "coalesce(runs.name, 'run-' || runs.number)";

/// Returns the SQL expression of an attribute as clients see it. `dead` are the runs whose process
/// died.
pub(super) fn attribute_column(attribute: Attribute, dead: &[i64]) -> String {
    match attribute {
        Attribute::Name => NAME.to_owned(),
        Attribute::User => "coalesce(runs.user, '')".to_owned(),
        Attribute::Status => {
            let words =
                STATUSES.iter().map(|(ours, theirs)| format!("WHEN '{ours}' THEN '{theirs}'"));
            let words = words.collect::<Vec<_>>().join(" ");
            format!("CASE {} {words} END", column(attribute, dead))
        }
        attribute => column(attribute, dead),
    }
}
