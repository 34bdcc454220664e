//! Lock that allows one modifying command (`run`, `checkout`, `gc` and similar) per project at a
//! time. It is a kernel file lock, released when the process dies for any reason, so it is never
//! stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// The acquired lock, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Acquires the lock at `path` without waiting.
///
/// # Errors
/// Another process holds it; the message names its pid if the file has one.
pub fn acquire(path: &Path) -> Result<RunLock> {
    let cannot = |err: std::io::Error| Error::io("open", path, &err);
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(cannot)?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.read_to_string(&mut pid);
            let holder = match pid.trim() {
                "" => "another `repro`".to_owned(),
                pid => format!("another `repro` (pid {pid})"),
            };
            return Err(Error::environment(format!("{holder} is running in this project"))
                .hint("wait until it ends, or press Ctrl-C in its terminal"));
        }
        Err(TryLockError::Error(err)) => return Err(Error::io("lock", path, &err)),
    }
    let note = format!("{}\n", std::process::id());
    // The pid is only for the message. Errors are ignored: `gc` must work on a full disk.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
    Ok(RunLock { _file: file })
}
