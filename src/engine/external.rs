//! Deps outside the project: declared paths that are links to places on this machine.
//!
//! The place of a path is the one in its variable, else that of the link which exists, else the
//! declared one. Everything that reads files follows the link.
//!
//! A link that was made for a declared place follows the declaration when that changes: the file
//! `cache/external` has these places. A link that somebody else made stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::worktree::place;
use crate::error::{Error, Result};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::state_folder;
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{self, Durability};

/// Name of the file in the cache with the declared places for which links were made.
const MADE: &str = "external";

/// Makes the links in `root` that are missing, and those that a variable or a new declaration leads
/// elsewhere.
///
/// # Errors
/// A link cannot be written, or would be outside the project.
pub(super) fn link_all(
    root: &Path,
    external: &BTreeMap<RepoPath, String>,
    _held: &RunLock,
) -> Result<()> {
    if external.is_empty() {
        return Ok(());
    }
    let before = made(root);
    let due = external
        .iter()
        .filter_map(|(path, declared)| Some((path, declared, due(root, path, declared, &before)?)));
    let due: Vec<(&RepoPath, &String, PathBuf)> = due.collect();
    let mut now = before.clone();
    for (path, declared, _) in &due {
        match named_place(path) {
            None => drop(now.insert(path.to_string(), (*declared).clone())),
            Some(_) => drop(now.remove(path.as_str())),
        }
    }
    if now != before {
        // Before the links: one that is not noted counts as made by somebody else.
        remember(root, &now);
    }
    due.into_iter().try_for_each(|(path, _, place)| make(root, path, &place))
}

fn make(root: &Path, path: &RepoPath, place: &Path) -> Result<()> {
    let link = path.to_path(root);
    let parent = link.parent().unwrap_or(root);
    check_inside(root, path, parent)?;
    if link.is_symlink() {
        fs::remove_file(&link).map_err(|err| Error::io("replace", &link, &err))?;
    }
    fs::create_dir_all(parent)
        .and_then(|()| symlink(place, &link))
        .map_err(|err| Error::io("link", &link, &err))
}

/// Returns the place to which the link at a path does not lead, but must before a run.
pub(super) fn misplaced(root: &Path, path: &RepoPath, declared: &str) -> Option<PathBuf> {
    due(root, path, declared, &made(root))
}

fn due(
    root: &Path,
    path: &RepoPath,
    declared: &str,
    made: &BTreeMap<String, String>,
) -> Option<PathBuf> {
    let link = path.to_path(root);
    let named = named_place(path);
    let Ok(target) = fs::read_link(&link) else {
        // Data that has moved into the project is read there.
        let is_absent = link.symlink_metadata().is_err();
        return is_absent.then(|| named.unwrap_or_else(|| expanded(declared)));
    };
    match (named, made.get(path.as_str())) {
        (Some(place), _) => (place != target).then_some(place),
        (None, Some(before)) if before != declared && expanded(before) == target => {
            Some(expanded(declared))
        }
        (None, _) => None,
    }
}

/// Refuses to write behind a link that leads out of the project.
fn check_inside(root: &Path, path: &RepoPath, parent: &Path) -> Result<()> {
    let existing = parent.ancestors().find(|folder| folder.exists()).unwrap_or(root);
    let is_inside = existing.canonicalize().is_ok_and(|real| real.starts_with(root));
    if is_inside {
        return Ok(());
    }
    let shown = existing.strip_prefix(root).unwrap_or(existing).display();
    Err(Error::usage(format!("`{path}` of `[external]` is in `{shown}`, a link that leads out"))
        .hint(format!("name `{shown}` in `[external]` instead, or another path")))
}

/// Returns the declared places for which links were made, by path.
fn made(root: &Path) -> BTreeMap<String, String> {
    let bytes = regular_file::read(&root.join(place::STATE).join(MADE)).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Notes the places. If this fails, the links stay where they are when a declaration changes.
fn remember(root: &Path, made: &BTreeMap<String, String>) {
    let state = root.join(place::STATE);
    let _ = state_folder::create(&state);
    let text = serde_json::to_vec(made).unwrap_or_default();
    let _ = write::atomic(&state.join(MADE), &text, Durability::Relaxed);
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
