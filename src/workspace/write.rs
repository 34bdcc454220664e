//! Writing a file so that it is there whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::unique::unique;

/// Whether the bytes must be on the disk when the call returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Losing it to a power cut costs time, not truth.
    Relaxed,
    Synced,
}

/// How the names of our temporary files begin. One that a killed process left behind is no part of any content.
pub const TEMPORARY: &str = ".repro-tmp-";

/// A new name in the folder of `path`, which no one else uses.
pub fn temporary_beside(path: &Path) -> PathBuf {
    path.with_file_name(format!("{TEMPORARY}{}", unique()))
}

/// Replaces `path` with `bytes`: a temporary file in the same folder, then rename. The folder is made if need be.
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

/// Replaces a file of the user's, whole or not at all. Its mode stays, and where it is a link, the link.
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

/// Makes the rename itself durable, where the file system can.
fn sync_dir(path: &Path) {
    if let Some(dir) = path.parent() {
        let _ = File::open(dir).and_then(|dir| dir.sync_all());
    }
}
