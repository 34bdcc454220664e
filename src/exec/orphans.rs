//! Kills orphans: stage processes that outlived a killed `repro`. They would continue to write outs
//! while the next run uses them.
//!
//! # Mechanism
//!
//! The stdin of each stage's process is a marker file with a kernel lock. The lock belongs to the
//! open file, which the child processes inherit, so it is held while any of them has it open. A
//! normal end removes the marker. After `kill -9` of `repro` it stays; the next run finds it, and
//! if it is still locked, kills the processes that have it open and their process groups.
//!
//! # Invariants
//!
//! - Markers are checked only under the run lock, so no marker belongs to a running `repro`.
//! - No process id is stored, so a reused id cannot be mistaken for an orphan.
//! - This process and its process group are never killed.
//! - A run does not start while an orphan is alive: if it does not end within 5 s, that is an
//!   error.
//!
//! # Known limits
//!
//! - Processes are found by `/proc/*/fd`. Those of other users or other machines (a shared file
//!   system) cannot be seen or killed; then the error above is reported.
//! - A background job that does not have the marker open is found only by its process group, and
//!   only while another process of the stage has the marker open.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, getpid, kill_process, kill_process_group};

use crate::error::{Error, Result};

/// Time that killed processes get to end. A process blocked in the kernel by a dead disk may never
/// end.
const TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Kills stage processes of earlier runs and returns the names of their stages, sorted.
///
/// Call it only under the run lock: then no marker belongs to a running `repro`.
///
/// # Errors
/// A process does not end. It could still write outs, so no stage may start.
pub fn kill_orphans(markers: &Path) -> Result<Vec<String>> {
    kill_within(markers, TIMEOUT)
}

fn kill_within(markers: &Path, timeout: Duration) -> Result<Vec<String>> {
    let Ok(entries) = fs::read_dir(markers) else {
        return Ok(Vec::new());
    };
    let mut killed = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if is_locked(&path) {
            let stage = entry.file_name().to_string_lossy().into_owned();
            kill_stage(&path, &stage, timeout)?;
            killed.push(stage);
        }
        let _ = fs::remove_file(&path);
    }
    killed.sort();
    Ok(killed)
}

fn kill_stage(marker: &Path, stage: &str, timeout: Duration) -> Result<()> {
    let until = Instant::now() + timeout;
    for pid in holders(marker) {
        // Kill its group as well: background jobs of a shell do not have the marker open.
        if let Ok(group) = getpgid(Some(pid))
            && Ok(group) != getpgid(None)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = kill_process(pid, Signal::KILL);
    }
    // The kernel releases the lock when the last of them has ended.
    while is_locked(marker) {
        if Instant::now() >= until {
            return Err(still_running(stage, &holders(marker)));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

fn still_running(stage: &str, pids: &[Pid]) -> Error {
    let pids: Vec<String> = pids.iter().map(|pid| pid.as_raw_nonzero().to_string()).collect();
    let which = match pids.len() {
        0 => String::new(),
        1 => format!(" (pid {})", pids[0]),
        _ => format!(" (pids {})", pids.join(", ")),
    };
    Error::environment(format!(
        "stage `{stage}` of an earlier, killed run is still running{which} and cannot be killed"
    ))
    .hint(
        "it may belong to another user or machine, or be blocked by a disk: end it, then run again",
    )
}

/// Reports whether any process has the marker open and locked.
fn is_locked(marker: &Path) -> bool {
    File::open(marker)
        .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Returns the processes, except this one, that have the file open.
fn holders(marker: &Path) -> Vec<Pid> {
    let marker: PathBuf = marker.canonicalize().unwrap_or_else(|_| marker.to_owned());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == marker)
    })
    .filter_map(Pid::from_raw)
    .filter(|&pid| pid != getpid())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unkillable_orphan_is_an_error() {
        deadline::within(|| {
            let dir = tempfile::tempdir().unwrap();
            let marker = dir.path().join("train");
            // This process holds the lock, and it does not kill itself.
            let held = File::create(&marker).unwrap();
            held.lock().unwrap();
            let error = kill_within(dir.path(), Duration::ZERO).unwrap_err();
            assert_eq!(
                error.what,
                "stage `train` of an earlier, killed run is still running and cannot be killed"
            );
            assert!(marker.exists());
            drop(held);
            assert_eq!(kill_within(dir.path(), Duration::ZERO).unwrap(), Vec::<String>::new());
            assert!(!marker.exists());
            let pids = [7, 12].map(|pid| Pid::from_raw(pid).unwrap());
            assert!(still_running("train", &pids).what.contains("still running (pids 7, 12) and"));
        });
    }
}
