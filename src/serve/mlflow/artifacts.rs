//! Artifacts over HTTP: clients upload, list, download and delete the files of runs and of logged
//! models. Outs and reported files of a pipeline's run are listed and served as well.

use hyper::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::target::Target;
use crate::engine::Project;
use crate::engine::artifacts::{Artifacts, Opened};
use crate::error::{Error, Result};
use crate::pipeline::StageName;
use crate::repo_path::RepoPath;
use crate::runs::Store;
use crate::runs::files::{self, Listed, Owner, Place, Upload, parse_path};
use crate::serve::http::{Answer, BodyStream, FileResponse, Refusal, Request, Response};
use crate::serve::state::State;

/// Size of the pieces in which an upload is written.
const PIECE: usize = 1 << 20;

/// Answers requests for artifacts.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    let segments = request.segments();
    let path = match &segments[..] {
        ["get-artifact"] if request.method == Method::GET => {
            return Some(get_artifact(state, request).await);
        }
        ["api" | "ajax-api", "2.0", path @ ..] => path,
        _ => return None,
    };
    Some(match (&request.method, path) {
        (&Method::GET, ["mlflow", "artifacts", "list"]) => list_of_run(state, request).await,
        (&Method::GET, ["mlflow", "logged-models", id, "artifacts", "directories"]) => {
            list_of_model(state, request, id).await
        }
        (&Method::GET, ["mlflow", "logged-models", id, "artifacts", "files"]) => {
            file_of_model(state, request, id).await
        }
        (&Method::POST, ["mlflow", "upload-artifact"]) => upload_to_run(state, request).await,
        (&Method::GET, ["mlflow-artifacts", "artifacts"]) => list(state, request).await,
        (&Method::GET | &Method::HEAD, ["mlflow-artifacts", "artifacts", path @ ..]) => {
            download(state, request, &path.join("/")).await
        }
        (&Method::PUT, ["mlflow-artifacts", "artifacts", path @ ..]) => {
            upload(state, request, &path.join("/")).await
        }
        (&Method::DELETE, ["mlflow-artifacts", "artifacts", path @ ..]) => {
            delete(state, &path.join("/")).await
        }
        (_, ["mlflow-artifacts", "mpu" | "presigned", ..]) => {
            Err(Refusal::not_implemented("files are uploaded and downloaded in one piece"))
        }
        _ => return None,
    })
}

/// Parses the path of an artifact.
fn checked(text: &str) -> Result<RepoPath, Refusal> {
    parse_path(text).map_err(|_| invalid_path())
}

/// Refuses a path in the words of MLflow.
fn invalid_path() -> Refusal {
    Refusal::invalid("Invalid path")
}

/// Parses the path of a file below the artifacts of the server.
fn file(text: &str) -> Result<(String, RepoPath), Refusal> {
    match Place::parse(text).map_err(|_| invalid_path())? {
        Some(Place { id, path: Some(path) }) => Ok((id, path)),
        _ => Err(Refusal::invalid(format!(
            "`{}` is not the path of an artifact, which is EXPERIMENT/RUN/artifacts/PATH",
            text.escape_debug()
        ))),
    }
}

async fn owner(state: &State, id: &str) -> Result<Owner, Refusal> {
    let id = id.to_owned();
    state.read(move |store| owner_in(store, &id)).await
}

fn owner_in(store: &Store, id: &str) -> Result<Owner, Refusal> {
    store.owner(id)?.ok_or_else(|| Refusal::missing(format!("Run with id={id} not found")))
}

async fn upload(state: &State, request: &Request, path: &str) -> Answer {
    let (id, path) = file(path)?;
    receive(state, request, &id, path).await
}

/// Uploads a file of a run: `upload-artifact?run_uuid=…&path=…`, as a page of MLflow's does.
async fn upload_to_run(state: &State, request: &Request) -> Answer {
    let given = |name: &str| {
        let value = request.query.get(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| Refusal::invalid(format!("Request must specify {name}.")))
    };
    let (id, path) = (given("run_uuid")?, checked(given("path")?)?);
    receive(state, request, id, path).await
}

