//! Where the project is: the nearest directory upwards with a `pipeline.toml`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::pipeline;
use crate::repo_path::RepoPath;

/// The root of the project that `start` lies in, without links in it.
pub fn find(start: &Path) -> Result<PathBuf> {
    let start = start.canonicalize().map_err(|err| Error::io("open", start, &err))?;
    let root = start.ancestors().find(|dir| dir.join(pipeline::FILE).is_file());
    root.map(Path::to_owned).ok_or_else(|| {
        Error::usage(format!("no `{}` in `{}` or above it", pipeline::FILE, start.display()))
            .hint("`repro init` starts a pipeline here")
    })
}

/// What a user in `here` calls `typed`, as a path in the project at `root`. Folders on the way are followed where they are
/// links, the last name is not.
///
/// # Errors
/// It is not inside the project, or could not be named in a pipeline.
pub fn to_repo_path(root: &Path, here: &Path, typed: &Path) -> Result<RepoPath> {
    let outside = || {
        Error::usage(format!(
            "`{}` is not inside the project, `{}`",
            typed.display(),
            root.display()
        ))
    };
    let full = here.join(typed);
    // `x/..` has no last name, and the root has none above it that counts.
    let (folder, name) = match full.file_name() {
        Some(name) => (full.parent().unwrap_or(&full), Some(name)),
        None => (&*full, None),
    };
    // What is not there yet, or any more, has a name all the same.
    let there = folder.ancestors().find(|dir| dir.exists()).unwrap_or(here);
    let rest = folder.strip_prefix(there).unwrap_or(Path::new(""));
    let real = there.canonicalize().map_err(|err| Error::io("open", there, &err))?.join(rest);
    let real = name.map_or(real.clone(), |name| real.join(name));
    let below = real.strip_prefix(root).map_err(|_| outside())?;
    let text = below.to_str().ok_or_else(|| {
        Error::usage(format!("the name of `{}` is not UTF-8", typed.display())).hint("rename it")
    })?;
    match text {
        "" => Err(Error::usage(format!("`{}` is the project itself", typed.display()))
            .hint("name something in it")),
        text => RepoPath::parse(text)
            .map_err(|bad| Error::usage(format!("`{}` {bad}", typed.display()))),
    }
}
