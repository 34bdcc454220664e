//! Making room in the workspace: folders for what is to come, and the removal of what was. Never follows a link.

use std::fs;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

use super::Workspace;
use super::scan::is_absent;
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

/// Whether a link to `target` can be kept and brought back: not one that is absolute or leads upwards.
pub fn is_restorable_link(target: &str) -> bool {
    !target.is_empty()
        && !target.starts_with('/')
        && !Path::new(target).components().any(|part| part.as_os_str() == "..")
}

impl Workspace {
    /// Makes the folder that `path` lies in.
    ///
    /// # Errors
    /// A folder on the way is a link that leads out of the project.
    pub fn make_parent(&self, path: &RepoPath) -> Result<()> {
        self.stays_inside(path)?;
        let full = path.to_path(&self.root);
        let parent = full.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent).map_err(|err| Error::io("create", parent, &err))
    }

    /// Refuses a path whose folder is, on the disk, outside of the project.
    fn stays_inside(&self, path: &RepoPath) -> Result<()> {
        let full = path.to_path(&self.root);
        let there = full.ancestors().skip(1).find(|dir| dir.exists()).unwrap_or(&self.root);
        let real = there.canonicalize().map_err(|err| Error::io("open", there, &err))?;
        if real.starts_with(&self.root) {
            return Ok(());
        }
        let link = there.strip_prefix(&self.root).unwrap_or(there).display();
        Err(Error::usage(format!(
            "`{path}` would be written outside of the project, below `{}`",
            real.display()
        ))
        .hint(format!(
            "`{link}` is a link that leads there; remove it, or declare a path inside the project"
        )))
    }

    /// Makes `path` a directory: what else is there goes, a directory stays as it is. The folder that it lies in must have been made
    /// here: to look anew at each on the way down whether it leads out would cost most of the time.
    pub fn make_dir(&self, path: &RepoPath) -> Result<()> {
        let full = path.to_path(&self.root);
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => return Ok(()),
            Ok(_) => self.remove(path)?,
            Err(_) => {}
        }
        fs::create_dir(&full).map_err(|err| Error::io("create", &full, &err))
    }

    /// Removes whatever lies at `path`; a link goes, not what it leads to.
    ///
    /// # Errors
    /// Those of the disk, and a folder on the way that is a link out of the project.
    pub fn remove(&self, path: &RepoPath) -> Result<()> {
        self.stays_inside(path)?;
        let full = path.to_path(&self.root);
        let removed = match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => remove_dir(&full),
            Ok(_) => fs::remove_file(&full),
            Err(err) => Err(err),
        };
        match removed {
            Err(err) if !is_absent(&err) => Err(Error::io("remove", &full, &err)),
            _ => Ok(()),
        }
    }

    /// Writes a link that leads nowhere, as it was.
    ///
    /// # Errors
    /// Its target is absolute or leads upwards: such a link is not ours to plant.
    pub fn restore_link(&self, path: &RepoPath, target: &str) -> Result<()> {
        if !is_restorable_link(target) {
            return Err(Error::usage(format!(
                "the link `{path}` leads to `{target}`, outside of its folder"
            )));
        }
        self.remove(path)?;
        let full = path.to_path(&self.root);
        std::os::unix::fs::symlink(target, &full).map_err(|err| Error::io("link", &full, &err))
    }
}

/// A directory with all that is in it. Unlike that of the standard library, which holds each folder on the way down open, this does
/// with few open files however deep they nest.
fn remove_dir(dir: &Path) -> io::Result<()> {
    WalkDir::new(dir).contents_first(true).into_iter().try_for_each(|entry| {
        let removed =
            entry.map_err(io::Error::from).and_then(|entry| match entry.file_type().is_dir() {
                true => fs::remove_dir(entry.path()),
                false => fs::remove_file(entry.path()),
            });
        match removed {
            // Somebody else removes there, too: the rest has to go all the same.
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_goes_whole_though_others_remove_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for name in 0..1_500 {
            fs::write(folder.join(name.to_string()), "").unwrap();
        }
        // In the order of the walk, which has read the names of many when it removes the first.
        let files: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while files[0].exists() {
                    std::hint::spin_loop();
                }
                files[100..].iter().for_each(|file| drop(fs::remove_file(file)));
            });
            remove_dir(&folder).unwrap();
        });
        assert!(!folder.exists());
    }
}
