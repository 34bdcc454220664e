//! The address of a remote: from its text to a store.

use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::folder::Folder;
use crate::error::{Error, Result};
use crate::pipeline::RemoteSpec;

/// Opens the store of a remote. Makes no request.
///
/// `root` is the folder at which relative paths start.
///
/// # Errors
/// The URL has a scheme that this program does not know.
pub(super) fn open(spec: &RemoteSpec, root: &Path) -> Result<Box<dyn Backend>> {
    match spec.url.split_once("://") {
        None => Ok(Box::new(Folder::new(folder(root, &spec.url)))),
        Some(("file", path)) => Ok(Box::new(Folder::new(folder(root, path)))),
        Some((scheme, _)) => Err(Error::usage(format!(
            "remote `{}` has the unknown scheme `{scheme}://`",
            spec.name
        ))
        .hint("give the path of a folder, or `file:///PATH`")),
    }
}

/// Returns the absolute path of a folder without `..`, so that it has one spelling.
fn folder(root: &Path, path: &str) -> PathBuf {
    let path = match path.strip_prefix("~/") {
        Some(below) => std::env::home_dir().unwrap_or_default().join(below),
        None => root.join(path),
    };
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}
