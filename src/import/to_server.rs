//! Writes runs to a tracking server through its REST API.
//!
//! # Invariants
//!
//! - A server chooses the identities of its runs, so the own one is kept in a tag, by which the
//!   run is found when it is exported again.
//! - The status comes last. A run that has it is complete and is not sent again.

use serde_json::{Value, json};

use super::http::{Client, Content, query};
use super::into_store::IDENTITY;
use super::server::{API, PROXY, proxied};
use crate::engine::Project;
use crate::engine::artifacts::Artifacts;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::percent::encode;
use crate::repo_path::RepoPath;
use crate::report::import::{Exported, Skipped};
use crate::runs::files::Owner;
use crate::runs::{ClientRun, Store};

/// Number of points that are sent at once, and of params and tags.
const POINTS: usize = 1_000;
const PAIRS: usize = 100;
/// Longest value of a param or a tag that every server accepts.
const LONGEST: usize = 5_000;

/// Exports runs to a server.
///
/// # Errors
/// The server cannot be reached or refuses a request; the run store cannot be read.
pub fn export(project: &Project, store: &Store, uri: &str, runs: &[RunName]) -> Result<Exported> {
    let mut export =
        Export { project, store, client: Client::new(uri)?, exported: Exported::default() };
    for name in runs {
        let found = store.client_runs(&[*name])?;
        found.first().map_or(Ok(()), |run| export.run(run))?;
    }
    Ok(export.exported)
}

struct Export<'a> {
    project: &'a Project,
    store: &'a Store,
    client: Client,
    exported: Exported,
}

