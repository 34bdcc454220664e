//! Logged models: what a run of MLflow's clients made, with its files, params, tags and metrics.

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use write::{ModelPoint, NewModel};

/// A logged model with all that an answer to a client has.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientModel {
    /// `m-` and 32 hexadecimal digits.
    pub id: String,
    pub experiment: i64,
    /// The uid of the run that made it.
    pub run: Option<String>,
    pub name: String,
    pub kind: Option<String>,
    pub status: ModelStatus,
    pub status_message: Option<String>,
    pub artifact_uri: String,
    /// Milliseconds since 1970 UTC.
    pub created: i64,
    pub updated: i64,
    /// Keys and values, sorted.
    pub params: Vec<(String, String)>,
    pub tags: Vec<(String, String)>,
    /// All points, by key, time and step.
    pub metrics: Vec<ModelMetric>,
    /// Name and version of each registered version of the model.
    pub registrations: Vec<(String, i64)>,
}

/// The state of the files of a logged model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelStatus {
    Pending,
    Ready,
    Failed,
}

impl ModelStatus {
    pub(super) const ALL: [ModelStatus; 3] =
        [ModelStatus::Pending, ModelStatus::Ready, ModelStatus::Failed];

    /// Returns the status as it is stored.
    pub(super) fn stored(self) -> &'static str {
        match self {
            ModelStatus::Pending => "pending",
            ModelStatus::Ready => "ready",
            ModelStatus::Failed => "failed",
        }
    }

    /// Returns MLflow's word.
    pub fn word(self) -> &'static str {
        match self {
            ModelStatus::Pending => "LOGGED_MODEL_PENDING",
            ModelStatus::Ready => "LOGGED_MODEL_READY",
            ModelStatus::Failed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// Returns MLflow's number.
    pub fn number(self) -> i64 {
        1 + self as i64
    }

    /// Returns the status that MLflow's word or number stands for.
    pub fn parse(text: &str) -> Option<ModelStatus> {
        ModelStatus::ALL.into_iter().find(|one| {
            let word = one.word();
            text == word
                || word.strip_prefix("LOGGED_MODEL_") == Some(text)
                || text == one.number().to_string()
        })
    }
}

/// A point of a metric of a logged model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelMetric {
    pub key: String,
    pub value: f64,
    /// Milliseconds since 1970 UTC.
    pub at: i64,
    pub step: i64,
    /// The uid of the run that measured it.
    pub run: Option<String>,
    pub dataset_name: Option<String>,
    pub dataset_digest: Option<String>,
}

/// The status as an SQL expression: MLflow's number, by which clients filter.
pub(super) const STATUS: &str =
    "CASE models.status WHEN 'pending' THEN '1' WHEN 'ready' THEN '2' ELSE '3' END";
/// The place of its files as an SQL expression.
pub(super) const FILES: &str = "coalesce(models.artifact_location,
              rtrim(coalesce((SELECT artifact_location FROM experiments
                              WHERE experiments.id = models.experiment),
                             'mlflow-artifacts:/' || models.experiment), '/')
              || '/models/' || models.id || '/artifacts')";
/// The uid of its run as an SQL expression.
pub(super) const RUN: &str = "(SELECT uid FROM runs WHERE runs.number = models.run)";