async fn receive(state: &State, request: &Request, id: &str, path: RepoPath) -> Answer {
    let owner = owner(state, id).await?;
    let stage = stage_of(request, id, &path)?;
    let history = state.history.clone();
    let mut upload = state.work(move || Upload::begin(&history)).await?;
    let mut body = request.body_stream();
    while let Some(piece) = next_piece(&mut body).await? {
        upload = state.work(move || upload.write(&piece).map(|()| upload)).await?;
    }
    state.write(move |store| store.keep_upload(&upload, &owner, &stage, &path)).await?;
    Ok(Response::empty(StatusCode::OK))
}

/// Returns the stage that the sender works for, if the file is in its folder.
fn stage_of(request: &Request, id: &str, path: &RepoPath) -> Result<StageName, Refusal> {
    let Target { stage, .. } = Target::of(request, id)?;
    let is_own = path.as_str().split_once('/').is_some_and(|(folder, _)| folder == stage.as_str());
    Ok(if is_own { stage } else { StageName::outside() })
}

/// Returns the next piece of a body, which is large unless it is the last.
async fn next_piece(body: &mut BodyStream<'_>) -> Result<Option<Vec<u8>>, Refusal> {
    let mut piece = Vec::new();
    while piece.len() < PIECE {
        match body.next().await? {
            Some(bytes) => piece.extend_from_slice(&bytes),
            None if piece.is_empty() => return Ok(None),
            None => break,
        }
    }
    Ok(Some(piece))
}

async fn download(state: &State, request: &Request, path: &str) -> Answer {
    let (id, path) = file(path)?;
    send(state, request, &id, path).await
}

/// Serves a file to a page of MLflow's: `/get-artifact?run_uuid=…&path=…`.
async fn get_artifact(state: &State, request: &Request) -> Answer {
    let (Some(id), Some(path)) = (run_id(request), request.query.get("path")) else {
        return Err(Refusal::invalid("the parameters `run_id` and `path` are required"));
    };
    send(state, request, id, checked(path)?).await
}

/// Serves a file of a logged model: `files?artifact_file_path=…`.
async fn file_of_model(state: &State, request: &Request, id: &str) -> Answer {
    let Some(path) = request.query.get("artifact_file_path").filter(|path| !path.is_empty()) else {
        return Err(Refusal::bad_request(
            "Request must include the \"artifact_file_path\" query parameter.",
        ));
    };
    let path = checked(path)?;
    model(state, id).await?;
    send(state, request, id, path).await
}

/// Returns a logged model as the owner of files.
async fn model(state: &State, id: &str) -> Result<Owner, Refusal> {
    match owner(state, id).await? {
        owner @ Owner::Model(_) => Ok(owner),
        Owner::Run(_) => Err(Refusal::missing(format!("there is no logged model `{id}`"))),
    }
}

fn run_id(request: &Request) -> Option<&str> {
    request.query.get("run_id").or_else(|| request.query.get("run_uuid"))
}

async fn send(state: &State, request: &Request, id: &str, path: RepoPath) -> Answer {
    let owner = owner(state, id).await?;
    let is_whole = !request.headers.contains_key(hyper::header::RANGE);
    let (history, wanted) = (state.history.clone(), path.clone());
    let of = owner.clone();
    let uploaded = state.work(move || files::open(&history, &of, &wanted)).await?;
    let (file, tag) = match (uploaded, owner) {
        (Some(file), _) => (file, None),
        (None, owner @ Owner::Run(_)) => {
            let wanted = path.clone();
            let kept = state.project(move |project| open_kept(project, owner, &wanted, is_whole));
            let opened = kept.await?.ok_or_else(|| no_artifact(&path))?;
            (opened.file, opened.content.map(|content| content.digest()))
        }
        (None, Owner::Model(_)) => return Err(no_artifact(&path)),
    };
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
    let mut response = FileResponse::new(file, name).saved_as(name);
    if let Some(digest) = tag {
        response = response.tagged(digest);
    }
    response.answer(request)
}

fn no_artifact(path: &RepoPath) -> Refusal {
    Refusal::missing(format!("No such artifact: '{path}'"))
}

/// Opens a file of the cache. One that is sent whole is verified before.
fn open_kept(
    project: &Project,
    owner: Owner,
    path: &RepoPath,
    is_whole: bool,
) -> Result<Option<Opened>> {
    let Some(store) = Store::open_existing(&project.history)? else { return Ok(None) };
    let artifacts = Artifacts::of(&project.history, &store, &project.cache, owner)?;
    let opened = artifacts.open(path)?;
    if let Some(opened) = opened.as_ref().filter(|_| is_whole) {
        artifacts.verify(path, opened)?;
    }
    Ok(opened)
}

