//! Contents: objects of the cache by their digest, and files. A content is answered as it is, with
//! the media type of a name that the request gives, as a preview, or as the listing of a folder.
//!
//! # Known limits
//!
//! - An object that is sent whole is verified before; a part and a preview are not.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use hyper::Method;
use hyper::header::RANGE;

use crate::cache::Cache;
use crate::cache::inventory::Integrity;
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
    let form = request.query.get("as");
    if form == Some("folder") {
        let read = move || {
            let cache = open_cache(&root)?;
            open_object(&cache, &digest)?;
            FolderReport::read(&cache, &digest)
        };
        return Ok(Response::json(&state.work(read).await?));
    }
    let is_whole = form != Some("preview") && !request.headers.contains_key(RANGE);
    let open = move || -> Result<File> {
        let cache = open_cache(&root)?;
        let file = open_object(&cache, &digest)?;
        if is_whole && cache.check(&digest, &|_| {}) != Integrity::Intact {
            return Err(Error::damaged(format!("the object {} is damaged", digest.short()))
                .hint("`repro fsck --repair` repairs the cache"));
        }
        Ok(file)
    };
    let file = state.work(open).await?;
    let name = request.query.get("name").unwrap_or_default().to_owned();
    answer(state, Opened { file, name, digest: Some(digest) }, request).await
}

fn open_object(cache: &Cache, digest: &Digest) -> Result<File> {
    let path = cache.object_path(digest);
    let opened = found(regular_file::open(&path)).map_err(|err| Error::io("open", &path, &err))?;
    opened.ok_or_else(|| {
        Error::missing(format!("the cache of this project does not have {}", digest.short()))
    })
}

async fn uses(state: &State, digest: &str) -> Answer {
    let (digest, history) = (parse(digest)?, state.history.clone());
    let read = move |store: &Store| UsesReport::read(store, &history, digest);
    Ok(Response::json(&state.read(read).await?))
}

/// A file to answer with.
pub(super) struct Opened {
    pub(super) file: File,
    /// Name of the file, which says what it contains.
    pub(super) name: String,
    /// Digest of the content, if it is an object.
    pub(super) digest: Option<Digest>,
}

/// Answers with a file in the form that the request asks for.
pub(super) async fn answer(state: &State, opened: Opened, request: &Request) -> Answer {
    let Opened { file, name, digest } = opened;
    let sent = |file| {
        let response = FileResponse::new(file, &name);
        match digest {
            Some(digest) => response.tagged(digest),
            None => response,
        }
    };
    match request.query.get("as") {
        None => sent(file).answer(request),
        Some("download") => {
            let last = name.rsplit('/').next().unwrap_or_default();
            sent(file).saved_as(last).answer(request)
        }
        Some("preview") => {
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
