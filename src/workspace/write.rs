//! Atomic file writes: a file is complete or unchanged at any time.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::unique::unique;

/// Durability of a write when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut may lose the file; for files that can be rebuilt.
    Relaxed,
    /// The file is on the disk.
    Synced,
}

/// Name prefix of our temporary files. One that a killed process left behind never counts as
/// content.
pub const TEMPORARY: &str = ".repro-tmp-";

/// Returns a unique new name in the folder of `path`.
pub fn temporary_beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("{TEMPORARY}{}", unique()))
}

/// Replaces `path` with `bytes`, by a temporary file in the same folder and a rename.
///
/// Creates the folder if it is missing.
pub fn atomic(path: &Path, bytes: &[u8], durability: Durability) -> Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|err| Error::io("create", dir, &err))?;
    }
    let temporary = temporary_beside(path);
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        match durability {
            Durability::Relaxed => Ok(()),
            Durability::Synced => file.sync_all(),
        }
    });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|err| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", path, &err)
    })?;
    if durability == Durability::Synced {
        sync_dir(path);
    }
    Ok(())
}

/// Replaces the content of a user's file atomically. Its mode is kept, and so is a symlink to it.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<()> {
    let file = &file.canonicalize().map_err(|err| Error::io("open", file, &err))?;
    let temporary = temporary_beside(file);
    let written = fs::metadata(file).and_then(|metadata| {
        let mut new = File::create_new(&temporary)?;
        new.write_all(bytes)?;
        new.set_permissions(metadata.permissions())?;
        new.sync_all()?;
        fs::rename(&temporary, file)
    });
    written.map_err(|err| {
        let _ = fs::remove_file(&temporary);
        Error::io("write", file, &err)
    })?;
    sync_dir(file);
    Ok(())
}

/// Makes the rename of `path` durable if the file system supports syncing directories.
fn sync_dir(path: &Path) {
    if let Some(dir) = path.parent() {
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
}
