//! Fetches single files from URLs, and unpacks archives. A transfer goes to a partial file that a
//! later call continues, and is checked before it counts. Does not know about stages or the lock.

mod archive;
mod file;
mod http;
mod netrc;
mod partial;
mod sums;
mod wanted;

use std::fs;
use std::path::Path;

use self::wanted::Transferred;
pub use self::wanted::{Compared, Wanted};
use crate::error::{Error, Result};
use crate::pipeline::UrlOrigin;
use crate::plan::SourceVersion;

/// The name of the fetched content in its folder.
const CONTENT: &str = "content";

/// Fetches the content to the file or folder `content` in the folder of the request, and returns
/// that name and the version; `None` if it was stopped.
///
/// # Errors
/// The source is missing or cannot be reached; its content does not have the stated digests, or is
/// not an archive that can be unpacked without harm.
pub fn fetch(wanted: &Wanted<'_>) -> Result<Option<(String, SourceVersion)>> {
    let transferred = match wanted.origin.url.scheme() {
        "http" | "https" => http::fetch(wanted)?,
        "file" => file::fetch(wanted)?,
        scheme => return Err(unsupported(scheme)),
    };
    let Some(Transferred { path, version }) = transferred else { return Ok(None) };
    if let Err(error) = sums::check(wanted.origin, &path) {
        // The next request starts again.
        let _ = fs::remove_file(&path);
        return Err(error);
    }
    let content = wanted.folder.join(CONTENT);
    remove_any(&content)?;
    match wanted.origin.extract {
        false => fs::rename(&path, &content).map_err(|err| Error::io("write", &content, &err))?,
        true => {
            let unpacked = wanted.folder.join("unpacking");
            remove_any(&unpacked)?;
            archive::unpack(&path, wanted.origin.url.as_str(), &unpacked)
                .inspect_err(|_| drop(remove_any(&unpacked)))?;
            fs::rename(&unpacked, &content).map_err(|err| Error::io("write", &content, &err))?;
            let _ = fs::remove_file(&path);
        }
    }
    Ok(Some((CONTENT.to_owned(), version)))
}

/// Compares the present version of a source with `known`, without transferring the content.
///
/// # Errors
/// The source is missing or cannot be reached.
pub fn compare(origin: &UrlOrigin, known: &SourceVersion) -> Result<Compared> {
    match origin.url.scheme() {
        "http" | "https" => http::compare(origin, known),
        "file" => file::compare(origin, known),
        scheme => Err(unsupported(scheme)),
    }
}

fn unsupported(scheme: &str) -> Error {
    Error::usage(format!("files with the scheme `{scheme}` cannot be downloaded yet"))
        .hint("use an `https://` address, or let the `cmd` of a stage download the file")
}

/// Removes a file or a folder; succeeds if there is none.
fn remove_any(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    };
    removed.map_err(|err| Error::io("remove", path, &err))
}
