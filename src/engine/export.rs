//! Copies contents from the cache to any path, also outside the project. The copy appears whole.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::size::Tally;
use super::{Project, commit};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::pipeline::PRIVATE;
use crate::workspace::restore::{is_restorable_link, remove_any};
use crate::workspace::root;
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{beside, rename_new};

/// Treatment of a file or link that exists at the target. A folder always stays.
#[derive(Debug, Clone, Copy)]
pub enum Existing<'a> {
    Stays,
    /// Replaces it. A user's file inside the project goes to the trash first.
    Replaced(&'a RunLock),
}

/// Returns the target that a user means: `typed`, or `name` inside it if it is a folder; without
/// `typed`, `name` in the current directory.
pub fn target(here: &Path, typed: Option<&Path>, name: &str) -> PathBuf {
    let Some(typed) = typed else { return here.join(name) };
    let full = here.join(typed);
    let is_folder = full.is_dir() || typed.as_os_str().as_encoded_bytes().ends_with(b"/");
    if is_folder { full.join(name) } else { full }
}

/// Copies `content` to `target` and returns the files and bytes written, with warnings. `here` is
/// the directory at which relative paths start.
///
/// # Errors
/// The target exists, or belongs to `repro` or git; an object is missing or damaged.
pub fn export(
    project: &Project,
    content: &Content,
    to: (&Path, &Path),
    existing: Existing<'_>,
) -> Result<(Tally, Vec<String>)> {
    write(project, &|path| copy(project, content, path), to, existing)
}

/// Copies a file or folder that a client uploaded to `target`, as [`export`] does.
///
/// # Errors
/// As there.
pub fn export_uploaded(
    project: &Project,
    uploaded: &Path,
    to: (&Path, &Path),
    existing: Existing<'_>,
) -> Result<(Tally, Vec<String>)> {
    write(project, &|path| copy_files(uploaded, path), to, existing)
}

fn write(
    project: &Project,
    copy: &dyn Fn(&Path) -> Result<Tally>,
    (here, target): (&Path, &Path),
    existing: Existing<'_>,
) -> Result<(Tally, Vec<String>)> {
    let inside = root::to_repo_path(&project.root, here, target).ok();
    if let Some(path) = inside.as_ref().filter(|path| path.is_reserved()) {
        return Err(Error::usage(format!("`{path}` belongs to `repro` or git"))
            .hint("choose another place"));
    }
    let found = target.symlink_metadata().ok();
    let is_dir = found.as_ref().is_some_and(fs::Metadata::is_dir);
    let mut warnings = Vec::new();
    match existing {
        _ if found.is_none() => {}
        Existing::Replaced(_) if !is_dir => {
            if let Some(path) = &inside
                && let Some(seen) = project.workspace.observe(path)?
            {
                warnings = commit::store_durably(project, path, &seen)?.warnings();
            }
        }
        _ => return Err(exists(target, is_dir)),
    }
    if let Some(parent) = target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|err| Error::io("create", parent, &err))?;
    }
    let staging = project.workspace.staging();
    let _ = staging.create();
    let staged = staging.new_path();
    let mut written = None;
    if disk(&staged).is_some_and(|staging| Some(staging) == disk(target)) {
        written = put(copy, &staged, target, existing)?;
    }
    if written.is_none() {
        written = put(copy, &beside(target), target, existing)?;
    }
    let written = written.unwrap_or_else(|| panic!("BUG: a file on another disk than its folder"));
    Ok((written, warnings))
}

/// Returns the disk of the folder that holds `path`.
fn disk(path: &Path) -> Option<u64> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).metadata().ok().map(|meta| meta.dev())
}

/// Copies with `copy` to `temporary` and renames it to `target`; `None` if that is on another disk.
fn put(
    copy: &dyn Fn(&Path) -> Result<Tally>,
    temporary: &Path,
    target: &Path,
    existing: Existing<'_>,
) -> Result<Option<Tally>> {
    // A killed process may have left it.
    remove_any(temporary)?;
    let written = copy(temporary).and_then(|tally| {
        let renamed = match existing {
            Existing::Replaced(_) => fs::rename(temporary, target),
            Existing::Stays => rename_new(temporary, target),
        };
        match renamed {
            Ok(()) => Ok(Some(tally)),
            Err(err) if err.kind() == ErrorKind::CrossesDevices => Ok(None),
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {
                Err(exists(target, target.is_dir()))
            }
            Err(err) => Err(Error::io("write", target, &err)),
        }
    });
    if !matches!(written, Ok(Some(_))) {
        let _ = remove_any(temporary);
    }
    written
}

fn exists(target: &Path, is_dir: bool) -> Error {
    let path = target.strip_prefix(".").unwrap_or(target).display();
    match is_dir {
        true => Error::usage(format!("`{path}` exists and is a folder"))
            .hint("remove it first, or choose another place with `-o PATH`"),
        false => Error::usage(format!("`{path}` exists"))
            .hint("`--force` replaces it; `-o PATH` writes to another place"),
    }
}

/// Copies files that no stage made to a path that does not exist. Links are left out.
fn copy_files(from: &Path, path: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.map_err(|err| Error::io("read", from, &err.into()))?;
        let below = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
        let to = if below.as_os_str().is_empty() { path.to_owned() } else { path.join(below) };
        if entry.file_type().is_dir() {
            fs::create_dir(&to).map_err(|err| Error::io("create", &to, &err))?;
        } else if entry.file_type().is_file() {
            let copied = fs::copy(entry.path(), &to);
            tally.add(copied.map_err(|err| Error::io("write", &to, &err))?);
        }
    }
    Ok(tally)
}

/// Copies to a path that does not exist.
///
/// # Errors
/// An object is missing or damaged, or the path cannot be written.
pub fn copy(project: &Project, content: &Content, path: &Path) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut left = vec![(path.to_owned(), *content)];
    while let Some((path, content)) = left.pop() {
        match content {
            Content::File(_) | Content::Executable(_) => {
                let mode = if matches!(content, Content::Executable(_)) { 0o777 } else { 0o666 };
                let digest = content.digest();
                let bytes = project.cache.restore_file(&digest, &path, &path, mode, &PRIVATE)?;
                tally.add(bytes.unwrap_or_default());
            }
            Content::Link(digest) => link(project.cache.bytes(&digest)?, &path)?,
            Content::Tree(digest) => {
                let tree = project.cache.tree(&digest)?;
                fs::create_dir(&path).map_err(|err| Error::io("create", &path, &err))?;
                let inside = tree.entries.iter().map(|(name, entry)| (path.join(&**name), *entry));
                left.extend(inside);
            }
        }
    }
    Ok(tally)
}

fn link(target: Vec<u8>, path: &Path) -> Result<()> {
    let target = String::from_utf8(target).ok().filter(|target| is_restorable_link(target));
    let target =
        target.ok_or_else(|| Error::usage("it has a link that leads outside its folder"))?;
    std::os::unix::fs::symlink(target, path).map_err(|err| Error::io("link", path, &err))
}
