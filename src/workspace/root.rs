//! Finds the project root, which is the nearest directory upwards with a `pipeline.toml`, and
//! converts paths that a user typed.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::pipeline;
use crate::repo_path::RepoPath;

/// Returns the root of the project that contains `start`, as a path without symlinks.
///
/// # Errors
/// `start` is not a directory, or no directory above it has a `pipeline.toml`.
pub fn find(start: &Path) -> Result<PathBuf> {
    let real = start.canonicalize().map_err(|err| match err.kind() {
        std::io::ErrorKind::NotFound => {
            Error::usage(format!("`{}` does not exist", start.display()))
        }
        std::io::ErrorKind::NotADirectory => not_a_directory(start),
        _ => Error::io("open", start, &err),
    })?;
    if !real.is_dir() {
        return Err(not_a_directory(start));
    }
    let file = |dir: &Path| dir.join(pipeline::FILE);
    if let Some(root) = real.ancestors().find(|dir| file(dir).is_file()) {
        return Ok(root.to_owned());
    }
    Err(match real.ancestors().map(file).find(|path| path.is_dir()) {
        Some(dir) => Error::usage(format!("`{}` is a directory, not a file", dir.display())),
        None => Error::usage(format!(
            "there is no `{}` in `{}` or its parent directories",
            pipeline::FILE,
            real.display()
        ))
        .hint("run `repro init` to create a pipeline here"),
    })
}

fn not_a_directory(path: &Path) -> Error {
    Error::usage(format!("`{}` is not a directory", path.display()))
}

/// Converts `typed`, relative to the directory `here`, to a path in the project at `root`.
///
/// Symlinks among its parent folders are resolved; the last name is not.
///
/// # Errors
/// The path is not inside the project or is not valid in a pipeline.
pub fn to_repo_path(root: &Path, here: &Path, typed: &Path) -> Result<RepoPath> {
    let outside = || {
        Error::usage(format!(
            "`{}` is not inside the project, `{}`",
            typed.display(),
            root.display()
        ))
    };
    let full = here.join(typed);
    // `x/..` and `/` have no last name.
    let (folder, name) = match full.file_name() {
        Some(name) => (full.parent().unwrap_or(&full), Some(name)),
        None => (&*full, None),
    };
    // The folder need not exist: only its existing part is resolved.
    let existing = folder.ancestors().find(|dir| dir.exists()).unwrap_or(here);
    let rest = folder.strip_prefix(existing).unwrap_or(Path::new(""));
    let real = existing.canonicalize().map_err(|err| Error::io("open", existing, &err))?.join(rest);
    let real = name.map_or(real.clone(), |name| real.join(name));
    let below = real.strip_prefix(root).map_err(|_| outside())?;
    let text = below.to_str().ok_or_else(|| {
        Error::usage(format!("the name of `{}` is not UTF-8", typed.display())).hint("rename it")
    })?;
    match text {
        "" => Err(Error::usage(format!("`{}` is the project directory itself", typed.display()))
            .hint("name a path inside it")),
        text => RepoPath::parse(text)
            .map_err(|bad| Error::usage(format!("`{}` {bad}", typed.display()))),
    }
}
