//! Runs, experiments and logged models in the form in which MLflow's clients read them.
//!
//! Absent and empty fields are left out, as in all answers of the protocol.

use crate::runs::{ClientExperiment, ClientModel, ClientRun, DatasetInput, DatasetSummary};
use serde::{Serialize, Serializer};

/// A key and a value, such as a tag.
#[derive(Debug, Serialize)]
pub(super) struct Pair<'v> {
    key: &'v str,
    value: &'v str,
}

/// An experiment.
#[derive(Debug, Serialize)]
pub(super) struct ExperimentJson<'v> {
    experiment_id: String,
    name: &'v str,
    artifact_location: &'v str,
    lifecycle_stage: &'static str,
    last_update_time: i64,
    creation_time: i64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
}

/// A run with its latest metrics, and with what it used and made.
#[derive(Debug, Serialize)]
pub(super) struct RunJson<'v> {
    info: RunInfo<'v>,
    data: RunData<'v>,
    inputs: RunInputs<'v>,
    outputs: RunOutputs<'v>,
}

/// The attributes of a run.
#[derive(Debug, Serialize)]
pub(super) struct RunInfo<'v> {
    run_uuid: &'v str,
    experiment_id: String,
    run_name: &'v str,
    user_id: &'v str,
    status: &'v str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: &'v str,
    lifecycle_stage: &'static str,
    run_id: &'v str,
}

#[derive(Debug, Serialize)]
struct RunData<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricJson<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
}

#[derive(Debug, Serialize)]
struct MetricJson<'v> {
    key: &'v str,
    #[serde(serialize_with = "double")]
    value: f64,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_name: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_digest: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_id: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<&'v str>,
}

#[derive(Debug, Serialize)]
struct RunInputs<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dataset_inputs: Vec<DatasetInputJson<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_inputs: Vec<ModelInput<'v>>,
}

#[derive(Debug, Serialize)]
struct DatasetInputJson<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
    dataset: DatasetJson<'v>,
}

#[derive(Debug, Serialize)]
struct DatasetJson<'v> {
    name: &'v str,
    digest: &'v str,
    source_type: &'v str,
    source: &'v str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'v str>,
}

#[derive(Debug, Serialize)]
struct ModelInput<'v> {
    model_id: &'v str,
}

#[derive(Debug, Serialize)]
struct RunOutputs<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    model_outputs: Vec<ModelOutput<'v>>,
}

#[derive(Debug, Serialize)]
struct ModelOutput<'v> {
    model_id: &'v str,
    step: i64,
}

/// A logged model.
#[derive(Debug, Serialize)]
pub(super) struct ModelJson<'v> {
    info: ModelInfo<'v>,
    data: ModelData<'v>,
}

#[derive(Debug, Serialize)]
struct ModelInfo<'v> {
    model_id: &'v str,
    experiment_id: String,
    name: &'v str,
    creation_timestamp_ms: i64,
    last_updated_timestamp_ms: i64,
    artifact_uri: &'v str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_type: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_run_id: Option<&'v str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_message: Option<&'v str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Pair<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registrations: Vec<Registration<'v>>,
}

#[derive(Debug, Serialize)]
struct Registration<'v> {
    name: &'v str,
    version: String,
}

#[derive(Debug, Serialize)]
struct ModelData<'v> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    params: Vec<Pair<'v>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<MetricJson<'v>>,
}

/// A dataset that runs of an experiment used.
#[derive(Debug, Serialize)]
pub(super) struct SummaryJson<'v> {
    experiment_id: String,
    name: &'v str,
    digest: &'v str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'v str>,
}

/// Writes a number; what JSON cannot say is a text.
pub(super) fn double<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    match *number {
        number if number.is_nan() => serializer.serialize_str("NaN"),
        f64::INFINITY => serializer.serialize_str("Infinity"),
        f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
        number => serializer.serialize_f64(number),
    }
}

fn pairs(pairs: &[(String, String)]) -> Vec<Pair<'_>> {
    pairs.iter().map(|(key, value)| Pair { key, value }).collect()
}

fn lifecycle(is_deleted: bool) -> &'static str {
    if is_deleted { "deleted" } else { "active" }
}

