//! Contents: objects of the cache by their digest, and files. A content is answered as it is, with
//! the media type of a name that the request gives, as a preview, or as the listing of a folder.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use hyper::Method;

use crate::digest::Digest;
use crate::engine::open_cache;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::report::contents::FolderReport;
use crate::report::preview::PreviewReport;
use crate::report::uses::UsesReport;
use crate::runs::Store;
use crate::serve::http::{Answer, FileResponse, Refusal, Request, Response};
use crate::serve::state::State;

/// Answers requests of this view.
pub(super) async fn route(state: &State, request: &Request) -> Option<Answer> {
    if request.method != Method::GET {
        return None;
    }
    match &request.segments()[..] {
        ["api", "objects", digest] => Some(object(state, digest, request).await),
        ["api", "objects", digest, "uses"] => Some(uses(state, digest).await),
        _ => None,
    }
}

fn parse(digest: &str) -> Result<Digest, Refusal> {
    digest.parse().map_err(|_| Refusal::invalid(format!("`{digest}` is not a digest")))
}

async fn object(state: &State, digest: &str, request: &Request) -> Answer {
    let digest = parse(digest)?;
    let root = state.root.clone();
    if request.query.get("as") == Some("folder") {
        let read = move || FolderReport::read(&open_cache(&root)?, &digest);
        return Ok(Response::json(&state.work(read).await?));
    }
    let open = move || -> Result<Option<File>> {
        let path = open_cache(&root)?.object_path(&digest);
        found(regular_file::open(&path)).map_err(|err| Error::io("open", &path, &err))
    };
    let file = state.work(open).await?.ok_or_else(|| {
        Refusal::missing(format!("the cache of this project does not have {}", digest.short()))
    })?;
    let name = request.query.get("name").unwrap_or_default().to_owned();
    answer(state, file, &name, request).await
}

async fn uses(state: &State, digest: &str) -> Answer {
    let (digest, history) = (parse(digest)?, state.history.clone());
    let read = move |store: &Store| UsesReport::read(store, &history, digest);
    Ok(Response::json(&state.read(read).await?))
}

/// Answers with an open file called `name`.
pub(super) async fn answer(state: &State, file: File, name: &str, request: &Request) -> Answer {
    match request.query.get("as") {
        None => FileResponse::new(file, name).answer(request),
        Some("download") => {
            let last = name.rsplit('/').next().unwrap_or_default();
            FileResponse::new(file, name).saved_as(last).answer(request)
        }
        Some("preview") => {
            let name = name.to_owned();
            let read = move || preview(&name, file);
            Ok(Response::json(&state.work(read).await?))
        }
        Some(other) => Err(Refusal::invalid(format!(
            "`as={other}` is not a form; the forms are `preview`, `download` and `folder`"
        ))),
    }
}

fn preview(name: &str, file: File) -> Result<PreviewReport> {
    let read = || -> io::Result<(Vec<u8>, u64)> {
        let bytes = file.metadata()?.len();
        let mut head = Vec::new();
        (&file).take(PreviewReport::needed(name) as u64).read_to_end(&mut head)?;
        Ok((head, bytes))
    };
    let (head, bytes) =
        read().map_err(|err| Error::environment("cannot read the content").because(err))?;
    Ok(PreviewReport::new(name, &head, bytes))
}

/// Opens a file below a folder. No link is followed, so it is inside of the folder; `None` if there
/// is no such file.
pub(super) fn open_below(folder: &Path, parts: &[String]) -> Result<Option<File>> {
    let opened = regular_file::open_below(folder, parts);
    found(opened).map_err(|err| Error::io("open", folder, &err))
}

/// Takes what is not a file of its own for missing.
fn found(opened: io::Result<File>) -> io::Result<Option<File>> {
    use io::ErrorKind::{InvalidInput, NotADirectory, NotFound};
    match opened {
        Err(err) if matches!(err.kind(), NotFound | NotADirectory | InvalidInput) => Ok(None),
        opened => opened.map(Some),
    }
}
