//! Tells running runs from dead ones. The recorder of a run holds a kernel lock on
//! `runs/run-12/recording.lock`, which the kernel releases however the process ends. A run with the
//! status `running` whose lock nobody holds has died.
//!
//! Known limit: if the lock file cannot be read, a dead run is shown as running.

use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::folders::run_dir;
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::regular_file;

/// File in the folder of a run that its recorder locks.
pub const RECORDING: &str = "recording.lock";
const POLL_INTERVAL: Duration = Duration::from_millis(20);

fn lock_file(history: &Path, run: RunName) -> PathBuf {
    run_dir(history, run).join(RECORDING)
}

/// Marks a run as alive until this is dropped.
#[derive(Debug)]
pub(super) struct Alive(File);

impl Drop for Alive {
    fn drop(&mut self) {
        // A child process that was forked, but has not executed its program yet, has the file, too.
        let _ = self.0.unlock();
    }
}

/// Marks a run as alive.
///
/// # Errors
/// The file cannot be created, or another process records the run.
pub(super) fn hold(history: &Path, run: RunName, timeout: Duration) -> Result<Alive> {
    let path = lock_file(history, run);
    let shown = path.strip_prefix(history).unwrap_or(&path);
    let created = fs::create_dir_all(run_dir(history, run));
    let file = created
        .and_then(|()| regular_file::open_or_create(&path))
        .map_err(|err| Error::io("create", shown, &err))?;
    let until = Instant::now() + timeout;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Alive(file)),
            // A reader holds the lock only for a moment.
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(err) => return Err(Error::io("lock", shown, &err.into())),
        }
    }
}

/// Reports whether a process is recording the run.
///
/// Returns true if that cannot be determined: showing a dead run as running is better than the
/// reverse.
pub(super) fn is_alive(history: &Path, run: RunName) -> bool {
    match regular_file::open(&lock_file(history, run)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        },
        Err(err) => err.kind() != ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_released_on_drop() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (RunName(1), RunName(2));
        assert!(!is_alive(dir.path(), first));
        let held = hold(dir.path(), first, Duration::ZERO).unwrap();
        assert!(is_alive(dir.path(), first));
        assert!(!is_alive(dir.path(), second));
        assert!(hold(dir.path(), first, Duration::ZERO).is_err());
        drop(hold(dir.path(), second, Duration::ZERO).unwrap());
        let inherited = held.0.try_clone().unwrap();
        drop(held);
        assert!(!is_alive(dir.path(), first));
        drop(inherited);
    }
}
