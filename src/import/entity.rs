//! Records of MLflow as values: the common form of a folder `mlruns`, a database and a server.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use crate::error::Result;
use crate::runs::tracking::LoggedPoint;
use crate::runs::{DatasetInput, ModelStatus};

pub(super) type Texts = BTreeMap<String, String>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Active,
    Deleted,
}

impl Lifecycle {
    pub(super) fn parse(word: Option<&str>) -> Lifecycle {
        if word == Some("deleted") { Lifecycle::Deleted } else { Lifecycle::Active }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Experiment {
    /// Id in the source.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) lifecycle: Lifecycle,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) tags: Texts,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Run {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    pub(super) name: String,
    /// `RUNNING`, `SCHEDULED`, `FINISHED`, `FAILED` or `KILLED`.
    pub(super) status: String,
    pub(super) started: i64,
    pub(super) ended: Option<i64>,
    pub(super) lifecycle: Lifecycle,
    pub(super) user: String,
    pub(super) params: Texts,
    pub(super) tags: Texts,
    pub(super) datasets: Vec<DatasetInput>,
    pub(super) models: Vec<UsedModel>,
    pub(super) files: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Input,
    Output,
}

/// A logged model that a run has read or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsedModel {
    pub(super) id: String,
    pub(super) role: Role,
    pub(super) step: i64,
}

/// A logged model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Model {
    /// `m-` and 32 hexadecimal digits.
    pub(super) id: String,
    pub(super) name: String,
    pub(super) kind: Option<String>,
    pub(super) run: Option<String>,
    pub(super) status: ModelStatus,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) params: Texts,
    pub(super) tags: Texts,
    /// LoggedPoints with the runs that logged them.
    pub(super) points: Vec<(String, LoggedPoint)>,
    pub(super) files: Place,
}

/// A registered model with its versions.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Registered {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) tags: Texts,
    /// Versions by alias.
    pub(super) aliases: BTreeMap<String, u64>,
    pub(super) versions: Vec<Version>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) version: u64,
    pub(super) description: Option<String>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) stage: String,
    pub(super) source: String,
    pub(super) run: Option<String>,
    pub(super) tags: Texts,
}

/// Where the files of a run or a logged model are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder(PathBuf),
    /// A path below the artifacts of a server.
    Server(String),
    /// A place that cannot be read from here, as the source names it.
    Elsewhere(String),
}

/// A place from which runs are read.
///
/// Everything that it returns is data of a stranger: names and paths are checked by whoever writes.
pub(super) trait Source {
    /// Returns all experiments, also deleted ones.
    fn experiments(&mut self) -> Result<Vec<Experiment>>;

    /// Returns all runs of an experiment, also deleted ones, from the oldest on.
    fn runs(&mut self, experiment: &Experiment) -> Result<Vec<Run>>;

    /// Passes all points of a run on, those of a key in the order of their times.
    fn points(&mut self, run: &Run, take: &mut dyn FnMut(LoggedPoint) -> Result<()>) -> Result<()>;

    /// Returns the logged models of an experiment.
    fn models(&mut self, experiment: &Experiment) -> Result<Vec<Model>>;

    /// Returns the registered models.
    fn registered(&mut self) -> Result<Vec<Registered>>;

    /// Returns the paths of all files at a place.
    fn files(&mut self, place: &Place) -> Result<Vec<String>>;

    /// Opens a file at a place.
    fn open(&mut self, place: &Place, path: &str) -> Result<Box<dyn Read>>;
}

/// Returns the status that a number or a word of MLflow's stands for.
pub(super) fn model_status(text: &str) -> ModelStatus {
    ModelStatus::parse(text).unwrap_or(ModelStatus::Pending)
}
