//! Registers outs and uploaded files as versions of models, and finds the files of versions.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::artifacts::Artifacts;
use super::get;
use super::revision::Revision;
use super::{Project, home};
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::plan::tree::Tree;
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::files::{self, Owner, Place};
use crate::runs::registry::{ModelVersion, NewVersion, VersionName, Which, check_alias};
use crate::runs::{Run, Store, query};

/// The files of a version.
#[derive(Debug)]
pub enum Files {
    /// An out, or a file that a stage reported, in the cache.
    Cached(Content),
    /// A file or folder that a client uploaded.
    Uploaded(PathBuf),
}

/// Returns the place of the files that a client names when it registers a version.
///
/// # Errors
/// The run store cannot be read.
pub fn place(store: &Store, source: &str) -> Result<Option<Place>> {
    if let Some(place) = Place::of_uri(source) {
        return Ok(Some(place));
    }
    // Another version, which has been registered with a source of its own.
    let named = source.strip_prefix("models:/").map(VersionName::parse);
    let Some(Ok(name)) = named else { return Ok(None) };
    let version = store.find_version(&name).ok();
    Ok(version.and_then(|version| Place::of_uri(&version.source)))
}

/// Finds the files at a place; `None` if they are missing.
///
/// # Errors
/// The run store cannot be read.
pub fn files_at(project: &Project, store: &Store, place: &Place) -> Result<Option<Files>> {
    let Some(owner) = store.owner(&place.id)? else { return Ok(None) };
    if let Some(uploaded) = files::existing(&project.history, &owner, place.path.as_ref()) {
        return Ok(Some(Files::Uploaded(uploaded)));
    }
    let Some(path) = &place.path else { return Ok(None) };
    let artifacts = Artifacts::of(&project.history, store, &project.cache, owner)?;
    Ok(artifacts.content(path).map(Files::Cached))
}

/// Adds the content of the files at a place to a version that is to be registered.
///
/// # Errors
/// The files cannot be read.
pub fn identify(
    project: &Project,
    store: &Store,
    place: &Place,
    new: &mut NewVersion,
) -> Result<()> {
    match files_at(project, store, place)? {
        Some(Files::Cached(content)) => {
            new.path = place.path.as_ref().map(ToString::to_string);
            new.content = Some(content);
        }
        Some(Files::Uploaded(path)) => new.content = Some(digest(&path)?),
        None => {}
    }
    Ok(())
}

/// Digests a file or folder as if it were an out.
fn digest(path: &Path) -> Result<Content> {
    let failed = |err| Error::io("read", path, &err);
    if !path.is_dir() {
        let mut file = regular_file::open(path).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 18];
        loop {
            match file.read(&mut buffer).map_err(failed)? {
                0 => return Ok(Content::File(hasher.finalize().into())),
                read => drop(hasher.update(&buffer[..read])),
            }
        }
    }
    let mut tree = Tree::default();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string()
            && (kind.is_file() || kind.is_dir())
        {
            tree.entries.insert(name.into(), digest(&entry.path())?);
        }
    }
    Ok(Content::Tree(Digest::of(&tree.encode())))
}

/// Registers an out or uploaded file of a run as a new version of a model, which is created if it
/// is new.
///
/// # Errors
/// The run has no such file; a name is not valid.
pub fn register(
    project: &Project,
    store: &Store,
    name: &str,
    (run, path): (&str, &RepoPath),
    alias: Option<&str>,
) -> Result<ModelVersion> {
    alias.map_or(Ok(()), check_alias)?;
    let run = find_run(project, run)?;
    let uid = run.info.uid.to_string();
    let place = Place { id: uid.clone(), path: Some(path.clone()) };
    let mut new = NewVersion {
        source: format!("runs:/{uid}/{path}"),
        run: Some(uid),
        user: run.info.user.clone(),
        ..NewVersion::default()
    };
    identify(project, store, &place, &mut new)?;
    // Complains with the names that exist, and if the cache lacks an object.
    if new.content.is_none() || new.path.is_some() {
        get::find(project, &run.name.to_string(), path)?;
    }
    store.atomically(|store| {
        store.register_model(name, None, &Default::default())?;
        let version = store.register_version(name, &new)?;
        alias.map_or(Ok(()), |alias| store.set_alias(name, alias, version))?;
        store.find_version(&VersionName { model: name.to_owned(), which: Which::Number(version) })
    })
}

fn find_run(project: &Project, name: &str) -> Result<Run> {
    match Revision::find(&project.root, name)? {
        Revision::Run(run) => Ok(*run),
        Revision::Commit { .. } => {
            Err(Error::usage(format!("`{name}` is a git revision, and versions are made by runs"))
                .hint("`repro runs list` shows the runs"))
        }
    }
}

/// Finds a version and its files.
///
/// # Errors
/// Either does not exist.
pub fn find(project: &Project, name: &str) -> Result<(ModelVersion, Files)> {
    let store = Store::open_existing(&home(&project.root))?.ok_or_else(query::no_runs)?;
    let version = store.find_version(&VersionName::parse(name)?)?;
    // What was registered counts, whatever became of the run.
    if let (Some(_), Some(content)) = (&version.path, version.content) {
        return Ok((version, Files::Cached(content)));
    }
    let place = place(&store, &version.source)?;
    let files = place.map(|place| files_at(project, &store, &place)).transpose()?.flatten();
    match files {
        Some(files) => Ok((version, files)),
        None => Err(Error::missing(format!(
            "the files of version {} of model `{}` are not in this project",
            version.version, version.name
        ))
        .because(format!("they are at `{}`", version.source))),
    }
}

/// Finds a file or folder that a client uploaded to a run; `None` if `revision` is not a run or has
/// no such file.
///
/// # Errors
/// The run store cannot be read, or `revision` is neither a run nor a git revision.
pub fn uploaded(
    project: &Project,
    revision: &str,
    path: &RepoPath,
) -> Result<Option<(RunName, PathBuf)>> {
    let Revision::Run(run) = Revision::find(&project.root, revision)? else { return Ok(None) };
    let found = files::existing(&project.history, &Owner::Run(run.name), Some(path));
    Ok(found.map(|found| (run.name, found)))
}

/// Opens the file of a version. Errors call it `shown`.
///
/// # Errors
/// The version is a folder, or its object is damaged.
pub fn open(project: &Project, files: &Files, shown: &str) -> Result<Box<dyn Read>> {
    match files {
        Files::Cached(content) => Ok(Box::new(get::open(project, content, shown)?)),
        Files::Uploaded(path) if path.is_dir() => {
            Err(Error::usage(format!("{shown} is not a file")).hint("`-o PATH` writes a folder"))
        }
        Files::Uploaded(path) => {
            let file = regular_file::open(path).map_err(|err| Error::io("open", path, &err))?;
            Ok(Box::new(file))
        }
    }
}
