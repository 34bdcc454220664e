//! Requests for the content of a URL, and their results.

use std::fmt;
use std::path::{Path, PathBuf};

use super::place::Remotes;
use crate::error::Result;
use crate::pipeline::UrlOrigin;
use crate::plan::SourceVersion;

/// A request for the content of a URL.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub origin: &'a UrlOrigin,
    pub remotes: Remotes<'a>,
    /// An existing folder for this origin alone.
    pub folder: &'a Path,
    /// The version that was fetched last, if it is a folder.
    pub known: Option<Known<'a>>,
    /// Called with the bytes transferred and, if it is known, their total.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    /// Reports whether to give up.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
}

/// A version of a folder that was fetched before.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The list of its files that came with it.
    pub listing: &'a [u8],
    /// Copies a file of it to a new path; returns `false` if its content is gone.
    pub copy: &'a (dyn Fn(&str, &Path) -> Result<bool> + Sync),
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

/// A content that has been transferred whole.
pub(super) enum Arrived {
    File {
        path: PathBuf,
        version: SourceVersion,
    },
    /// `name` and `listing` are names in the folder of the request.
    Folder {
        name: String,
        listing: String,
        version: SourceVersion,
    },
}

/// A file or folder that has arrived.
#[derive(Debug)]
pub struct Got {
    /// Its name in the folder of the request.
    pub name: String,
    pub version: SourceVersion,
    /// The name of the list of its files, whose digest the version has.
    pub listing: Option<String>,
}

/// The state of a source, compared with a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    Same,
    Other(SourceVersion),
    /// The server names no versions.
    Unknown,
}
