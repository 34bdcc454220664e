//! Writes what a [`Source`] has into the run store.
//!
//! # Invariants
//!
//! - A run keeps its identity, so importing again finds it. Each run is added in one transaction,
//!   with all its points.
//! - A run that has ended stays as it is here. One that was in progress is brought up to date.
//! - Files come last. Those that are there already are not read again.

use std::collections::BTreeMap;
use std::io::Read as _;

use super::entity::{Experiment, Lifecycle, Model, Place, Registered, Role, Run, Source, Version};
use crate::engine::Project;
use crate::engine::models::identify;
use crate::error::{Error, Result};
use crate::event::{RunName, RunUid};
use crate::pipeline::StageName;
use crate::report::import::{Imported, Skipped};
use crate::runs::files::{self, ModelId, Owner, Upload, parse_path};
use crate::runs::registry::{Archive, NewVersion};
use crate::runs::tracking::{LoggedPoint, NewRun, Update};
use crate::runs::{self, ModelPoint, NewModel, RunState, Store};

/// Tag with the identity that a run had before it was exported.
pub(super) const IDENTITY: &str = "repro.uid";
/// Number of points that are written at once.
const CHUNK: usize = 10_000;

/// Copies everything from a source.
///
/// # Errors
/// The source cannot be read, or the run store cannot be written.
pub(super) fn copy(project: &Project, store: &Store, source: &mut dyn Source) -> Result<Imported> {
    let mut copy = Copy { project, store, imported: Imported::default() };
    for experiment in source.experiments()? {
        copy.experiment(source, &experiment)?;
    }
    for model in source.registered()? {
        copy.registered(&model)?;
    }
    Ok(copy.imported)
}

struct Copy<'a> {
    project: &'a Project,
    store: &'a Store,
    imported: Imported,
}

