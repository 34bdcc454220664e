//! A path of another project at a commit, and the files that git has there.

use std::fmt;

use crate::engine::Project;
use crate::error::{Error, Result};
use crate::pipeline::ProjectOrigin;
use crate::remote::Meter;
use crate::remote::repository::{Entry, EntryKind, Repository, short};

/// A path of another project at a commit.
pub(super) struct Wanted<'a> {
    pub(super) project: &'a Project,
    pub(super) origin: &'a ProjectOrigin,
    pub(super) repository: &'a Repository,
    pub(super) commit: &'a str,
    pub(super) meter: &'a Meter,
}

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` at {}", self.origin.repo, short(self.commit))
    }
}

impl Wanted<'_> {
    /// Lists the files in a folder that git tracks.
    pub(super) fn files(&self, tree: &str) -> Result<Vec<Entry>> {
        let path = &self.origin.path;
        let files = self.repository.files(tree).map_err(|error| self.not_taken(error))?;
        match files.iter().find(|file| file.kind == EntryKind::Submodule) {
            None => Ok(files),
            Some(inside) => {
                Err(Error::usage(format!("`{}` of {self} is a submodule", path.join(&inside.path)))
                    .hint("name the repository of the submodule, or the folders beside it"))
            }
        }
    }

    pub(super) fn not_taken(&self, error: Error) -> Error {
        let what = format!("cannot take `{}` of {self}: {}", self.origin.path, error.what);
        Error { what, ..error }
    }
}