impl<'v> From<&'v ClientExperiment> for ExperimentJson<'v> {
    fn from(experiment: &'v ClientExperiment) -> ExperimentJson<'v> {
        ExperimentJson {
            experiment_id: experiment.id.to_string(),
            name: &experiment.name,
            artifact_location: &experiment.artifact_location,
            lifecycle_stage: lifecycle(experiment.is_deleted),
            last_update_time: experiment.updated,
            creation_time: experiment.created,
            tags: pairs(&experiment.tags),
        }
    }
}

impl<'v> From<&'v ClientRun> for RunInfo<'v> {
    fn from(run: &'v ClientRun) -> RunInfo<'v> {
        RunInfo {
            run_uuid: &run.uid,
            experiment_id: run.experiment.to_string(),
            run_name: &run.name,
            user_id: &run.user,
            status: &run.status,
            start_time: run.started,
            end_time: run.ended,
            artifact_uri: &run.artifact_uri,
            lifecycle_stage: lifecycle(run.is_deleted),
            run_id: &run.uid,
        }
    }
}

impl<'v> From<&'v ClientRun> for RunJson<'v> {
    fn from(run: &'v ClientRun) -> RunJson<'v> {
        let metrics = run.metrics.iter().map(|metric| MetricJson {
            key: &metric.key,
            value: metric.value,
            timestamp: metric.at,
            step: metric.step,
            dataset_name: None,
            dataset_digest: None,
            model_id: None,
            run_id: None,
        });
        let outputs = run.model_outputs.iter();
        RunJson {
            info: run.into(),
            data: RunData {
                metrics: metrics.collect(),
                params: pairs(&run.params),
                tags: pairs(&run.tags),
            },
            inputs: RunInputs {
                dataset_inputs: run.datasets.iter().map(dataset_input).collect(),
                model_inputs: run
                    .model_inputs
                    .iter()
                    .map(|model_id| ModelInput { model_id })
                    .collect(),
            },
            outputs: RunOutputs {
                model_outputs: outputs
                    .map(|(id, step)| ModelOutput { model_id: id, step: *step })
                    .collect(),
            },
        }
    }
}

fn dataset_input(input: &DatasetInput) -> DatasetInputJson<'_> {
    DatasetInputJson {
        tags: pairs(&input.tags),
        dataset: DatasetJson {
            name: &input.name,
            digest: &input.digest,
            source_type: &input.source_type,
            source: &input.source,
            schema: input.schema.as_deref(),
            profile: input.profile.as_deref(),
        },
    }
}

impl<'v> From<&'v ClientModel> for ModelJson<'v> {
    fn from(model: &'v ClientModel) -> ModelJson<'v> {
        let registrations = model.registrations.iter();
        let metrics = model.metrics.iter().map(|metric| MetricJson {
            key: &metric.key,
            value: metric.value,
            timestamp: metric.at,
            step: metric.step,
            dataset_name: metric.dataset_name.as_deref(),
            dataset_digest: metric.dataset_digest.as_deref(),
            model_id: Some(&model.id),
            run_id: metric.run.as_deref(),
        });
        ModelJson {
            info: ModelInfo {
                model_id: &model.id,
                experiment_id: model.experiment.to_string(),
                name: &model.name,
                creation_timestamp_ms: model.created,
                last_updated_timestamp_ms: model.updated,
                artifact_uri: &model.artifact_uri,
                status: model.status.word(),
                model_type: model.kind.as_deref(),
                source_run_id: model.run.as_deref(),
                status_message: model.status_message.as_deref(),
                tags: pairs(&model.tags),
                registrations: registrations
                    .map(|(name, version)| Registration { name, version: version.to_string() })
                    .collect(),
            },
            data: ModelData { params: pairs(&model.params), metrics: metrics.collect() },
        }
    }
}

impl<'v> From<&'v DatasetSummary> for SummaryJson<'v> {
    fn from(summary: &'v DatasetSummary) -> SummaryJson<'v> {
        SummaryJson {
            experiment_id: summary.experiment.to_string(),
            name: &summary.name,
            digest: &summary.digest,
            context: summary.context.as_deref(),
        }
    }
}
