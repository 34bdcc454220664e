//! The declared pipeline and the metrics files of a git revision.

use std::path::Path;

use crate::cache::Cache;
use crate::data::Fault;
use crate::digest::{Content, Digest};
use crate::engine::metrics::{self, Found};
use crate::engine::project;
use crate::engine::upkeep::revisions;
use crate::error::{Error, Result};
use crate::pipeline::{self, FileSource, Pipeline, Stage};
use crate::plan::Trace;
use crate::repo_path::RepoPath;

/// Reads the pipeline that a commit declares. Its deps are assumed to exist.
///
/// # Errors
/// The commit has no `pipeline.toml`, or one that is not valid.
pub(super) fn pipeline(root: &Path, commit: &str, name: &str) -> Result<Pipeline> {
    let read = |path: &RepoPath| {
        let bytes = revisions::file_at(root, commit, path.as_str())
            .map_err(|error| error.to_string())?
            .ok_or_else(|| format!("{name} has no such file"))?;
        String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())
    };
    let list = |folder: &RepoPath| {
        let mut names = revisions::names_in(root, commit, folder.as_str());
        names.retain(|name| project::is_option_file(name));
        names
    };
    let Some(bytes) = revisions::file_at(root, commit, pipeline::FILE)? else {
        return Err(Error::usage(format!("{name} has no `{}`", pipeline::FILE)));
    };
    let files = FileSource { read: &read, list: &list, ..FileSource::default() };
    pipeline::parse(&String::from_utf8_lossy(&bytes), &[], files)
        .map_err(|problems| unusable(name, &pipeline::problem::report(problems)))
}

/// The metrics files of a commit, by their digests in its lock.
pub(super) struct MetricsFiles<'r> {
    root: &'r Path,
    commit: &'r str,
    cache: Cache,
}

impl<'r> MetricsFiles<'r> {
    pub(super) fn open(root: &'r Path, commit: &'r str) -> Result<MetricsFiles<'r>> {
        Ok(MetricsFiles { root, commit, cache: project::open_cache(root)? })
    }

    /// Reads the files that `trace` names, from the cache or else from git.
    pub(super) fn read(&self, stage: &Stage, trace: &Trace) -> Found {
        metrics::read_by(stage, |path| match trace.outs.get(path) {
            None => Ok(None),
            Some(Content::File(digest) | Content::Executable(digest)) => {
                let bytes = self.bytes(path, digest);
                bytes.map(Some).ok_or_else(|| self.missing(stage, digest))
            }
            Some(Content::Tree(_)) => Err(metrics::not_a_file("a folder")),
            Some(Content::Link(_)) => Err(metrics::not_a_file("a link")),
        })
    }

    fn bytes(&self, path: &RepoPath, digest: &Digest) -> Option<Vec<u8>> {
        let in_git = || revisions::file_at(self.root, self.commit, path.as_str()).ok().flatten();
        let in_git = || in_git().filter(|bytes| Digest::of(bytes) == *digest);
        self.cache.bytes(digest).ok().or_else(in_git)
    }

    fn missing(&self, stage: &Stage, digest: &Digest) -> Fault {
        let what = format!("is neither in the cache nor in git (object {})", digest.short());
        let commit = self.commit.get(..10).unwrap_or(self.commit);
        metrics::fault(
            what,
            &format!("check out commit {commit} and run `repro run {}`", stage.name),
        )
    }
}

/// Returns the error of a revision whose pipeline is not valid.
fn unusable(name: &str, error: &Error) -> Error {
    let hint = error.hint.clone();
    let unusable = Error::usage(format!("`pipeline.toml` of {name} cannot be used")).because(error);
    match hint {
        Some(hint) => unusable.hint(hint),
        None => unusable,
    }
}
