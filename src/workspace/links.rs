//! Finds where symlinks in the workspace lead.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::root;
use crate::pipeline::PathEntry;
use crate::repo_path::RepoPath;

/// Returns the entry at `path`, a link with the path that it names.
pub fn entry(root: &Path, path: &RepoPath) -> PathEntry {
    let full = path.to_path(root);
    match full.symlink_metadata() {
        Err(_) => PathEntry::Absent,
        Ok(meta) if meta.is_dir() => PathEntry::Folder,
        Ok(meta) if meta.is_symlink() => {
            let folder = full.parent().unwrap_or(root);
            let target = std::fs::read_link(&full).ok();
            let inside = target.and_then(|target| root::to_repo_path(root, folder, &target).ok());
            inside.map_or(PathEntry::LinkOutside, PathEntry::Link)
        }
        Ok(_) => PathEntry::File,
    }
}

/// Returns the path to which a chain of links leads, ending at a path for which `ends` is true.
///
/// `None` if it leads outside or in a circle, or if `link` is not a link.
pub fn target(root: &Path, link: &RepoPath, ends: &dyn Fn(&RepoPath) -> bool) -> Option<RepoPath> {
    const MAX_LINKS: usize = 40;
    let mut at = link.clone();
    for _ in 0..MAX_LINKS {
        match entry(root, &at) {
            _ if ends(&at) => return Some(at),
            PathEntry::Link(target) => at = target,
            PathEntry::LinkOutside => return None,
            PathEntry::Absent | PathEntry::File | PathEntry::Folder => {
                return (at != *link).then_some(at);
            }
        }
    }
    None
}

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
