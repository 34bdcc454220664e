//! Data from elsewhere: the interface to what fetches the origin of a stage, and the folder where
//! it arrives. The engine speaks no protocol itself.

use std::fmt;
use std::path::{Path, PathBuf};

use super::{Project, project};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::{Origin, RemoteSpec};
use crate::plan::SourceVersion;
use crate::repo_path::RepoPath;

/// Fetches what stages take from elsewhere.
pub trait Sources: fmt::Debug + Send + Sync {
    /// Fetches the file or folder, for an archive its entries, into the folder of the request. What
    /// an interrupted call left there is continued. Called by several threads.
    ///
    /// # Errors
    /// The source is missing or cannot be reached, or does not have the stated digests; an archive
    /// is damaged or hostile.
    fn fetch(&self, request: &Request<'_>) -> Result<Answer>;

    /// Finds out whether the source has changed since `known`, without transferring its content.
    ///
    /// # Errors
    /// The source is missing or cannot be reached.
    fn check(&self, project: &Project, origin: &Origin, known: &SourceVersion)
    -> Result<Freshness>;
}

/// The remotes of a project: URLs in their stores use their settings.
#[derive(Debug, Clone, Copy)]
pub struct Remotes<'a> {
    pub declared: &'a [RemoteSpec],
    /// Folder at which relative paths start.
    pub root: &'a Path,
}

impl<'a> Remotes<'a> {
    pub fn of(project: &'a Project) -> Remotes<'a> {
        Remotes { declared: &project.pipeline.remotes, root: &project.root }
    }
}

/// The version of a folder that the lock names, of which a request needs only the changes.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The list of its files that came with it.
    pub listing: &'a [u8],
    /// Copies a file of it to a new path; returns `false` if its content is gone.
    pub copy: &'a (dyn Fn(&str, &Path) -> Result<bool> + Sync),
}

/// A wish for the content of an origin.
pub struct Request<'a> {
    pub project: &'a Project,
    pub origin: &'a Origin,
    /// The version to fetch, where the source has several; otherwise the present one.
    pub pinned: Option<&'a SourceVersion>,
    pub known: Option<Known<'a>>,
    /// An existing folder of the state, for this origin alone.
    pub folder: &'a Path,
    /// Called now and then with the bytes transferred and, if it is known, their total.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    /// Reports whether to give up.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The end of a request.
#[derive(Debug)]
pub enum Answer {
    Fetched(Fetched),
    /// The run stops. What has arrived stays for the next request.
    Stopped,
}

/// A file or folder that has arrived.
#[derive(Debug)]
pub struct Fetched {
    /// Its name in the folder of the request.
    pub name: String,
    pub version: SourceVersion,
    /// The name of the list of the files of a folder, whose digest the version has.
    pub listing: Option<String>,
}

/// The state of a source, compared with a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    Unchanged,
    /// A newer version of the same content.
    Moved(SourceVersion),
    /// Another version than the known one.
    Changed(SourceVersion),
    /// The server does not name versions: only the content can tell.
    Unknown,
}

/// The content of an origin that a run asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// That of the lock, if the lock has one.
    Locked,
    /// The present one, for the stages that are forced to run.
    Newest,
}

/// Refuses every request.
#[derive(Debug)]
pub struct NoSources;

impl NoSources {
    fn error() -> Error {
        Error::usage("a download needs the network, which this `repro` was built without")
            .hint("build `repro` with the feature `remote`")
    }
}

impl Sources for NoSources {
    fn fetch(&self, _: &Request<'_>) -> Result<Answer> {
        Err(NoSources::error())
    }

    fn check(&self, _: &Project, _: &Origin, _: &SourceVersion) -> Result<Freshness> {
        Err(NoSources::error())
    }
}

/// Returns the folder in the state of the project that has one for each download.
pub(super) fn folders(root: &Path) -> PathBuf {
    project::cache_dir(root).join("downloads")
}

/// Returns the folder where the content of an origin arrives on its way to an out. Stages with one
/// origin may run at the same time, so each has its own.
pub(super) fn folder(root: &Path, origin: &Origin, out: &RepoPath) -> PathBuf {
    let json = serde_json::to_string(&(origin, out.as_str())).unwrap_or_default();
    folders(root).join(Digest::of(json.as_bytes()).short())
}

/// Returns the folder in the state of the project with copies of git repositories. They are fetched
/// again when they are needed.
pub(super) fn repositories(root: &Path) -> PathBuf {
    project::cache_dir(root).join("repositories")
}