impl Export<'_> {
    fn post(&self, call: &str, body: &Value) -> Result<Value> {
        self.client.json("POST", &format!("{API}/{call}"), body)
    }

    fn run(&mut self, run: &ClientRun) -> Result<()> {
        let experiment = self.experiment(run.experiment)?;
        let mut found = self.known(run, &experiment)?;
        if let Some(known) = &found {
            let status = known["info"]["status"].as_str().unwrap_or_default();
            if status == run.status && !matches!(status, "RUNNING" | "SCHEDULED") {
                self.exported.known += 1;
                return Ok(());
            }
        }
        let info = match found.take() {
            Some(mut known) => known["info"].take(),
            None => self.post(
                "runs/create",
                &json!({
                    "experiment_id": experiment,
                    "start_time": run.started,
                    "run_name": run.name,
                    "tags": [{"key": IDENTITY, "value": run.uid}],
                }),
            )?["run"]["info"]
                .take(),
        };
        let id = info["run_id"].as_str().unwrap_or_default().to_owned();
        self.params_and_tags(run, &id)?;
        self.points(run, &id)?;
        self.files(run, info["artifact_uri"].as_str().unwrap_or_default())?;
        let mut end = json!({ "run_id": id, "status": run.status });
        if let Some(ended) = run.ended {
            end["end_time"] = ended.into();
        }
        self.post("runs/update", &end)?;
        if run.is_deleted {
            self.post("runs/delete", &json!({ "run_id": id }))?;
        }
        self.exported.runs.push(run.run);
        Ok(())
    }

    /// Returns the id of the experiment of the same name, which is made if it does not exist.
    fn experiment(&self, id: i64) -> Result<String> {
        let found = self.store.client_experiments(&[id])?;
        let Some(experiment) = found.first() else {
            return Err(Error::environment(format!("there is no experiment {id}")));
        };
        let name = &experiment.name;
        let pairs = [("experiment_name", &**name)];
        let path = format!("{API}/experiments/get-by-name{}", query(&pairs));
        let known = self.client.find("GET", &path, &Value::Null)?;
        let id = match known {
            Some(known) => {
                if known["experiment"]["lifecycle_stage"] == "deleted" {
                    return Err(Error::usage(format!(
                        "the server's experiment `{name}` is deleted"
                    ))
                    .hint("restore it there first"));
                }
                known["experiment"]["experiment_id"].clone()
            }
            None => {
                let tags = experiment.tags.iter();
                let tags: Vec<Value> = tags.map(|(key, value)| pair(key, value)).collect();
                let body = json!({ "name": name, "tags": tags });
                self.post("experiments/create", &body)?["experiment_id"].clone()
            }
        };
        Ok(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
    }

    /// Finds the run on the server: by the tag of an export, or by its own identity.
    fn known(&self, run: &ClientRun, experiment: &str) -> Result<Option<Value>> {
        let body = json!({
            "experiment_ids": [experiment],
            "filter": format!("tags.`{IDENTITY}` = '{}'", run.uid),
            "run_view_type": "ALL",
            "max_results": 1,
        });
        let mut found = self.post("runs/search", &body)?;
        if let Some(first) = found["runs"].get_mut(0) {
            return Ok(Some(first.take()));
        }
        let path = format!("{API}/runs/get{}", query(&[("run_id", &run.uid)]));
        let known = self.client.find("GET", &path, &Value::Null)?;
        Ok(known.map(|mut known| known["run"].take()))
    }

    fn params_and_tags(&mut self, run: &ClientRun, id: &str) -> Result<()> {
        let mut params = Vec::new();
        for (key, value) in &run.params {
            match value.chars().count() <= LONGEST {
                true => params.push(pair(key, value)),
                false => self.skip(format!("param `{key}` of {}", run.run), "it is too long"),
            }
        }
        let tags: Vec<Value> = run.tags.iter().map(|(key, value)| pair(key, value)).collect();
        for chunk in params.chunks(PAIRS) {
            self.post("runs/log-batch", &json!({ "run_id": id, "params": chunk }))?;
        }
        for chunk in tags.chunks(PAIRS) {
            self.post("runs/log-batch", &json!({ "run_id": id, "tags": chunk }))?;
        }
        Ok(())
    }

    fn points(&mut self, run: &ClientRun, id: &str) -> Result<()> {
        for metric in &run.metrics {
            let mut after = None;
            loop {
                let points = self.store.history(run.run, &metric.key, after, POINTS)?;
                let Some(last) = points.last() else { break };
                after = Some(last.place());
                let metrics = points.iter().map(|point| {
                    json!({
                        "key": metric.key,
                        "value": value(point.value),
                        "timestamp": point.at,
                        "step": point.step,
                    })
                });
                let metrics: Vec<Value> = metrics.collect();
                self.post("runs/log-batch", &json!({ "run_id": id, "metrics": metrics }))?;
                self.exported.points += points.len();
                if points.len() < POINTS {
                    break;
                }
            }
        }
        Ok(())
    }

    fn files(&mut self, run: &ClientRun, uri: &str) -> Result<()> {
        let Project { history, cache, .. } = self.project;
        let artifacts = Artifacts::of(history, self.store, cache, Owner::Run(run.run))?;
        let Some(folder) = proxied(uri) else {
            if !artifacts.list(None)?.is_empty() {
                let why =
                    format!("the server keeps files at `{uri}`, which only its clients reach");
                self.skip(format!("files of {}", run.run), why);
            }
            return Ok(());
        };
        let mut left = vec![None];
        while let Some(under) = left.pop() {
            for listed in artifacts.list(under.as_ref())? {
                let path = match &under {
                    None => RepoPath::parse_canonical(&listed.name),
                    Some(under) => Some(RepoPath::join(under, &listed.name)),
                };
                let Some(path) = path else { continue };
                match listed.bytes {
                    None => left.push(Some(path)),
                    Some(_) => self.file(&artifacts, run.run, &path, &folder)?,
                }
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        artifacts: &Artifacts<'_>,
        run: RunName,
        path: &RepoPath,
        folder: &str,
    ) -> Result<()> {
        let Some(mut opened) = artifacts.open(path)? else {
            self.skip(format!("{run}:{path}"), "the cache does not hold it");
            return Ok(());
        };
        let target = format!("{PROXY}/{}", encode(&format!("{folder}/{path}"), b"/"));
        let content = Content::File(&mut opened.file, opened.bytes);
        let answer = self.client.send("PUT", &target, content)?;
        if !(200..300).contains(&answer.status) {
            let status = answer.status;
            return Err(Error::environment(format!("the server answers {status} to `{path}`")));
        }
        self.exported.files += 1;
        self.exported.bytes += opened.bytes;
        Ok(())
    }

    fn skip(&mut self, what: String, why: impl ToString) {
        self.exported.skipped.push(Skipped { what, why: why.to_string() });
    }
}

fn pair(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": value.chars().take(LONGEST).collect::<String>() })
}

/// Returns a value as MLflow's client sends it.
fn value(number: f64) -> Value {
    match number {
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        number if number.is_nan() => "NaN".into(),
        number => number.into(),
    }
}
