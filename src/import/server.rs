//! Reads a tracking server through its REST API.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::entity::{
    Experiment, Lifecycle, Model, Place, Registered, Role, Run, Source, Texts, UsedModel, Version,
    model_status,
};
use super::http::{Client, Content, query};
use super::place::{self, folder_of};
use crate::data::not_finite;
use crate::error::{Error, Result};
use crate::percent::encode;
use crate::runs::DatasetInput;
use crate::runs::tracking::LoggedPoint;

pub(super) const API: &str = "/api/2.0/mlflow";
/// Path of the artifacts that a server stores for its clients.
pub(super) const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

/// A running server.
#[derive(Debug)]
pub(super) struct Server(pub(super) Client);

impl Server {
    /// Returns the items of all pages of a search.
    fn pages(&self, path: &str, mut body: Value, items: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let mut page = self.0.json("POST", &format!("{API}/{path}"), &body)?;
            let token = page["next_page_token"].as_str().unwrap_or_default().to_owned();
            let Value::Array(found) = page[items].take() else { return Ok(all) };
            all.extend(found);
            if token.is_empty() {
                return Ok(all);
            }
            body["page_token"] = token.into();
        }
    }

    /// Does the same as [`Server::pages`] for a search by GET.
    fn get_pages(&self, path: &str, pairs: &[(&str, &str)], items: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        let mut token = String::new();
        loop {
            let mut pairs = pairs.to_vec();
            if !token.is_empty() {
                pairs.push(("page_token", &token));
            }
            let path = format!("{API}/{path}{}", query(&pairs));
            let mut page = self.0.json("GET", &path, &Value::Null)?;
            let next = page["next_page_token"].as_str().unwrap_or_default().to_owned();
            let Value::Array(found) = page[items].take() else { return Ok(all) };
            all.extend(found);
            if next.is_empty() {
                return Ok(all);
            }
            token = next;
        }
    }

    fn walk(&self, folder: &str, below: &str, paths: &mut Vec<String>) -> Result<()> {
        let path = if below.is_empty() { folder.to_owned() } else { format!("{folder}/{below}") };
        let listed =
            self.0.find("GET", &format!("{PROXY}{}", query(&[("path", &path)])), &json!({}))?;
        for file in listed.iter().flat_map(|listed| array(&listed["files"])) {
            let name = text(&file["path"]);
            // A stranger's answer: a name is one part of a path.
            if name.is_empty() || name.contains('/') || matches!(&*name, "." | "..") {
                return Err(Error::usage(format!(
                    "the server lists a file `{}`",
                    name.escape_debug()
                )));
            }
            let inside = if below.is_empty() { name } else { format!("{below}/{name}") };
            if inside.split('/').count() > MAX_DEPTH {
                return Err(Error::usage(format!("`{path}` of the server has too many levels")));
            }
            match file["is_dir"] == true {
                true => self.walk(folder, &inside, paths)?,
                false => paths.push(inside),
            }
        }
        Ok(())
    }
}

const MAX_DEPTH: usize = 64;

impl Source for Server {
    fn experiments(&mut self) -> Result<Vec<Experiment>> {
        let body = json!({ "max_results": 1000, "view_type": "ALL" });
        let mut found: Vec<Experiment> = self
            .pages("experiments/search", body, "experiments")?
            .iter()
            .map(|one| Experiment {
                id: text(&one["experiment_id"]),
                name: text(&one["name"]),
                lifecycle: Lifecycle::parse(one["lifecycle_stage"].as_str()),
                created: number(&one["creation_time"]),
                updated: number(&one["last_update_time"]),
                tags: texts(&one["tags"]),
            })
            .collect();
        found.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(found)
    }

    fn runs(&mut self, experiment: &Experiment) -> Result<Vec<Run>> {
        let body = json!({
            "experiment_ids": [experiment.id],
            "run_view_type": "ALL",
            "max_results": 1000,
            "order_by": ["attributes.start_time ASC"],
        });
        Ok(self.pages("runs/search", body, "runs")?.iter().map(run).collect())
    }

    fn points(&mut self, run: &Run, take: &mut dyn FnMut(LoggedPoint) -> Result<()>) -> Result<()> {
        let path = format!("{API}/runs/get{}", query(&[("run_id", &run.id)]));
        let found = self.0.json("GET", &path, &Value::Null)?;
        for metric in array(&found["run"]["data"]["metrics"]) {
            let key = text(&metric["key"]);
            let pairs = [("run_id", &*run.id), ("metric_key", &key), ("max_results", "25000")];
            for point in self.get_pages("metrics/get-history", &pairs, "metrics")? {
                take(point_of(&point))?;
            }
        }
        Ok(())
    }

    fn models(&mut self, experiment: &Experiment) -> Result<Vec<Model>> {
        let body = json!({ "experiment_ids": [experiment.id], "max_results": 50 });
        // A server before 3.0 has no logged models.
        let Ok(found) = self.pages("logged-models/search", body, "models") else {
            return Ok(Vec::new());
        };
        Ok(found.iter().map(model).collect())
    }

    fn registered(&mut self) -> Result<Vec<Registered>> {
        let pairs = [("max_results", "1000")];
        let models = self.get_pages("registered-models/search", &pairs, "registered_models")?;
        let mut found = Vec::new();
        for model in &models {
            let name = text(&model["name"]);
            let filter = format!("name='{name}'");
            let pairs = [("filter", &*filter), ("max_results", "1000")];
            let versions = self.get_pages("model-versions/search", &pairs, "model_versions")?;
            found.push(registered(model, &versions));
        }
        Ok(found)
    }

