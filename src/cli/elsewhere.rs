//! Helpers for commands that take something from another project.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Component, Path, PathBuf};

use super::share::Watched;
use crate::engine::Project;
use crate::engine::share::other_project::{self, Provided};
use crate::error::{Error, Result};
use crate::pipeline::{FILE, GitUrl, ProjectOrigin};
use crate::repo_path::RepoPath;
use crate::unique::unique;
use crate::workspace::root;
use crate::workspace::run_lock::RunLock;

/// The text of `pipeline.toml` in a temporary project, which needs a stage.
const SCRATCH: &str = "[stages.none]\ncmd = 'true'\n";

/// A temporary project, which is removed when this is dropped.
pub(super) struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Loads the project around `here` or, outside of one, a temporary one, whose cache receives what
/// is fetched.
pub(super) fn project(
    here: &Path,
    is_locked: bool,
) -> Result<(Project, Option<RunLock>, Option<Scratch>)> {
    let (root, scratch) = match root::find(here) {
        Ok(root) => (root, None),
        Err(error) if !here.is_dir() => return Err(error),
        Err(_) => {
            let folder = std::env::temp_dir().join(format!("repro-get-{}", unique()));
            // Others on this machine must not read what is fetched.
            let created = DirBuilder::new()
                .mode(0o700)
                .create(&folder)
                .and_then(|()| std::fs::write(folder.join(FILE), SCRATCH))
                .and_then(|()| folder.canonicalize());
            let root = created.map_err(|err| Error::io("create", &folder, &err))?;
            (root.clone(), Some(Scratch(root)))
        }
    };
    if is_locked {
        let (project, held) = Project::load_with_locked(&root)?;
        return Ok((project, Some(held), scratch));
    }
    let project = Project::load(&root, &[])?;
    project.cache.join()?;
    Ok((project, None, scratch))
}

/// Returns what a user means by a repository and a path in it. A relative path of a repository
/// starts at `here`, and at `root` in the result; without a root, the result has an absolute one.
pub(super) fn origin(
    here: &Path,
    root: Option<&Path>,
    (repo, path): (&str, &str),
    rev: Option<String>,
) -> Result<ProjectOrigin> {
    let bad_url = |bad: crate::pipeline::BadUrl| {
        // The part before an `@` may be a secret.
        let shown = repo.rsplit_once('@').map_or(repo, |(_, rest)| rest);
        Error::usage(format!("`{shown}` {bad}")).hint(bad.hint)
    };
    let mut url = GitUrl::parse(repo).map_err(bad_url)?;
    if url.is_path() && Path::new(repo).is_relative() {
        let here = here.canonicalize().map_err(|err| Error::io("open", here, &err))?;
        let full = here.join(repo);
        let full = full.canonicalize().unwrap_or(full);
        let path = match root {
            Some(root) => between(root, &full),
            None => full.to_string_lossy().into_owned(),
        };
        url = GitUrl::parse(&path).map_err(bad_url)?;
    }
    let path = RepoPath::parse(path.trim_start_matches("./"))
        .map_err(|bad| Error::usage(format!("path `{path}` {bad}")))?;
    if rev.as_ref().is_some_and(|rev| rev.is_empty() || rev.starts_with('-')) {
        return Err(Error::usage("`--rev` needs a branch, a tag or a commit"));
    }
    Ok(ProjectOrigin { repo: url, path, rev })
}

/// Returns the path of `to` as seen from the folder `from`; both are absolute and without `..`.
fn between(from: &Path, to: &Path) -> String {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    let path: PathBuf = up.chain(to.components().skip(common)).collect();
    match path.to_string_lossy() {
        text if text.is_empty() => ".".to_owned(),
        text if text.contains(':') || text.starts_with('-') => format!("./{text}"),
        text => text.into_owned(),
    }
}

/// Brings the content into the cache, and shows the progress.
pub(super) fn provide(project: &Project, origin: &ProjectOrigin) -> Result<Provided> {
    let watched = Watched::start("fetching")?;
    let provided = other_project::provide(project, origin, None, &watched.meter);
    drop(watched);
    provided
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_between_folders() {
        for (from, to, path) in [
            ("/a/b", "/a/c", "../c"),
            ("/a/b", "/a/b", "."),
            ("/a/b", "/a/b/c", "c"),
            ("/a/b/c", "/x", "../../../x"),
            ("/a", "/a/x:y", "./x:y"),
            ("/a", "/a/-x", "./-x"),
        ] {
            assert_eq!(between(Path::new(from), Path::new(to)), path, "{from} {to}");
        }
    }
}
