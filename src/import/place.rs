//! Finds and reads the files of runs and logged models in folders.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::entity::Place;
use crate::error::{Error, Result};
use crate::percent::decode;
use crate::regular_file;

/// Returns the place of files: `usual` if it exists, else what the `uri` of a source names, with
/// relative paths counted from `base`.
pub(super) fn folder_of(usual: PathBuf, uri: Option<String>, base: &Path) -> Place {
    if usual.is_dir() {
        return Place::Folder(usual);
    }
    match uri {
        Some(uri) => match local(&uri, base) {
            Some(folder) => Place::Folder(folder),
            None => Place::Elsewhere(uri),
        },
        // Nothing was uploaded.
        None => Place::Folder(usual),
    }
}

/// Returns the local folder that a URI names; `None` for one elsewhere.
pub(super) fn local(uri: &str, base: &Path) -> Option<PathBuf> {
    let path = match uri.split_once(':') {
        Some(("file", rest)) => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let rest = rest.strip_prefix("localhost").unwrap_or(rest);
            String::from_utf8_lossy(&decode(rest)).into_owned()
        }
        Some((scheme, _)) if !scheme.contains('/') => return None,
        _ => uri.to_owned(),
    };
    Some(base.join(path))
}

/// Returns the paths of all files in a folder and below, sorted; none if it does not exist. Links
/// are not followed.
pub(super) fn walk(folder: &Path) -> Result<Vec<String>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.map_err(|err| {
            Error::environment(format!("cannot read `{}`", folder.display())).because(err)
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path().strip_prefix(folder).unwrap_or(entry.path());
        match path.to_str() {
            Some(path) => paths.push(path.to_owned()),
            None => {
                return Err(Error::usage(format!("the name `{}` is not UTF-8", path.display())));
            }
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the paths of all files at a place; none if it is not a folder here.
pub(super) fn files(place: &Place) -> Result<Vec<String>> {
    match place {
        Place::Folder(folder) => walk(folder),
        Place::Server(_) | Place::Elsewhere(_) => Ok(Vec::new()),
    }
}

/// Opens a file that [`files`] has returned.
pub(super) fn open(place: &Place, path: &str) -> Result<Box<dyn Read>> {
    let Place::Folder(folder) = place else {
        return Err(Error::usage(format!("`{path}` is not on this machine")));
    };
    let path = folder.join(path);
    let file = regular_file::open(&path).map_err(|err| Error::io("read", &path, &err))?;
    Ok(Box::new(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_folders() {
        let base = Path::new("/home/me");
        for (uri, folder) in [
            ("/data/mlruns/0", Some("/data/mlruns/0")),
            ("./mlruns/0", Some("/home/me/./mlruns/0")),
            ("mlruns/a:b", Some("/home/me/mlruns/a:b")),
            ("file:///data/a%20b%25", Some("/data/a b%")),
            ("file:/data", Some("/data")),
            ("s3://bucket/x", None),
            ("mlflow-artifacts:/1/2/artifacts", None),
        ] {
            assert_eq!(local(uri, base), folder.map(PathBuf::from), "{uri}");
        }
    }
}
