//! Stages that outlived a `repro` that was killed. They would go on writing outs under the feet of the next run.
//!
//! Each stage's process has for its stdin a marker file that it holds locked. After `kill -9` of `repro` the marker stays, and while any
//! process of the stage lives, so does the lock on it. The next run finds such markers and ends the processes that
//! have them open. No process id is remembered, so none can be mistaken for another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, getpid, kill_process, kill_process_group};

use crate::error::{Error, Result};

/// How long killed processes have to be gone. One that waits in the kernel for a dead disk may never be.
const TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Ends what earlier runs left behind, and gives the names of the markers. Only under the run lock: then nothing
/// that is marked can belong to a living `repro`.
///
/// # Errors
/// Processes that do not go away: they would write outs under the feet of whoever starts now.
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
        // Its group as well: a shell's background jobs do not hold the marker.
        if let Ok(group) = getpgid(Some(pid))
            && Ok(group) != getpgid(None)
        {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = kill_process(pid, Signal::KILL);
    }
    // The kernel lets go of the lock when the last of them is gone.
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
        "stage `{stage}` of an earlier run, which was killed, still runs{which} and cannot be killed"
    ))
    .hint("it may belong to another user or machine, or wait for a disk: end it there, then try again")
}

fn is_locked(marker: &Path) -> bool {
    File::open(marker)
        .is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// The processes that have this file open, but for this one.
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
    fn an_orphan_that_cannot_be_ended_is_an_error_and_not_a_wait() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join("train");
        // This process holds it, and does not end itself.
        let held = File::create(&marker).unwrap();
        held.lock().unwrap();
        let error = kill_within(dir.path(), Duration::ZERO).unwrap_err();
        assert_eq!(
            error.what,
            "stage `train` of an earlier run, which was killed, still runs and cannot be killed"
        );
        assert!(marker.exists());
        drop(held);
        assert_eq!(kill_within(dir.path(), Duration::ZERO).unwrap(), Vec::<String>::new());
        assert!(!marker.exists());
        let pids = [7, 12].map(|pid| Pid::from_raw(pid).unwrap());
        assert!(still_running("train", &pids).what.contains("still runs (pids 7, 12) and"));
    }
}
