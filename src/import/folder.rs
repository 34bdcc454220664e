//! Reads a folder `mlruns`: a folder per experiment and per run, with a file per metric, param and
//! tag, and `meta.yaml` for the rest.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::entity::{
    Experiment, Lifecycle, Model, Place, Registered, Role, Run, Source, Texts, UsedModel, Version,
    model_status,
};
use super::place::{self, folder_of};
use crate::data::{Format, Value, not_finite, parse};
use crate::error::{Error, Result};
use crate::regular_file;
use crate::runs::DatasetInput;
use crate::runs::tracking::LoggedPoint;

const META: &str = "meta.yaml";
/// Maximum size of a file with a param, a tag or `meta.yaml`.
const MAX_TEXT: u64 = 4 << 20;

/// A folder `mlruns`.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// The folders of the runs that were returned.
    runs: BTreeMap<String, PathBuf>,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Folder {
        Folder { path: path.to_owned(), runs: BTreeMap::new() }
    }

    /// Reports whether the folder is an `mlruns`: an experiment is in it.
    pub(super) fn is_one(path: &Path) -> bool {
        folders(path).iter().any(|folder| folder.join(META).is_file())
    }

    fn experiment_folder(&self, id: &str) -> PathBuf {
        let folder = self.path.join(id);
        if folder.is_dir() { folder } else { self.path.join(".trash").join(id) }
    }
}

impl Source for Folder {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let in_trash = folders(&self.path.join(".trash"));
        let found = folders(&self.path).into_iter().chain(in_trash);
        let mut experiments = Vec::new();
        for folder in found.filter(|folder| folder.join(META).is_file()) {
            let meta = Meta::read(&folder)?;
            experiments.push(Experiment {
                id: name_of(&folder),
                name: meta.text("name").unwrap_or_else(|| name_of(&folder)),
                lifecycle: Lifecycle::parse(meta.text("lifecycle_stage").as_deref()),
                created: meta.number("creation_time"),
                updated: meta.number("last_update_time"),
                tags: texts(&folder.join("tags"))?,
            });
        }
        experiments.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(experiments)
    }

    fn runs(&mut self, experiment: &Experiment) -> Result<Vec<Run>> {
        let of = self.experiment_folder(&experiment.id);
        let is_run = |folder: &PathBuf| name_of(folder) != "models" && folder.join(META).is_file();
        let found = folders(&of).into_iter().filter(is_run);
        let mut runs = Vec::new();
        for folder in found {
            let run = run(&of, &folder)?;
            self.runs.insert(run.id.clone(), folder);
            runs.push(run);
        }
        runs.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
        Ok(runs)
    }

    fn points(&mut self, run: &Run, take: &mut dyn FnMut(LoggedPoint) -> Result<()>) -> Result<()> {
        let Some(folder) = self.runs.get(&run.id) else { return Ok(()) };
        let metrics = folder.join("metrics");
        for key in place::walk(&metrics)? {
            read_points(&metrics, &key, &mut |point, _| take(point))?;
        }
        Ok(())
    }

    fn models(&mut self, experiment: &Experiment) -> Result<Vec<Model>> {
        let of = self.experiment_folder(&experiment.id).join("models");
        let found = folders(&of).into_iter().filter(|folder| folder.join(META).is_file());
        found.map(|folder| model(&folder)).collect()
    }

    fn registered(&mut self) -> Result<Vec<Registered>> {
        let found = folders(&self.path.join("models")).into_iter();
        found.filter(|folder| folder.join(META).is_file()).map(|one| registered(&one)).collect()
    }

    fn files(&mut self, place: &Place) -> Result<Vec<String>> {
        place::files(place)
    }

    fn open(&mut self, place: &Place, path: &str) -> Result<Box<dyn Read>> {
        place::open(place, path)
    }
}

