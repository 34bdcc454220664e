//! Decides which entries of a folder count as content.
//!
//! Inside outs every entry counts. Elsewhere `.reproignore` and the default patterns exclude
//! entries, and beside a `pipeline.toml` the state of that project does not count. An excluded
//! folder is still searched for outs.

use std::fs::DirEntry;
use std::path::Path;

use super::reproignore::{self, Ignores, Kind, Rules};
use crate::error::Result;
use crate::pipeline;
use crate::repo_path::RepoPath;

/// The files that count in a folder and below.
#[derive(Debug, Clone)]
pub enum Filter {
    Everything,
    Ruled(Rules),
    /// Only outs count: the folder itself is ignored.
    OutsOnly,
}

/// Origin of a path that is scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// Written by a person, so that it counts whatever the rules say.
    Explicitly,
    /// Found in a listing.
    Listed,
}

/// The project around a scan.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub root: &'a Path,
    pub ignores: &'a Ignores,
    /// Reports whether a path is an out of a stage or is inside one.
    pub is_out: &'a (dyn Fn(&RepoPath) -> bool + Sync),
    /// Reports whether an out of a stage is inside a path.
    pub has_outs: &'a (dyn Fn(&RepoPath) -> bool + Sync),
    /// Called with each link that is not inside an out.
    pub on_link: &'a (dyn Fn(&RepoPath) + Sync),
}

impl Context<'_> {
    /// Returns the filter for the entries of `path`, a folder; `None` if it does not count itself.
    pub fn filter(self, path: &RepoPath, named: Named) -> Result<Option<Filter>> {
        if (self.is_out)(path) {
            return Ok(Some(Filter::Everything));
        }
        Ok(match (self.ignores.is_ignored(path), named) {
            (true, Named::Explicitly) => Some(Filter::Ruled(None)),
            (true, Named::Listed) => (self.has_outs)(path).then_some(Filter::OutsOnly),
            (false, _) => {
                let full = path.to_path(self.root);
                Some(Filter::Ruled(self.ignores.rules(full.parent().unwrap_or(self.root))?))
            }
        })
    }

    /// Returns the entries of `folder` that count, each with the filter for what is below it.
    ///
    /// `filter` comes from the folder above.
    pub fn counted(
        self,
        folder: &Path,
        filter: &Filter,
        listed: Vec<DirEntry>,
    ) -> Result<Vec<(DirEntry, Filter)>> {
        let has = |wanted: &str| listed.iter().any(|entry| entry.file_name() == *wanted);
        let (filter, is_project) = match filter {
            Filter::Ruled(above) => {
                let rules = match has(reproignore::FILE) {
                    true => self.ignores.rules_below(folder, above)?,
                    false => above.clone(),
                };
                (Filter::Ruled(rules), has(pipeline::FILE))
            }
            other => (other.clone(), false),
        };
        let counted = listed.into_iter().filter_map(|entry| {
            let below = self.below(&filter, is_project, &entry)?;
            Some((entry, below))
        });
        Ok(counted.collect())
    }

    /// Returns the filter below an entry; `None` if it does not count.
    fn below(self, filter: &Filter, is_project: bool, entry: &DirEntry) -> Option<Filter> {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let path = || self.inside(&entry.path());
        let is_ignored = match filter {
            Filter::Everything => return Some(Filter::Everything),
            Filter::OutsOnly => true,
            Filter::Ruled(rules) => {
                let kind = if is_folder { Kind::Folder } else { Kind::Other };
                reproignore::is_ignored(rules, &|| entry.path(), &name, kind)
                    || (is_project && reproignore::is_state(&name))
            }
        };
        match (is_ignored, is_folder) {
            (false, false) => Some(filter.clone()),
            (false, true) if path().is_some_and(|path| (self.is_out)(&path)) => {
                Some(Filter::Everything)
            }
            (false, true) => Some(filter.clone()),
            (true, _) => {
                let path = path()?;
                let is_made = (self.is_out)(&path).then_some(Filter::Everything);
                let holds_made =
                    || (is_folder && (self.has_outs)(&path)).then_some(Filter::OutsOnly);
                is_made.or_else(holds_made)
            }
        }
    }

    /// Returns the path in the project.
    pub fn inside(self, path: &Path) -> Option<RepoPath> {
        let inside = path.strip_prefix(self.root).ok().and_then(Path::to_str);
        inside.and_then(RepoPath::parse_canonical)
    }
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}
