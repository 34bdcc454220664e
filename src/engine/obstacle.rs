//! Obstacles: a file or a broken link that stands where a folder around an out belongs, such as the
//! former out `o` in the way of `o/model`.

use super::Project;
use super::commit::store_durably;
use super::replaced::Replaced;
use crate::error::Result;
use crate::repo_path::RepoPath;

/// Returns the path above `path` that exists and is not a folder.
pub(super) fn find(project: &Project, path: &RepoPath) -> Option<RepoPath> {
    let mut above: Vec<&str> = path.ancestors().collect();
    above.reverse();
    let above = above.into_iter().filter_map(RepoPath::parse_canonical);
    for folder in above {
        let full = folder.to_path(&project.root);
        match full.metadata() {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return Some(folder),
            Err(_) => return full.is_symlink().then_some(folder),
        }
    }
    None
}

/// Stores and removes the obstacle above `path`, if there is one. Returns what the cache did not
/// hold before.
pub(super) fn clear(project: &Project, path: &RepoPath) -> Result<Replaced> {
    let Some(obstacle) = find(project, path) else { return Ok(Replaced::default()) };
    let replaced = match project.workspace.observe(&obstacle)? {
        Some(seen) => store_durably(project, &obstacle, &seen)?,
        None => Replaced::default(),
    };
    project.workspace.remove(&obstacle)?;
    Ok(replaced)
}