impl Copy<'_> {
    fn skip(&mut self, what: String, why: impl ToString) {
        self.imported.skipped.push(Skipped { what, why: why.to_string() });
    }

    fn experiment(&mut self, source: &mut dyn Source, experiment: &Experiment) -> Result<()> {
        let known = self.store.experiment_named(&experiment.name)?;
        let id = match known {
            Some(id) => id,
            None => self.store.atomically(|store| {
                let tags: Vec<_> = experiment.tags.clone().into_iter().collect();
                store.create_experiment(&experiment.name, None, &tags, experiment.created)
            })?,
        };
        let mut copied = Vec::new();
        for run in source.runs(experiment)? {
            match identity(&run) {
                Some(uid) => {
                    let number = self.run(source, id, &run, uid)?;
                    copied.push((run, number));
                }
                None => self.skip(format!("run `{}`", run.id), "it has no valid identity"),
            }
        }
        for model in source.models(experiment)? {
            self.model(source, id, &model)?;
        }
        // They name models, which name runs.
        for (run, number) in &copied {
            self.uses(run, *number)?;
            self.files(source, &run.files, Owner::Run(*number), &format!("run `{}`", run.id))?;
        }
        if known.is_none() {
            self.imported.experiments += 1;
            if experiment.lifecycle == Lifecycle::Deleted {
                let (to, at) = (runs::Lifecycle::Deleted, experiment.updated);
                self.store.atomically(|store| store.set_experiment_lifecycle(id, to, at))?;
            }
        }
        Ok(())
    }

    fn run(
        &mut self,
        source: &mut dyn Source,
        experiment: i64,
        run: &Run,
        uid: RunUid,
    ) -> Result<RunName> {
        let known = self.store.with_uid(uid)?;
        if let Some(number) = known
            && self.store.run(number)?.state.is_final()
        {
            self.imported.known += 1;
            return Ok(number);
        }
        // The database is not locked while a server answers.
        let mut points = Vec::new();
        source.points(run, &mut |point| {
            points.push(point);
            Ok(())
        })?;
        let number = self.store.atomically(|store| {
            let number = match known {
                Some(number) => number,
                None => store.create_run(&NewRun {
                    uid,
                    experiment,
                    name: run.name.clone(),
                    user: Some(run.user.clone()).filter(|user| !user.is_empty()),
                    started: run.started,
                    tags: Vec::new(),
                })?,
            };
            fill(store, number, run, &points)?;
            Ok::<_, Error>(number)
        })?;
        self.imported.points += points.len();
        match known {
            Some(_) => self.imported.known += 1,
            None => self.imported.runs += 1,
        }
        Ok(number)
    }

    fn uses(&mut self, run: &Run, number: RunName) -> Result<()> {
        for used in &run.models {
            if self.store.owner(&used.id)?.is_none() {
                continue;
            }
            self.store.atomically(|store| match used.role {
                Role::Input => store.log_model_inputs(number, std::slice::from_ref(&used.id)),
                Role::Output => store.log_model_outputs(number, &[(used.id.clone(), used.step)]),
            })?;
        }
        Ok(())
    }

    fn model(&mut self, source: &mut dyn Source, experiment: i64, model: &Model) -> Result<()> {
        let Some(id) = ModelId::parse(&model.id) else {
            self.skip(format!("logged model `{}`", model.id), "it has no valid identity");
            return Ok(());
        };
        let run = match model.run.as_deref().and_then(RunUid::parse) {
            Some(uid) => self.store.with_uid(uid)?,
            None => None,
        };
        if self.store.owner(&model.id)?.is_none() {
            self.store.atomically(|store| {
                store.create_model(&NewModel {
                    id: model.id.clone(),
                    experiment,
                    name: model.name.clone(),
                    kind: model.kind.clone(),
                    run,
                    params: model.params.clone().into_iter().collect(),
                    tags: model.tags.clone().into_iter().collect(),
                })?;
                store.finalize_model(&model.id, model.status)?;
                store.set_model_times(&model.id, model.created, model.updated)?;
                log_points_of(store, model)
            })?;
            self.imported.models += 1;
        }
        self.files(source, &model.files, Owner::Model(id), &format!("logged model `{}`", model.id))
    }

    /// Copies the files that are not here yet.
    fn files(
        &mut self,
        source: &mut dyn Source,
        place: &Place,
        owner: Owner,
        of: &str,
    ) -> Result<()> {
        if let Place::Elsewhere(uri) = place {
            self.skip(format!("files of {of}"), format!("they are at `{uri}`"));
            return Ok(());
        }
        for name in source.files(place)? {
            let path = match parse_path(&name) {
                Ok(path) => path,
                Err(error) => {
                    self.skip(format!("a file of {of}"), error);
                    continue;
                }
            };
            if files::existing(&self.project.history, &owner, Some(&path)).is_some() {
                continue;
            }
            let outside = StageName::outside();
            let mut file = source.open(place, &name)?;
            let mut upload = Upload::begin(&self.project.history)?;
            let mut buffer = vec![0; 1 << 18];
            loop {
                let failed = |err| Error::environment(format!("cannot read `{name}`")).because(err);
                match file.read(&mut buffer).map_err(|err: std::io::Error| failed(err))? {
                    0 => break,
                    read => {
                        upload.write(&buffer[..read])?;
                        self.imported.bytes += read as u64;
                    }
                }
            }
            self.store.atomically(|store| store.keep_upload(&upload, &owner, &outside, &path))?;
            self.imported.files += 1;
        }
        Ok(())
    }

    fn registered(&mut self, model: &Registered) -> Result<()> {
        let name = &model.name;
        let text = model.description.as_deref();
        match self.store.atomically(|store| store.register_model(name, text, &model.tags)) {
            Ok(true) => self.imported.registered += 1,
            Ok(false) => {}
            Err(error) => {
                self.skip(format!("registered model `{name}`"), error);
                return Ok(());
            }
        }
        for version in &model.versions {
            self.version(name, version)?;
        }
        self.store.atomically(|store| {
            let known =
                store.registered_model(name)?.map(|model| model.aliases).unwrap_or_default();
            let new = model.aliases.iter().filter(|(alias, _)| !known.contains_key(*alias));
            for (alias, version) in new {
                if store.model_version(name, *version)?.is_some() {
                    store.set_alias(name, alias, *version)?;
                }
            }
            store.set_registered_times(name, model.created, model.updated)
        })
    }

    fn version(&mut self, name: &str, version: &Version) -> Result<()> {
        if self.store.model_version(name, version.version)?.is_some() {
            return Ok(());
        }
        let (source, place) = found_source(self.store, &version.source)?;
        let mut new = NewVersion {
            source,
            description: version.description.clone(),
            run: version.run.clone(),
            tags: version.tags.clone(),
            ..NewVersion::default()
        };
        if let Some(place) = place {
            new.model = Some(place.id.clone()).filter(|id| id.starts_with("m-"));
            identify(self.project, self.store, &place, &mut new)?;
        }
        self.store.atomically(|store| {
            store.import_version(name, version.version, &new)?;
            // A stage of another kind than MLflow's.
            let _ = store.set_stage(name, version.version, &version.stage, Archive::Nothing);
            store.set_version_times(name, version.version, version.created, version.updated)
        })?;
        self.imported.versions += 1;
        Ok(())
    }
}