async fn delete(state: &State, path: &str) -> Answer {
    let (id, path) = file(path)?;
    state
        .write(move |store| match store.owner(&id)? {
            Some(owner) => store.remove_upload(&owner, &path),
            None => Ok::<(), Error>(()),
        })
        .await?;
    Ok(Response::json(&json!({})))
}

/// Lists a folder for a client, with the names alone.
async fn list(state: &State, request: &Request) -> Answer {
    let place = Place::parse(request.query.get("path").unwrap_or(""));
    let Some(place) = place.map_err(|_| invalid_path())? else {
        return Ok(Response::json(&json!({})));
    };
    let id = place.id.clone();
    let Some(owner) = state.read(move |store| store.owner(&id)).await? else {
        return Ok(Response::json(&json!({})));
    };
    let listed = entries(state, owner, place.path).await?;
    Ok(Response::json(&with_files(Map::new(), "", &listed)))
}

/// Lists a folder of a run, with the paths in the run.
async fn list_of_run(state: &State, request: &Request) -> Answer {
    let Some(id) = run_id(request).map(str::to_owned) else {
        return Err(Refusal::invalid("Missing value for required parameter 'run_id'."));
    };
    let folder = Target::of(request, &id)?.folder();
    let (owner, mut root) = state
        .read(move |store| {
            let owner = owner_in(store, &id)?;
            let root = store.artifact_uri(&owner)?;
            Ok::<_, Refusal>((owner, root))
        })
        .await?;
    if let Some(folder) = &folder {
        root = format!("{root}/{folder}");
    }
    list_with_paths(state, request, owner, Some(root), folder).await
}

async fn list_of_model(state: &State, request: &Request, id: &str) -> Answer {
    let owner = model(state, id).await?;
    list_with_paths(state, request, owner, None, None).await
}

async fn list_with_paths(
    state: &State,
    request: &Request,
    owner: Owner,
    root: Option<String>,
    folder: Option<RepoPath>,
) -> Answer {
    let under = request.query.get("path").or_else(|| request.query.get("artifact_directory_path"));
    let path = match under.map(|path| path.trim_matches('/')) {
        None | Some("") => None,
        Some(path) => Some(checked(path)?),
    };
    let prefix = path.as_ref().map_or_else(String::new, |path| format!("{path}/"));
    let path = match (folder, path) {
        (Some(folder), Some(path)) => Some(checked(&format!("{folder}/{path}"))?),
        (folder, path) => folder.or(path),
    };
    let listed = entries(state, owner, path).await?;
    let mut answer = Map::new();
    if let Some(root) = root {
        answer.insert("root_uri".into(), root.into());
    }
    Ok(Response::json(&with_files(answer, &prefix, &listed)))
}

async fn entries(
    state: &State,
    owner: Owner,
    path: Option<RepoPath>,
) -> Result<Vec<Listed>, Refusal> {
    let (history, of, under) = (state.history.clone(), owner.clone(), path.clone());
    let uploaded = state.work(move || files::list(&history, &of, under.as_ref()));
    if let Owner::Model(_) = owner {
        return Ok(uploaded.await?);
    }
    let all = state.project(move |project| {
        let Some(store) = Store::open_existing(&project.history)? else { return Ok(Vec::new()) };
        let artifacts = Artifacts::of(&project.history, &store, &project.cache, owner)?;
        artifacts.list(path.as_ref())
    });
    match all.await {
        Ok(listed) => Ok(listed),
        // Without a valid pipeline the cache is unknown, and the uploaded files are not.
        Err(Error { .. }) => Ok(uploaded.await?),
    }
}

/// Adds the list of files. An empty one is left out, as in all of MLflow's answers.
fn with_files(mut answer: Map<String, Value>, prefix: &str, listed: &[Listed]) -> Value {
    let files = listed.iter().map(|Listed { name, bytes }| match bytes {
        Some(bytes) => {
            json!({ "path": format!("{prefix}{name}"), "is_dir": false, "file_size": bytes })
        }
        None => json!({ "path": format!("{prefix}{name}"), "is_dir": true }),
    });
    let files: Vec<Value> = files.collect();
    if !files.is_empty() {
        answer.insert("files".into(), files.into());
    }
    answer.into()
}
