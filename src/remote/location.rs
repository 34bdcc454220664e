//! The address of a remote: from its text to a store.

use std::path::{Path, PathBuf};

use super::backend::Backend;
use super::folder::Folder;
use super::patient::{Patience, Patient};
use super::sftp::{CONNECTIONS, Sftp};
use super::stores::{self, Access};
use crate::error::{Error, Result};
use crate::pipeline::{Location, RemoteSpec, own_variable};

/// Opens the store of a remote. Makes no request. Calls that may succeed later are repeated.
///
/// `root` is the folder at which relative paths start. A variable such as `REPRO_REMOTE_LAB_URL`
/// replaces the URL of remote `lab` on one machine.
///
/// # Errors
/// The URL names no place, or a setting that the store needs is missing.
pub fn open(spec: &RemoteSpec, root: &Path) -> Result<Box<dyn Backend>> {
    open_with(spec, root, &env)
}

/// Returns the place of a remote, and the variable that replaces its URL, if one does.
///
/// # Errors
/// The URL names no place.
pub fn location(spec: &RemoteSpec) -> Result<(Location, Option<String>)> {
    place(spec, &env)
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn place(spec: &RemoteSpec, env: stores::Env<'_>) -> Result<(Location, Option<String>)> {
    let variable = own_variable(&spec.name, "URL");
    let (text, source) = match env(&variable) {
        Some(text) => (text, Some(variable)),
        None => (spec.url.clone(), None),
    };
    match Location::parse(&text) {
        Ok(location) => Ok((location, source)),
        Err(bad) => {
            let of = match source {
                Some(variable) => format!("`{variable}`"),
                None => format!("remote `{}`", spec.name),
            };
            Err(Error::usage(format!("{of}: {}", bad.what)).hint(bad.hint))
        }
    }
}

fn open_with(spec: &RemoteSpec, root: &Path, env: stores::Env<'_>) -> Result<Box<dyn Backend>> {
    let (location, _) = place(spec, env)?;
    store(spec, location, root, Access::Signed, env)
}

/// Opens the store at a place with the settings of a remote.
pub(super) fn open_at(
    spec: &RemoteSpec,
    location: Location,
    root: &Path,
    access: Access,
) -> Result<Box<dyn Backend>> {
    store(spec, location, root, access, &env)
}

fn store(
    spec: &RemoteSpec,
    location: Location,
    root: &Path,
    access: Access,
    env: stores::Env<'_>,
) -> Result<Box<dyn Backend>> {
    let timeout = stores::timeout(spec);
    let patience = Patience::new(timeout);
    Ok(match location {
        Location::Folder(ref path) => {
            let path = folder(root, path);
            let location = Location::Folder(path.display().to_string());
            let store = Folder::new(path);
            Box::new(Patient::new(store, &spec.name, location, spec.jobs, patience))
        }
        Location::Sftp(ref place) => {
            let store = Sftp::new(place.clone(), timeout);
            let jobs = spec.jobs.map(|jobs| jobs.min(CONNECTIONS));
            Box::new(Patient::new(store, &spec.name, location, jobs, patience))
        }
        _ => {
            let store = stores::open(spec, &location, access, env)?;
            Box::new(Patient::new(store, &spec.name, location, spec.jobs, patience))
        }
    })
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
