//! One command that changes things a project at a time: `run`, `checkout`, `gc` and their like. The kernel holds the lock for
//! the process and lets go when it dies, however it dies, so a lock is never stale.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use crate::error::{Error, Result};

/// Held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Takes the lock at `path`.
///
/// # Errors
/// Names the process that holds it.
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
            return Err(Error::environment(format!("{holder} is at work in this project"))
                .hint("wait until it ends, or stop it with Ctrl-C where it runs"));
        }
        Err(TryLockError::Error(err)) => return Err(Error::io("lock", path, &err)),
    }
    let note = format!("{}\n", std::process::id());
    // For the message alone: on a disk without room for it `gc` still has to make some.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
    Ok(RunLock { _file: file })
}
