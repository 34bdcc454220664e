//! Fetches files, folders and archives from URLs. A transfer goes to partial files that a later
//! call continues, and is checked before it counts. Does not know about stages or the lock.

mod archive;
mod file;
mod http;
mod listing;
mod partial;
mod pieces;
mod place;
mod store;
mod sums;
mod transfer;
mod tree;
mod wanted;

use std::fs;
use std::path::Path;

pub use self::place::Remotes;
use self::wanted::Arrived;
pub use self::wanted::{Compared, Got, Known, Wanted};
use crate::error::{Error, Result};
use crate::pipeline::UrlOrigin;
use crate::plan::SourceVersion;

/// The name of the fetched content of one file in its folder.
const CONTENT: &str = "content";

/// Fetches the content into the folder of the request; `None` if it was stopped.
///
/// # Errors
/// The source is missing or cannot be reached; its content does not have the stated digests, or is
/// not an archive that can be unpacked without harm; a folder has names that cannot be files.
pub fn fetch(wanted: &Wanted<'_>) -> Result<Option<Got>> {
    let arrived = match wanted.origin.url.scheme() {
        "http" | "https" => http::fetch(wanted)?,
        "file" => file::fetch(wanted)?,
        _ => store::fetch(wanted)?,
    };
    match arrived {
        None => Ok(None),
        Some(Arrived::File { path, version }) => {
            checked(wanted, &path)?;
            Ok(Some(Got { name: CONTENT.to_owned(), version, listing: None }))
        }
        Some(Arrived::Folder { name, listing, version }) => {
            Ok(Some(Got { name, version, listing: Some(listing) }))
        }
    }
}

/// Checks the file at `path`, and makes it or the entries of the archive the content.
fn checked(wanted: &Wanted<'_>, path: &Path) -> Result<()> {
    if let Err(error) = sums::check(wanted.origin, path) {
        // The next request starts again.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    let content = wanted.folder.join(CONTENT);
    remove_any(&content)?;
    match wanted.origin.extract {
        false => fs::rename(path, &content).map_err(|err| Error::io("write", &content, &err)),
        true => {
            let unpacked = wanted.folder.join("unpacking");
            remove_any(&unpacked)?;
            archive::unpack(path, wanted.origin.url.as_str(), &unpacked)
                .inspect_err(|_| drop(remove_any(&unpacked)))?;
            fs::rename(&unpacked, &content).map_err(|err| Error::io("write", &content, &err))?;
            let _ = fs::remove_file(path);
            Ok(())
        }
    }
}

/// Compares the present version of a source with `known`, without transferring the content.
///
/// # Errors
/// The source is missing or cannot be reached.
pub fn compare(
    origin: &UrlOrigin,
    known: &SourceVersion,
    remotes: Remotes<'_>,
) -> Result<Compared> {
    match origin.url.scheme() {
        "http" | "https" => http::compare(origin, known),
        "file" => file::compare(origin, known),
        _ => store::compare(origin, known, remotes),
    }
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
