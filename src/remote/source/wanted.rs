//! Requests for the content of a URL, and their results.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::pipeline::UrlOrigin;
use crate::plan::SourceVersion;

/// A request for the content of a URL.
pub struct Wanted<'a> {
    pub origin: &'a UrlOrigin,
    /// An existing folder for this origin alone.
    pub folder: &'a Path,
    /// Called with the bytes transferred and, if it is known, their total.
    pub progress: &'a (dyn Fn(u64, Option<u64>) + Sync),
    /// Reports whether to give up.
    pub is_stopped: &'a (dyn Fn() -> bool + Sync),
}

impl fmt::Debug for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A file that has been transferred whole.
pub(super) struct Transferred {
    pub(super) path: PathBuf,
    pub(super) version: SourceVersion,
}

/// The state of a source, compared with a version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    Same,
    Other(SourceVersion),
    /// The server names no versions.
    Unknown,
}
