//! Links in the workspace that lead into a folder. Knows nothing of what lies there.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::repo_path::RepoPath;

/// What the links below `root` lead to in `folder`, without links in it; what is only `repro`'s or git's is passed over.
pub fn targets_in(root: &Path, folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = folder.canonicalize() else {
        return Vec::new();
    };
    let walk =
        WalkDir::new(root).min_depth(1).into_iter().filter_entry(|entry| !is_reserved(root, entry));
    // What cannot be read holds no link that could be followed.
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
