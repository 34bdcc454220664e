//! Deps outside the project: declared paths that are links to places on this machine.
//!
//! The place of a path is the one in its variable, else that of the link which exists, else the
//! declared one. Everything that reads files follows the link.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::repo_path::RepoPath;
use crate::workspace::run_lock::RunLock;

/// Makes the links that are missing, and those that a variable leads elsewhere.
///
/// # Errors
/// A link cannot be written.
pub(super) fn link_all(
    root: &Path,
    external: &BTreeMap<RepoPath, String>,
    _held: &RunLock,
) -> Result<()> {
    for (path, declared) in external {
        let link = path.to_path(root);
        let named = named_place(path);
        match (fs::read_link(&link), &named) {
            (Ok(_), None) => continue,
            (Ok(target), Some(place)) if target == *place => continue,
            (Ok(_), Some(_)) => {
                fs::remove_file(&link).map_err(|err| Error::io("replace", &link, &err))?;
            }
            // Data that has moved into the project is read there.
            (Err(_), _) if link.symlink_metadata().is_ok() => continue,
            (Err(_), _) => {}
        }
        let place = named.unwrap_or_else(|| expanded(declared));
        fs::create_dir_all(link.parent().unwrap_or(root))
            .and_then(|()| symlink(&place, &link))
            .map_err(|err| Error::io("link", &link, &err))?;
    }
    Ok(())
}

/// Returns the variable that names the place of a path on one machine.
pub(super) fn variable(path: &RepoPath) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("REPRO_EXTERNAL_{}", path.as_str().chars().map(plain).collect::<String>())
}

fn named_place(path: &RepoPath) -> Option<PathBuf> {
    std::env::var_os(variable(path)).filter(|place| !place.is_empty()).map(PathBuf::from)
}

fn expanded(place: &str) -> PathBuf {
    match place.strip_prefix("~/") {
        Some(below) => std::env::home_dir().unwrap_or_default().join(below),
        None => PathBuf::from(place),
    }
}
