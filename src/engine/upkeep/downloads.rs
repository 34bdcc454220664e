//! Remains of downloads that ended early, in `cache/downloads`. The same command continues them, so
//! they stay for some time.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use walkdir::WalkDir;

use crate::engine::elsewhere;
use crate::error::{Error, Result};
use crate::workspace::run_lock::RunLock;

/// Time without a new byte after which nobody is expected to continue a download.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A download that ended early and was not continued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    path: PathBuf,
    pub bytes: u64,
}

/// Returns the downloads to which nothing was added for [`KEPT`].
///
/// Every download happens under the run lock, so none of them is in use.
pub fn unfinished(root: &Path, _held: &RunLock) -> Vec<Unfinished> {
    let folders = fs::read_dir(elsewhere::folders(root)).into_iter().flatten().flatten();
    let folders = folders.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let now = SystemTime::now();
    let mut found: Vec<Unfinished> =
        folders.filter_map(|folder| if_old(folder.path(), now)).collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Returns the size of a download; `None` if a part of it is new or cannot be read.
fn if_old(path: PathBuf, now: SystemTime) -> Option<Unfinished> {
    let mut bytes = 0;
    for entry in WalkDir::new(&path) {
        let meta = entry.ok()?.metadata().ok()?;
        let age = now.duration_since(meta.modified().ok()?).ok()?;
        if age < KEPT {
            return None;
        }
        bytes += if meta.is_file() { meta.len() } else { 0 };
    }
    Some(Unfinished { path, bytes })
}

/// Removes a download; succeeds if it does not exist.
///
/// # Errors
/// A file cannot be removed.
pub fn remove(download: &Unfinished, _held: &RunLock) -> Result<()> {
    match fs::remove_dir_all(&download.path) {
        Err(err) if err.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", &download.path, &err))
        }
        _ => Ok(()),
    }
}
