//! Atomic file writes: a file is complete or unchanged at any time.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::unique::{is_left_over, unique};

/// Durability of a write when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut may lose the file; for files that can be rebuilt.
    Relaxed,
    /// The file is on the disk.
    Synced,
}

/// Start of the names of temporary files beside files of the state.
const BESIDE: &str = ".repro-tmp-";
/// Start of the names of files in a [`Staging`] folder.
const STAGED: &str = "file-";

/// Replaces `path`, a file of the state, by a temporary file in the same folder and a rename.
///
/// Creates the folder if it is missing. For a file among those of the user, use [`Staging`].
pub fn atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|err| Error::io("create", dir, &err))?;
    }
    let temporary = path.with_file_name(format!("{BESIDE}{}", unique()));
    put(&temporary, path, |file| fill(file, bytes, durability))
        .map_err(|err| Error::io("write", path, &err))?;
    if durability == Durability::Synced {
        sync_dir(path);
    }
    Ok(())
}

/// The folder in the project's state where files are written before one rename moves them among
/// the files of the user, so that no stage ever reads a torn or a temporary file.
#[derive(Debug, Clone)]
pub struct Staging(PathBuf);

impl Staging {
    /// Returns the folder in the state at `state`, which need not exist.
    pub fn in_state(state: &Path) -> Staging {
        Staging(state.join("tmp"))
    }

    /// Creates the folder if it is missing.
    pub fn create(&self) -> io::Result<()> {
        self.0.parent().map_or(Ok(()), crate::state_folder::create)?;
        fs::create_dir_all(&self.0)
    }

    /// Returns a new path in the folder.
    pub fn new_path(&self) -> PathBuf {
        self.0.join(format!("{STAGED}{}", unique()))
    }

    /// Replaces `path` with `bytes`. Creates the folder of `path` if it is missing.
    pub fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir).map_err(|err| Error::io("create", dir, &err))?;
        }
        self.put(path, |file| fill(file, bytes, durability))
            .map_err(|err| Error::io("write", path, &err))?;
        if durability == Durability::Synced {
            sync_dir(path);
        }
        Ok(())
    }

    /// Replaces the content of a user's file. Its mode is kept, and so is a symlink to it.
    pub fn replace(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        let file = &file.canonicalize().map_err(|err| Error::io("open", file, &err))?;
        let replaced = fs::metadata(file).and_then(|metadata| {
            self.put(file, |new| {
                new.set_permissions(metadata.permissions())?;
                fill(new, bytes, Durability::Synced)
            })
        });
        replaced.map_err(|err| Error::io("write", file, &err))?;
        sync_dir(file);
        Ok(())
    }

    fn put(&self, path: &Path, fill: impl Fn(&mut File) -> io::Result<()>) -> io::Result<()> {
        match self.create().and_then(|()| put(&self.new_path(), path, &fill)) {
            // The state is on another disk, or it belongs to another user.
            Err(err) if is_elsewhere(&err) => {
                let temporary = beside(path);
                // A killed process may have left it.
                let _ = fs::remove_file(&temporary);
                put(&temporary, path, &fill)
            }
            other => other,
        }
    }
}

/// Removes files and folders that killed processes have left in the state at `state`.
pub fn sweep(state: &Path) {
    for (folder, start) in [(state.to_owned(), BESIDE), (state.join("tmp"), STAGED)] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let unique = name.to_str().and_then(|name| name.strip_prefix(start));
            if unique.is_some_and(is_left_over) {
                let path = entry.path();
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
    }
}

fn is_elsewhere(err: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(err.kind(), CrossesDevices | NotADirectory | PermissionDenied | ReadOnlyFilesystem)
}

/// Returns the one name beside `path` for a file that replaces it, always the same: the next write
/// removes what a killed process has left.
pub fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".repro-new");
    path.with_file_name(name)
}

/// Creates `temporary`, fills it, and renames it to `path`.
fn put(
    temporary: &Path,
    path: &Path,
    fill: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let filled = File::create_new(temporary).and_then(|mut file| fill(&mut file));
    filled.and_then(|()| fs::rename(temporary, path)).inspect_err(|_| {
        let _ = fs::remove_file(temporary);
    })
}

fn fill(file: &mut File, bytes: &[u8], durability: Durability) -> io::Result<()> {
    file.write_all(bytes)?;
    match durability {
        Durability::Relaxed => Ok(()),
        Durability::Synced => file.sync_all(),
    }
}

/// Renames `from` to `to`, which must not exist.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // The file system cannot do both at once.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match to.symlink_metadata() {
            Ok(_) => Err(Errno::EXIST.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

/// Makes the rename of `path` durable if the file system supports syncing directories.
pub fn sync_dir(path: &Path) {
    if let Some(dir) = path.parent() {
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_of_left_over_files() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("tmp/running")).unwrap();
        let folder = |pid: u32| dir.path().join(format!("tmp/file-{pid}-2-0"));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let (ended, alive) = (child.id(), std::process::id());
        let paths = ["tmp/file-{}-1-0", ".repro-tmp-{}-1-0", "tmp/object-{}-1-0", "index-{}-1-0"];
        for path in paths {
            for pid in [ended, alive] {
                fs::write(dir.path().join(path.replace("{}", &pid.to_string())), "").unwrap();
            }
        }
        for pid in [ended, alive] {
            fs::create_dir_all(folder(pid).join("inside")).unwrap();
        }
        sweep(dir.path());
        assert_eq!([ended, alive].map(|pid| folder(pid).exists()), [false, true]);
        for path in paths {
            let exists = |pid: u32| dir.path().join(path.replace("{}", &pid.to_string())).exists();
            assert!(exists(alive), "{path}");
            assert_eq!(exists(ended), path.contains("object") || path.contains("index"), "{path}");
        }
    }

    #[test]
    fn write_without_staging() {
        let dir = tempfile::tempdir().unwrap();
        // No folder can be created there.
        fs::write(dir.path().join("state"), "").unwrap();
        let staging = Staging::in_state(&dir.path().join("state"));
        let path = dir.path().join("file");
        fs::write(beside(&path), "of a killed process").unwrap();
        staging.write(&path, b"1", Durability::Relaxed).unwrap();
        staging.replace(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