/// Returns the source of a version as it is called here, with its place if the files are here.
fn found_source(store: &Store, source: &str) -> Result<(String, Option<files::Place>)> {
    if let Some(place) = crate::engine::models::place(store, source)? {
        return Ok((source.to_owned(), Some(place)));
    }
    // A path such as `/home/me/mlruns/0/RUN/artifacts/model`.
    let path = source.strip_prefix("file:").unwrap_or(source).trim_start_matches('/');
    let Some(place) = files::Place::parse(path).ok().flatten() else {
        return Ok((source.to_owned(), None));
    };
    if store.owner(&place.id)?.is_none() {
        return Ok((source.to_owned(), None));
    }
    let scheme = if place.id.starts_with("m-") { "models" } else { "runs" };
    let below = place.path.as_ref().map_or_else(String::new, |path| format!("/{path}"));
    Ok((format!("{scheme}:/{}{below}", place.id), Some(place)))
}

/// Returns the identity of a run, which an export has kept in a tag.
fn identity(run: &Run) -> Option<RunUid> {
    let kept = run.tags.get(IDENTITY).and_then(|uid| RunUid::parse(uid));
    kept.or_else(|| RunUid::parse(&run.id))
}

/// Writes everything but models and files of a run.
fn fill(store: &Store, number: RunName, run: &Run, points: &[LoggedPoint]) -> Result<()> {
    let outside = StageName::outside();
    let params: Vec<(String, String)> = run.params.clone().into_iter().collect();
    store.log_params(number, &outside, &params)?;
    for (key, value) in run.tags.iter().filter(|(key, _)| *key != IDENTITY) {
        store.set_client_tag(number, &outside, key, value)?;
    }
    for chunk in points.chunks(CHUNK) {
        store.log_points(number, &outside, chunk)?;
    }
    store.log_datasets(number, &run.datasets)?;
    let state = match run.status.as_str() {
        "FINISHED" => RunState::Ok,
        "FAILED" => RunState::Failed,
        "KILLED" => RunState::Interrupted,
        "SCHEDULED" => RunState::Scheduled,
        _ => RunState::Running,
    };
    let name = Some(run.name.clone()).filter(|name| !name.is_empty());
    store.update_run(number, &Update { state: Some(state), ended: run.ended, name })?;
    if run.lifecycle == Lifecycle::Deleted {
        store.set_lifecycle_alone(number, runs::Lifecycle::Deleted)?;
    }
    Ok(())
}

fn log_points_of(store: &Store, model: &Model) -> Result<()> {
    let mut numbers = BTreeMap::new();
    for (uid, point) in &model.points {
        let number = match numbers.get(uid) {
            Some(number) => *number,
            None => {
                let number =
                    RunUid::parse(uid).map(|uid| store.with_uid(uid)).transpose()?.flatten();
                numbers.insert(uid, number);
                number
            }
        };
        let Some(run) = number else { continue };
        let LoggedPoint { key, value, at, step } = point;
        store.log_model_metrics(&[ModelPoint {
            model: &model.id,
            run,
            key,
            value: *value,
            at: *at,
            step: *step,
            dataset_name: None,
            dataset_digest: None,
        }])?;
    }
    Ok(())
}