    fn files(&mut self, place: &Place) -> Result<Vec<String>> {
        let Place::Server(folder) = place else { return place::files(place) };
        let mut paths = Vec::new();
        self.walk(folder, "", &mut paths)?;
        Ok(paths)
    }

    fn open(&mut self, place: &Place, path: &str) -> Result<Box<dyn Read>> {
        let Place::Server(folder) = place else { return place::open(place, path) };
        let path = format!("{PROXY}/{}", encode(&format!("{folder}/{path}"), b"/"));
        let answer = self.0.send("GET", &path, Content::Nothing)?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Error::environment(format!("the server answers {status} for `{path}`"))),
        }
    }
}

fn run(run: &Value) -> Run {
    let (info, data) = (&run["info"], &run["data"]);
    let tags = texts(&data["tags"]);
    let name = text(&info["run_name"]);
    let used = |list: &Value, role| {
        let models = array(list).map(|one| UsedModel {
            id: text(&one["model_id"]),
            role,
            step: number(&one["step"]),
        });
        models.collect::<Vec<_>>()
    };
    let (inputs, outputs) = (&run["inputs"], &run["outputs"]);
    let mut models = used(&inputs["model_inputs"], Role::Input);
    models.extend(used(&outputs["model_outputs"], Role::Output));
    Run {
        id: text(&info["run_id"]),
        name: if name.is_empty() {
            tags.get("mlflow.runName").cloned().unwrap_or_default()
        } else {
            name
        },
        status: text(&info["status"]),
        started: number(&info["start_time"]),
        ended: Some(number(&info["end_time"])).filter(|time| *time != 0),
        lifecycle: Lifecycle::parse(info["lifecycle_stage"].as_str()),
        user: text(&info["user_id"]),
        params: texts(&data["params"]),
        tags,
        datasets: array(&inputs["dataset_inputs"]).map(dataset).collect(),
        models,
        files: place_of(&text(&info["artifact_uri"])),
    }
}

fn dataset(input: &Value) -> DatasetInput {
    let dataset = &input["dataset"];
    DatasetInput {
        name: text(&dataset["name"]),
        digest: text(&dataset["digest"]),
        source_type: text(&dataset["source_type"]),
        source: text(&dataset["source"]),
        schema: dataset["schema"].as_str().map(str::to_owned),
        profile: dataset["profile"].as_str().map(str::to_owned),
        tags: texts(&input["tags"]).into_iter().collect(),
    }
}

fn model(model: &Value) -> Model {
    let (info, data) = (&model["info"], &model["data"]);
    let points = array(&data["metrics"]).map(|one| (text(&one["run_id"]), point_of(one)));
    Model {
        id: text(&info["model_id"]),
        name: text(&info["name"]),
        kind: info["model_type"].as_str().map(str::to_owned),
        run: info["source_run_id"].as_str().map(str::to_owned),
        status: model_status(&text(&info["status"])),
        created: number(&info["creation_timestamp_ms"]),
        updated: number(&info["last_updated_timestamp_ms"]),
        params: texts(&data["params"]),
        tags: texts(&info["tags"]),
        points: points.collect(),
        files: place_of(&text(&info["artifact_uri"])),
    }
}

fn registered(model: &Value, versions: &[Value]) -> Registered {
    let aliases = array(&model["aliases"])
        .map(|one| (text(&one["alias"]), text(&one["version"]).parse().unwrap_or(0)));
    let mut versions: Vec<Version> = versions
        .iter()
        .map(|one| Version {
            version: text(&one["version"]).parse().unwrap_or(0),
            description: one["description"].as_str().map(str::to_owned),
            created: number(&one["creation_timestamp"]),
            updated: number(&one["last_updated_timestamp"]),
            stage: one["current_stage"].as_str().unwrap_or("None").to_owned(),
            source: text(&one["source"]),
            run: one["run_id"].as_str().filter(|run| !run.is_empty()).map(str::to_owned),
            tags: texts(&one["tags"]),
        })
        .collect();
    versions.sort_by_key(|version| version.version);
    Registered {
        name: text(&model["name"]),
        description: model["description"].as_str().map(str::to_owned),
        created: number(&model["creation_timestamp"]),
        updated: number(&model["last_updated_timestamp"]),
        tags: texts(&model["tags"]),
        aliases: aliases.collect(),
        versions,
    }
}

fn place_of(uri: &str) -> Place {
    match proxied(uri) {
        Some(path) => Place::Server(path),
        None => folder_of(Path::new(uri).to_owned(), Some(uri.to_owned()), Path::new("/")),
    }
}

/// Returns the path of files that a server stores for its clients; `None` if they are elsewhere.
pub(super) fn proxied(uri: &str) -> Option<String> {
    let path = uri.strip_prefix("mlflow-artifacts:")?;
    // `mlflow-artifacts://host/path` names the server as well.
    let path = match path.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path,
    };
    Some(path.trim_matches('/').to_owned())
}

fn point_of(point: &Value) -> LoggedPoint {
    let value = &point["value"];
    let value = value.as_f64().or_else(|| not_finite(value.as_str()?)).unwrap_or(f64::NAN);
    let is_infinite = value.abs() == f64::MAX;
    LoggedPoint {
        key: text(&point["key"]),
        at: number(&point["timestamp"]),
        step: number(&point["step"]),
        value: if is_infinite { value.signum() * f64::INFINITY } else { value },
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// Returns a whole number, which may be written as text.
fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// Returns a list of keys and values as a map.
fn texts(list: &Value) -> Texts {
    let pair = |one: &Value| Some((one["key"].as_str()?.to_owned(), text(&one["value"])));
    array(list).filter_map(pair).collect()
}