fn run(experiment: &Path, folder: &Path) -> Result<Run> {
    let meta = Meta::read(folder)?;
    let tags = texts(&folder.join("tags"))?;
    let name = meta.text("run_name").or_else(|| meta.text("name"));
    let name = name.filter(|name| !name.is_empty()).or_else(|| tags.get("mlflow.runName").cloned());
    Ok(Run {
        id: meta.text("run_id").or_else(|| meta.text("run_uuid")).unwrap_or_default(),
        name: name.unwrap_or_default(),
        status: status(&meta.text("status").unwrap_or_default()).to_owned(),
        started: meta.number("start_time"),
        ended: meta.text("end_time").and_then(|time| time.parse().ok()),
        lifecycle: Lifecycle::parse(meta.text("lifecycle_stage").as_deref()),
        user: meta.text("user_id").unwrap_or_default(),
        params: texts(&folder.join("params"))?,
        tags,
        datasets: datasets(experiment, folder)?,
        models: used_models(folder)?,
        files: folder_of(folder.join("artifacts"), meta.text("artifact_uri"), folder),
    })
}

/// Returns the name of a status, which the folder has as a number.
fn status(text: &str) -> &str {
    match text {
        "1" => "RUNNING",
        "2" => "SCHEDULED",
        "3" => "FINISHED",
        "4" => "FAILED",
        "5" => "KILLED",
        name => name,
    }
}

fn datasets(experiment: &Path, run: &Path) -> Result<Vec<DatasetInput>> {
    let mut datasets = Vec::new();
    for folder in folders(&run.join("inputs")) {
        let input = Meta::read(&folder)?;
        let Some(id) = input.text("source_id") else { continue };
        let described = experiment.join("datasets").join(&id);
        if input.text("source_type").as_deref() != Some("DATASET") || !is_name(&id) {
            continue;
        }
        if !described.join(META).is_file() {
            continue;
        }
        let meta = Meta::read(&described)?;
        let text = |key| meta.text(key).unwrap_or_default();
        datasets.push(DatasetInput {
            name: text("name"),
            digest: text("digest"),
            source_type: text("source_type"),
            source: text("source"),
            schema: meta.text("schema"),
            profile: meta.text("profile"),
            tags: input.texts("tags").into_iter().collect(),
        });
    }
    Ok(datasets)
}

fn used_models(run: &Path) -> Result<Vec<UsedModel>> {
    let mut models = Vec::new();
    for (folder, role) in [("inputs", Role::Input), ("outputs", Role::Output)] {
        for folder in folders(&run.join(folder)) {
            let meta = Meta::read(&folder)?;
            let Some(id) = meta.text("destination_id").filter(|id| id.starts_with("m-")) else {
                continue;
            };
            models.push(UsedModel { id, role, step: meta.number("step") });
        }
    }
    Ok(models)
}

fn model(folder: &Path) -> Result<Model> {
    let meta = Meta::read(folder)?;
    let metrics = folder.join("metrics");
    let mut points = Vec::new();
    for key in place::walk(&metrics)? {
        read_points(&metrics, &key, &mut |point, rest| {
            points.push((rest.first().copied().unwrap_or_default().to_owned(), point));
            Ok(())
        })?;
    }
    Ok(Model {
        id: name_of(folder),
        name: meta.text("name").unwrap_or_default(),
        kind: meta.text("model_type"),
        run: meta.text("source_run_id"),
        status: model_status(&meta.text("status").unwrap_or_default()),
        created: meta.number("creation_timestamp"),
        updated: meta.number("last_updated_timestamp"),
        params: texts(&folder.join("params"))?,
        tags: texts(&folder.join("tags"))?,
        points,
        files: folder_of(folder.join("artifacts"), meta.text("artifact_location"), folder),
    })
}

