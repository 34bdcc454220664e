//! Paths of uploaded files, identities of logged models, and the URIs by which MLflow's clients
//! name them. Does no I/O.

use crate::error::{Error, Result};
use crate::percent::decode;
use crate::repo_path::RepoPath;

/// Folder of uploaded files in the folder of their owner.
pub const ARTIFACTS: &str = "artifacts";
/// Number of times that a path may be encoded.
const MAX_DECODED: usize = 10;

/// Identity of a logged model: `m-` and 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ModelId(String);

impl ModelId {
    pub fn parse(text: &str) -> Option<ModelId> {
        let digits = text.strip_prefix("m-")?;
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (digits.len() == 32 && is_hex).then(|| ModelId(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Parses the path of an uploaded file.
///
/// # Errors
/// The path is empty, absolute, or leads out of its folder, also when it is percent-decoded again:
/// servers in between may do that.
pub fn parse_path(text: &str) -> Result<RepoPath> {
    let mut decoded = text.to_owned();
    for _ in 0..MAX_DECODED {
        let leaves = decoded.split(['/', '\\']).any(|name| matches!(name, "." | ".."));
        if leaves || decoded.starts_with(['/', '\\']) {
            return Err(invalid_path(text));
        }
        let next = String::from_utf8_lossy(&decode(&decoded)).into_owned();
        if next == decoded {
            return RepoPath::parse_canonical(text.trim_end_matches('/'))
                .ok_or_else(|| invalid_path(text));
        }
        decoded = next;
    }
    Err(invalid_path(text))
}

/// A path below the artifacts of a server: `EXPERIMENT/RUN/artifacts/PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Identity of a run or a logged model.
    pub id: String,
    /// `None` for the root of its artifacts.
    pub path: Option<RepoPath>,
}

impl Place {
    /// Finds the run or model in a path; `None` if the path is above all of them. The experiment,
    /// or whatever folder it was given, is in front of them.
    ///
    /// # Errors
    /// The path is not valid.
    pub fn parse(text: &str) -> Result<Option<Place>> {
        if text.trim_matches('/').is_empty() {
            return Ok(None);
        }
        let whole = parse_path(text)?;
        let names: Vec<&str> = whole.as_str().split('/').collect();
        let is_id = |name: &str| {
            let hex = name.strip_prefix("m-").unwrap_or(name);
            hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let at = names.windows(2).position(|pair| is_id(pair[0]) && pair[1] == ARTIFACTS);
        let Some(at) = at else { return Ok(None) };
        let below = names[at + 2..].join("/");
        let path = if below.is_empty() { None } else { Some(parse_path(&below)?) };
        Ok(Some(Place { id: names[at].to_owned(), path }))
    }

    /// Finds the run or model that a URI of MLflow's means: `runs:/RUN/PATH`, `models:/m-…` or
    /// `mlflow-artifacts:/…`; `None` for any other.
    pub fn of_uri(uri: &str) -> Option<Place> {
        let (scheme, rest) = uri.split_once(':')?;
        let rest = match rest.strip_prefix("//") {
            // The name of a server.
            Some(rest) => rest.split_once('/')?.1,
            None => rest.strip_prefix('/')?,
        };
        if scheme == "mlflow-artifacts" {
            return Place::parse(rest).ok().flatten();
        }
        let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_one = scheme == "runs" || (scheme == "models" && ModelId::parse(id).is_some());
        let path = match path.trim_matches('/') {
            "" => None,
            path => Some(parse_path(path).ok()?),
        };
        is_one.then(|| Place { id: id.to_owned(), path })
    }
}

fn invalid_path(text: &str) -> Error {
    let shown: String = text.chars().take(200).collect();
    Error::usage(format!("invalid artifact path `{}`", shown.escape_debug()))
        .hint("a path is relative, with `/` between names, and has no `..`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn paths_of_artifacts() {
        let key = "images/key+step+1+t+9.png";
        for path in ["a", "a/b c.txt", "日本/ü.bin", key, "a..b/..c", "100%", "%zz", "a%20b"] {
            assert_eq!(parse_path(path).unwrap().as_str(), path);
        }
        assert_eq!(parse_path("a/").unwrap().as_str(), "a");
        let bad = [
            "",
            "/",
            "/a",
            "..",
            "a/..",
            "../a",
            "a/../b",
            ".",
            "./a",
            "a//b",
            "a\\..\\b",
            "%2e%2e",
            "a/%2E%2e/b",
            "%252e%252e/x",
            "%25252e.",
            "%2fetc",
            "a\nb",
            "\0",
        ];
        for path in bad {
            assert_eq!(parse_path(path).map_err(|err| err.kind), Err(Kind::Usage), "{path:?}");
        }
    }

    #[test]
    fn places_of_uris() {
        let (run, model) = ("ab".repeat(16), format!("m-{}", "0".repeat(32)));
        let place = |uri: &str| {
            let place = Place::of_uri(uri)?;
            Some((place.id, place.path.map(|path| path.to_string()).unwrap_or_default()))
        };
        for (uri, id, path) in [
            (format!("runs:/{run}/a/b"), &run, "a/b"),
            (format!("runs:/{run}"), &run, ""),
            (format!("models:/{model}"), &model, ""),
            (format!("mlflow-artifacts:/1/{run}/artifacts/a"), &run, "a"),
            (format!("mlflow-artifacts://host:80/x/y/{run}/artifacts"), &run, ""),
            (format!("mlflow-artifacts:/1/models/{model}/artifacts/"), &model, ""),
        ] {
            assert_eq!(place(&uri), Some((id.clone(), path.to_owned())), "{uri}");
        }
        for uri in ["", "s3://a/b", "/data/x", "models:/genre/3", "mlflow-artifacts:/1"] {
            assert_eq!(place(uri), None, "{uri}");
        }
        assert_eq!(place(&format!("runs:/{run}/../x")), None);
    }

    #[test]
    fn models_by_identity() {
        let id = format!("m-{}", "a1".repeat(16));
        assert_eq!(ModelId::parse(&id).unwrap().as_str(), id);
        for bad in ["", "m-", "m-../x", &id[1..], &id.to_uppercase(), &format!("{id}0")] {
            assert_eq!(ModelId::parse(bad), None, "{bad}");
        }
    }
}
