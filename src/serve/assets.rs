//! Scripts, styles and libraries of the pages. `build.rs` compresses them into the program.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use hyper::Method;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, ETAG, VARY};

use super::http::{Answer, Refusal, Request, Response};
use crate::digest::Digest;

/// Paths and compressed contents.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));
/// Environment variable of debug builds: a folder whose files take precedence, so that a change
/// shows without building the program.
const FOLDER: &str = "REPRO_UI_ASSETS";

static BY_PATH: LazyLock<BTreeMap<&str, &[u8]>> = LazyLock::new(|| FILES.iter().copied().collect());

/// Answers requests below `/assets`.
pub(super) fn route(request: &Request) -> Option<Answer> {
    let segments = request.segments();
    let ["assets", path @ ..] = &segments[..] else { return None };
    if request.method != Method::GET {
        return None;
    }
    Some(answer(&path.join("/"), request))
}

fn answer(path: &str, request: &Request) -> Answer {
    let kind = media_type(path);
    if let Some(bytes) = on_disk(path) {
        return Ok(Response::bytes(kind, bytes));
    }
    let Some(compressed) = BY_PATH.get(path).filter(|_| !path.ends_with(".html")) else {
        return Err(Refusal::missing(format!("there is no asset `{path}`")));
    };
    let accepted = request.header(ACCEPT_ENCODING).is_some_and(accepts_gzip);
    let digest = Digest::of(compressed).to_string();
    let tag = |form| format!("\"{}-{form}\"", &digest[..32]);
    let response = if accepted {
        Response::bytes(kind, *compressed).with(CONTENT_ENCODING, "gzip").with(ETAG, &tag("gzip"))
    } else {
        Response::bytes(kind, decompressed(compressed)).with(ETAG, &tag("plain"))
    };
    Ok(response.with(VARY, "Accept-Encoding"))
}

/// Returns the text of an asset that is a template.
pub(super) fn template(path: &str) -> Cow<'static, str> {
    let bytes = on_disk(path).or_else(|| BY_PATH.get(path).map(|bytes| decompressed(bytes)));
    match bytes.map(String::from_utf8) {
        Some(Ok(text)) => Cow::Owned(text),
        _ => Cow::Borrowed(""),
    }
}

/// Reads an asset from the folder that a debug build uses instead of its own assets.
fn on_disk(path: &str) -> Option<Vec<u8>> {
    if !cfg!(debug_assertions) {
        return None;
    }
    let folder = PathBuf::from(std::env::var_os(FOLDER)?);
    let is_below = !path.split('/').any(|name| matches!(name, "" | "." | ".."));
    std::fs::read(folder.join(path)).ok().filter(|_| is_below)
}

fn decompressed(compressed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match GzDecoder::new(compressed).read_to_end(&mut bytes) {
        Ok(_) => bytes,
        Err(err) => panic!("BUG: an asset is damaged: {err}"),
    }
}

/// Reports whether a client that sends this `Accept-Encoding` reads gzip.
fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or("");
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let is_refused = quality.is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0));
        matches!(name, "gzip" | "*") && !is_refused
    })
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assets_are_as_on_disk() {
        for (path, compressed) in FILES {
            let file = match path.strip_prefix("vendor/") {
                Some(path) => format!("src/vendor/{path}"),
                None => format!("src/serve/web/{path}"),
            };
            assert_eq!(decompressed(compressed), std::fs::read(file).unwrap(), "{path}");
        }
        assert!(BY_PATH.contains_key("shell.html"));
        assert!(BY_PATH.contains_key("vendor/uplot/uPlot.min.css"));
    }

    #[test]
    fn gzip_only_if_accepted() {
        for (accepted, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.5", true),
            ("*", true),
            ("", false),
            ("br", false),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("xgzip", false),
        ] {
            assert_eq!(accepts_gzip(accepted), expected, "{accepted}");
        }
    }
}
