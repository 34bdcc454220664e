//! Finds symlinks in the workspace that point into a folder.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::repo_path::RepoPath;

/// Returns the canonical targets, inside `folder`, of all symlinks below `root`.
///
/// Reserved paths, such as those of repro and git, are not searched.
pub fn targets_in(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = folder.canonicalize() else {
        return Vec::new();
    };
    let walk =
        WalkDir::new(root).min_depth(1).into_iter().filter_entry(|entry| !is_reserved(root, entry));
    // A directory that cannot be read contains no symlink that could be followed.
    let links = walk.flatten().filter(DirEntry::path_is_symlink);
    links
        .filter_map(|link| link.path().canonicalize().ok())
        .filter(|target| target.starts_with(&folder))
        .collect()
}

fn is_reserved(root: &Path, entry: &DirEntry) -> bool {
    let below = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
    below.and_then(RepoPath::parse_canonical).is_some_and(|path| path.is_reserved())
}
