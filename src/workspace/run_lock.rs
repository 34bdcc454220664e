//! Lock that allows one modifying command (`run`, `checkout`, `gc` and similar) per project at a
//! time. It is a kernel file lock, released when the process dies for any reason, so it is never
//! stale.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::error::{Error, Result};
use crate::regular_file;
use crate::state_folder;

/// The acquired lock, held until dropped.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

/// Maximum wait for the lock of a dead process to be released.
///
/// A process that `repro` is starting inherits the lock and holds it until it calls `exec`, even if
/// `repro` is killed meanwhile.
const OF_DEAD: Duration = Duration::from_secs(3);
/// The same for a living process, which may have been killed a moment ago.
const OF_LIVING: Duration = Duration::from_millis(100);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Acquires the lock at `path`. Waits only for the lock of a process that has ended.
///
/// # Errors
/// Another process holds it; the message names its pid if the file has one.
pub fn acquire(path: &Path) -> Result<RunLock> {
    let cannot = |err: std::io::Error| Error::io("open", path, &err);
    if let Some(dir) = path.parent() {
        state_folder::create(dir).map_err(cannot)?;
    }
    let mut file = regular_file::open_or_create(path).map_err(cannot)?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) => {
                let owner = owner(&mut file);
                let patience = if owner.is_some_and(is_alive) { OF_LIVING } else { OF_DEAD };
                if asked.elapsed() >= patience {
                    return Err(is_running(owner));
                }
                std::thread::sleep(POLL_INTERVAL);
            }
            Err(TryLockError::Error(err)) => return Err(Error::io("lock", path, &err)),
        }
    }
    let note = format!("{}\n", std::process::id());
    // The pid is only for the message. Errors are ignored: `gc` must work on a full disk.
    let _ =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
    Ok(RunLock { _file: file })
}

/// Reads the process id of the last owner; `None` if the file has none.
fn owner(file: &mut File) -> Option<Pid> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    Pid::from_raw(text.trim().parse().ok().filter(|pid| *pid > 0)?)
}

/// Reports whether a process exists and is not a zombie.
fn is_alive(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.as_deref().ok().and_then(|stat| stat.rsplit(')').next()).map(str::trim_start);
    test_kill_process(pid) != Err(Errno::SRCH) && !state.is_some_and(|state| state.starts_with('Z'))
}

fn is_running(owner: Option<Pid>) -> Error {
    let holder = match owner {
        None => "another `repro`".to_owned(),
        Some(pid) => format!("another `repro` (pid {})", pid.as_raw_nonzero()),
    };
    Error::environment(format!("{holder} is running in this project"))
        .hint("wait until it ends, or press Ctrl-C in its terminal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_of_dead_owner() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("run.lock");
            let mut dead = std::process::Command::new("true").spawn().unwrap();
            let pid = Pid::from_child(&dead);
            while is_alive(pid) {
                std::thread::yield_now();
            }
            // A zombie so far.
            for _ in 0..2 {
                std::fs::write(&path, format!("{}\n", dead.id())).unwrap();
                let held = File::open(&path).unwrap();
                held.lock().unwrap();
                let other = path.clone();
                let waiting = std::thread::spawn(move || acquire(&other).map(drop));
                let opened = || {
                    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
                    open.filter_map(|fd| std::fs::read_link(fd.path()).ok())
                        .filter(|target| *target == path)
                        .count()
                };
                while opened() < 2 && !waiting.is_finished() {
                    std::thread::yield_now();
                }
                for _ in 0..100 {
                    std::thread::yield_now();
                }
                drop(held);
                waiting.join().unwrap().unwrap();
                dead.wait().unwrap();
            }
        });
    }

    #[test]
    fn lock_of_living_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        let _held = acquire(&path).unwrap();
        let pid = std::process::id();
        let expected = format!("another `repro` (pid {pid}) is running in this project");
        assert_eq!(acquire(&path).unwrap_err().what, expected);
    }
}
