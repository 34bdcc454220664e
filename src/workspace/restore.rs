//! Prepares the workspace for restored files: creates folders, removes old content and writes
//! dangling symlinks. Never follows a symlink at the path itself, or one out of the project.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use walkdir::WalkDir;

use super::Workspace;
use super::scan::is_absent;
use crate::error::{Error, Result};
use crate::repo_path::RepoPath;

/// Reports whether a symlink to `target` can be stored and restored: its target must be relative
/// and must not contain `..`.
pub fn is_restorable_link(target: &str) -> bool {
    !target.is_empty()
        && !target.starts_with('/')
        && !Path::new(target).components().any(|part| part.as_os_str() == "..")
}

impl Workspace {
    /// Creates the parent folders of `path`.
    ///
    /// # Errors
    /// A parent is a symlink that points outside the project.
    pub fn make_parent(&self, path: &RepoPath) -> Result<()> {
        self.check_inside(path)?;
        let full = path.to_path(&self.root);
        let parent = full.parent().unwrap_or(&self.root);
        if !parent.is_dir() {
            fs::create_dir_all(parent).map_err(|err| Error::io("create", parent, &err))?;
        }
        self.open_parent(path)
    }

    /// Lets the owner write into an existing folder. A stage may have made its outs read-only.
    ///
    /// Links are not followed, and nothing is done if `dir` is not a folder.
    pub fn make_writable(&self, dir: &RepoPath) -> Result<()> {
        let full = dir.to_path(&self.root);
        let_owner_write(&full).map_err(|err| Error::io("make writable", &full, &err))
    }

    /// Does the same for the folder of `path`, if a stage writes it.
    fn open_parent(&self, path: &RepoPath) -> Result<()> {
        let parent = path.ancestors().next().and_then(RepoPath::parse_canonical);
        match parent.filter(|parent| self.is_out(parent)) {
            Some(parent) => self.make_writable(&parent),
            None => Ok(()),
        }
    }

    /// Fails if the folder of `path`, with symlinks resolved, is outside the project.
    fn check_inside(&self, path: &RepoPath) -> Result<()> {
        let full = path.to_path(&self.root);
        let parent = full.ancestors().skip(1).find(|dir| dir.exists()).unwrap_or(&self.root);
        let real = parent.canonicalize().map_err(|err| Error::io("open", parent, &err))?;
        if real.starts_with(&self.root) {
            return Ok(());
        }
        let link = parent.strip_prefix(&self.root).unwrap_or(parent).display();
        Err(Error::usage(format!(
            "`{path}` would be written outside the project, below `{}`",
            real.display()
        ))
        .hint(format!(
            "`{link}` is a symlink to it: remove it, or declare a path inside the project"
        )))
    }

    /// Makes `path` a directory. An existing directory is kept as it is; anything else is removed.
    ///
    /// Its parent must have been created by [`make_parent`](Workspace::make_parent) or by this
    /// function: checking again at every level that no parent is a symlink out of the project would
    /// take most of the time.
    pub fn make_dir(&self, path: &RepoPath) -> Result<()> {
        let full = path.to_path(&self.root);
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => return self.make_writable(path),
            Ok(_) => self.remove(path)?,
            Err(_) => {}
        }
        fs::create_dir(&full).map_err(|err| Error::io("create", &full, &err))
    }

    /// Removes `path` if it exists; a symlink is removed, not its target.
    ///
    /// # Errors
    /// I/O errors, and a parent that is a symlink out of the project.
    pub fn remove(&self, path: &RepoPath) -> Result<()> {
        self.check_inside(path)?;
        let full = path.to_path(&self.root);
        match remove_io(&full) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                self.open_parent(path)?;
                remove_any(&full)
            }
            Err(err) => Err(Error::io("remove", &full, &err)),
            Ok(()) => Ok(()),
        }
    }

    /// Restores a dangling symlink with its original target, replacing whatever is at `path`.
    ///
    /// # Errors
    /// The target is absolute or contains `..`: such a symlink could point outside the project.
    pub fn restore_link(&self, path: &RepoPath, target: &str) -> Result<()> {
        if !is_restorable_link(target) {
            return Err(Error::usage(format!(
                "symlink `{path}` points to `{target}`, outside its folder"
            )));
        }
        self.remove(path)?;
        let full = path.to_path(&self.root);
        std::os::unix::fs::symlink(target, &full).map_err(|err| Error::io("link", &full, &err))
    }
}

/// Removes a file, a link or a directory with everything in it; succeeds if there is none.
pub fn remove_any(path: &Path) -> Result<()> {
    remove_io(path).map_err(|err| Error::io("remove", path, &err))
}

fn remove_io(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => match remove_dir(path) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                let_owner_write_below(path).and_then(|()| remove_dir(path))
            }
            removed => removed,
        },
        Ok(_) => fs::remove_file(path),
        Err(err) => Err(err),
    };
    match removed {
        Err(err) if !is_absent(&err) => Err(err),
        _ => Ok(()),
    }
}

/// Removes a directory with everything in it.
///
/// [`fs::remove_dir_all`] keeps every folder on the way down open; this needs few file descriptors
/// at any depth.
fn remove_dir(dir: &Path) -> io::Result<()> {
    WalkDir::new(dir).contents_first(true).into_iter().try_for_each(|entry| {
        let removed =
            entry.map_err(io::Error::from).and_then(|entry| match entry.file_type().is_dir() {
                true => fs::remove_dir(entry.path()),
                false => fs::remove_file(entry.path()),
            });
        match removed {
            // Another process removes files here too. Continue with the rest.
            Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    })
}

/// Lets the owner list, enter and write a folder.
fn let_owner_write(dir: &Path) -> io::Result<()> {
    const OWNER: u32 = 0o700;
    let meta = fs::symlink_metadata(dir)?;
    let mode = meta.permissions().mode();
    if !meta.is_dir() || mode & OWNER == OWNER {
        return Ok(());
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(mode & 0o7777 | OWNER))
}

/// Lets the owner write a folder and all folders in it. Links are not followed.
fn let_owner_write_below(dir: &Path) -> io::Result<()> {
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        let_owner_write(&dir)?;
        if !dir.symlink_metadata()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remove_dir_with_concurrent_removal() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        for name in 0..1_500 {
            fs::write(folder.join(name.to_string()), "").unwrap();
        }
        // In the order of the walk, which has read many names by the time it removes the first.
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
