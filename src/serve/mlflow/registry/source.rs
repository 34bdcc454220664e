//! Checks the source of a version as MLflow's server does: a client may name the files of a run or
//! model only together with that run or model, and no file of this machine.

use super::super::error::no_run;
use crate::error::Result;
use crate::event::RunUid;
use crate::percent::decode;
use crate::runs::Store;
use crate::runs::files::{ModelId, Owner, Place};
use crate::runs::registry::NewVersion;
use crate::serve::http::Refusal;

/// The owner of the files that a version consists of, as the request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Run,
    Model,
}

impl Named {
    fn field(self) -> &'static str {
        match self {
            Named::Run => "run_id",
            Named::Model => "model_id",
        }
    }
}

/// Checks the source of a version.
pub(super) fn check(store: &Store, new: &NewVersion) -> Result<(), Refusal> {
    let source = new.source.as_str();
    let (named, id) = match (&new.model, &new.run) {
        (Some(model), _) => (Named::Model, Some(model.as_str())),
        (None, run) => (Named::Run, run.as_deref()),
    };
    let (scheme, rest) = split(source);
    if matches!(scheme, "" | "file") {
        return check_local(store, rest, source, (named, id));
    }
    if !is_plain(rest) {
        return Err(relative(source));
    }
    let refused = |field: &str| {
        Refusal::invalid(format!(
            "Invalid model version source: '{}'. The {field} request parameter must identify the \
             resource that contains the source.",
            source.escape_debug()
        ))
    };
    match (scheme, Place::of_uri(source)) {
        ("runs" | "models", _) if rest.starts_with("//") => {
            Err(refused(if scheme == "runs" { "run_id" } else { "model_id" }))
        }
        ("runs", place) => match place {
            Some(place) if named == Named::Run && id == Some(&place.id) => Ok(()),
            _ => Err(refused(named.field())),
        },
        // A version of another name has no identity of its own in the source.
        ("models", Some(place)) if ModelId::parse(&place.id).is_some() => {
            match new.model.as_ref().is_none_or(|model| *model == place.id) {
                true => Ok(()),
                false => Err(refused("model_id")),
            }
        }
        ("mlflow-artifacts", Some(place)) => {
            let is_known = store.owner(&place.id)?.is_some();
            match is_known && id == Some(&place.id) {
                true => Ok(()),
                false => Err(refused(named.field())),
            }
        }
        ("mlflow-artifacts", None) => Err(refused(named.field())),
        _ => Ok(()),
    }
}

/// Allows a path of this machine only inside of the local folder that the named run or model has.
fn check_local(
    store: &Store,
    path: &str,
    source: &str,
    (named, id): (Named, Option<&str>),
) -> Result<(), Refusal> {
    let owner = match id {
        Some(id) if named == Named::Run && RunUid::parse(id).is_none() => return Err(no_run(id)),
        Some(id) => store.owner(id)?,
        None => None,
    };
    let root = owner.map(|owner: Owner| store.artifact_uri(&owner)).transpose()?;
    let is_inside = root.as_deref().is_some_and(|root| match split(root) {
        ("" | "file", root) => {
            let (root, path) = (root.trim_end_matches('/'), path.trim_end_matches('/'));
            let below = path.strip_prefix(root);
            !root.is_empty()
                && is_plain(path)
                && below.is_some_and(|it| it.is_empty() || it.starts_with('/'))
        }
        _ => false,
    });
    match is_inside {
        true => Ok(()),
        false => Err(Refusal::invalid(format!(
            "Invalid model version source: '{}'. To use a local path as a model version source, \
             the {} request parameter has to be specified and the local path has to be contained \
             within the artifact directory of the run specified by the {}.",
            source.escape_debug(),
            named.field(),
            named.field()
        ))),
    }
}

/// Splits a URI into its scheme, which is empty for a path, and the rest.
fn split(uri: &str) -> (&str, &str) {
    let is_scheme = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    match uri.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", uri),
    }
}

/// Reports whether a path, behind the name of a server if there is one, is absolute and has no name
/// that leads elsewhere, however often it is decoded.
fn is_plain(rest: &str) -> bool {
    let mut text = rest.to_owned();
    loop {
        let leads = text.split('/').any(|name| matches!(name, "." | "..")) || text.contains('\0');
        if leads {
            return false;
        }
        let next = String::from_utf8_lossy(&decode(&text)).into_owned();
        if next == text {
            break;
        }
        text = next;
    }
    let path = match rest.strip_prefix("//") {
        Some(rest) => rest.split_once('/').map_or("", |(_, path)| path),
        None => rest.strip_prefix('/').unwrap_or(""),
    };
    !path.trim_matches('/').is_empty()
}

fn relative(source: &str) -> Refusal {
    Refusal::invalid(format!(
        "Invalid model version source: '{}'. If supplying a source as an http, https, local file \
         path, ftp, objectstore, or mlflow-artifacts uri, an absolute path must be provided \
         without relative path references present. Please provide an absolute path.",
        source.escape_debug()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths() {
        for rest in ["/a", "//host/a/b", "///tmp/a", "/a b/c.d"] {
            assert!(is_plain(rest), "{rest}");
        }
        let bad =
            ["", "a", "//host", "/", "/a/../b", "//h/..%2fa", "/a/%252e%252e/b", "/a%00", "/./a"];
        for rest in bad {
            assert!(!is_plain(rest), "{rest}");
        }
    }

    #[test]
    fn sources_of_versions() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::empty(dir.path()).unwrap();
        let [run, other] = ["a", "b"].map(|digit| digit.repeat(32));
        let model = format!("m-{run}");
        let check = |source: &str, run: Option<&str>, model: Option<&str>| {
            let [run, model] = [run, model].map(|id| id.map(str::to_owned));
            let new = NewVersion { source: source.to_owned(), run, model, ..Default::default() };
            check(&store, &new).map_err(|refusal| refusal.message)
        };
        assert_eq!(check("s3://bucket/model", None, None), Ok(()));
        assert_eq!(check(&format!("runs:/{run}/model"), Some(&run), None), Ok(()));
        assert_eq!(check(&format!("models:/{model}"), None, Some(&model)), Ok(()));
        assert_eq!(check("models:/genre/3", None, None), Ok(()));
        let is_refused = |source: &str, run: Option<&str>, model: Option<&str>, why: &str| {
            let message = check(source, run, model).unwrap_err();
            assert!(message.contains(why), "{source}: {message}");
        };
        is_refused("/data/model", None, None, "the run_id request parameter has to be specified");
        is_refused("file:///data/model", Some(&run), None, "To use a local path");
        is_refused("model", None, Some(&model), "the model_id request parameter has to be");
        is_refused("s3://bucket/a/../b", None, None, "without relative path references");
        let of_run = format!("runs:/{run}/model");
        is_refused(&of_run, None, None, "The run_id request parameter must identify");
        is_refused(&of_run, Some(&other), None, "The run_id request parameter must identify");
        is_refused(&of_run, Some(&run), Some(&model), "The model_id request parameter");
        is_refused(&format!("models:/{model}"), None, Some("m-x"), "The model_id request");
        let uploaded = format!("mlflow-artifacts:/1/{run}/artifacts/a");
        is_refused(&uploaded, Some(&run), None, "The run_id request parameter must identify");
    }
}
