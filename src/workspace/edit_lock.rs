//! Lock around reading, editing and writing the files that declare the pipeline, so that of two
//! edits at once neither is lost. It is a kernel file lock of its own: a run, which may take days,
//! does not hold it.

use std::fs;
use std::path::Path;

use super::write::Staging;
use crate::error::{Error, Result};
use crate::regular_file;

/// The acquired lock, held until dropped.
#[derive(Debug)]
pub struct EditLock {
    _file: fs::File,
    staging: Staging,
}

/// Acquires the lock at `path`, after the edit in progress. Edited files are written by `staging`.
pub fn acquire(path: &Path, staging: Staging) -> Result<EditLock> {
    let cannot = |err: std::io::Error| Error::io("lock", path, &err);
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(cannot)?;
    }
    let file = regular_file::open_or_create(path).map_err(cannot)?;
    file.lock().map_err(cannot)?;
    Ok(EditLock { _file: file, staging })
}

impl EditLock {
    /// Replaces the content of a file that was read under this lock.
    pub fn replace(&self, file: &Path, bytes: &[u8]) -> Result<()> {
        self.staging.replace(file, bytes)
    }
}