fn registered(folder: &Path) -> Result<Registered> {
    let meta = Meta::read(folder)?;
    let aliases = texts(&folder.join("aliases"))?;
    let mut versions = Vec::new();
    for folder in folders(folder).iter().filter(|one| name_of(one).starts_with("version-")) {
        let meta = Meta::read(folder)?;
        let Some(version) = meta.text("version").and_then(|text| text.parse().ok()) else {
            continue;
        };
        versions.push(Version {
            version,
            description: meta.text("description"),
            created: meta.number("creation_timestamp"),
            updated: meta.number("last_updated_timestamp"),
            stage: meta.text("current_stage").unwrap_or_else(|| "None".to_owned()),
            source: meta.text("source").unwrap_or_default(),
            run: meta.text("run_id"),
            tags: texts(&folder.join("tags"))?,
        });
    }
    versions.retain(|version| version.stage != "Deleted_Internal");
    versions.sort_by_key(|version| version.version);
    let number = |(alias, text): (String, String)| Some((alias, text.trim().parse().ok()?));
    Ok(Registered {
        name: meta.text("name").unwrap_or_else(|| name_of(folder)),
        description: meta.text("description"),
        created: meta.number("creation_timestamp"),
        updated: meta.number("last_updated_timestamp"),
        tags: texts(&folder.join("tags"))?,
        aliases: aliases.into_iter().filter_map(number).collect(),
        versions,
    })
}

/// Reads a file of points: `TIME VALUE STEP` and what follows, which depends on the kind.
fn read_points(
    folder: &Path,
    key: &str,
    take: &mut dyn FnMut(LoggedPoint, &[&str]) -> Result<()>,
) -> Result<()> {
    let path = folder.join(key);
    let file = open_file(&path)?;
    for (line, text) in BufReader::new(file).lines().enumerate() {
        let text = text.map_err(|err| Error::io("read", &path, &err))?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let point = || {
            let value = words.get(1)?;
            Some(LoggedPoint {
                key: key.to_owned(),
                at: words.first()?.parse().ok()?,
                value: value.parse().ok().or_else(|| not_finite(value))?,
                step: words.get(2).map_or(Some(0), |step| step.parse().ok())?,
            })
        };
        match point() {
            Some(point) => take(point, words.get(3..).unwrap_or_default())?,
            None if words.is_empty() => {}
            None => {
                let at = format!("{}:{}", path.display(), line + 1);
                return Err(Error::usage(format!("{at}: expected `TIME VALUE STEP`")));
            }
        }
    }
    Ok(())
}

/// Returns the files of a folder as texts, by their paths in it.
fn texts(folder: &Path) -> Result<Texts> {
    let keys = place::walk(folder)?.into_iter();
    keys.map(|key| Ok((key.clone(), read_text(&folder.join(key))?))).collect()
}

fn read_text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = open_file(path)?.take(MAX_TEXT).read_to_end(&mut bytes);
    read.map_err(|err| Error::io("read", path, &err))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn open_file(path: &Path) -> Result<File> {
    regular_file::open(path).map_err(|err| Error::io("read", path, &err))
}

/// Returns the folders in a folder, sorted; none if it does not exist.
fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reports whether a text of a file can be joined to a path.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains('/') && text != ".."
}

/// The entries of a `meta.yaml`.
struct Meta(BTreeMap<String, Value>);

impl Meta {
    fn read(folder: &Path) -> Result<Meta> {
        let path = folder.join(META);
        if path.metadata().is_err_and(|err| err.kind() == ErrorKind::NotFound) {
            return Ok(Meta(BTreeMap::new()));
        }
        match parse(Format::Yaml, &read_text(&path)?) {
            Ok(Value::Table(entries)) => Ok(Meta(entries.into_iter().collect())),
            Ok(_) => Err(Error::usage(format!("`{}` is not a table", path.display()))),
            Err(fault) => {
                let line = fault.line.map_or_else(String::new, |line| format!(":{line}"));
                Err(Error::usage(format!("{}{line}: {}", path.display(), fault.what)))
            }
        }
    }

    /// Returns a scalar as text.
    fn text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(scalar)
    }

    fn number(&self, key: &str) -> i64 {
        self.text(key).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn texts(&self, key: &str) -> Texts {
        let Some(Value::Table(entries)) = self.0.get(key) else { return Texts::new() };
        entries.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?))).collect()
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::List(_) | Value::Table(_) => None,
    }
}
