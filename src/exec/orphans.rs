//! Stages that outlived a `repro` that was killed. They would go on writing outs under the feet of the next run.
//!
//! Each stage's process has for its stdin a marker file that it holds locked. After `kill -9` of `repro` the marker stays, and while any
//! process of the stage lives, so does the lock on it. The next run finds such markers and ends the processes that
//! have them open. No process id is remembered, so none can be mistaken for another.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

/// Ends what earlier runs left behind, and gives the names of the markers. Only under the run lock: then nothing
/// that is marked can belong to a living `repro`.
pub fn end_orphans(markers: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(markers) else {
        return Vec::new();
    };
    let mut ended = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        if is_held(&path) {
            for pid in holders(&path) {
                // Its group as well: a shell's background jobs do not hold the marker.
                if let Ok(group) = getpgid(Some(pid))
                    && Ok(group) != getpgid(None)
                {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                let _ = kill_process(pid, Signal::KILL);
            }
            // The kernel lets go of the lock when the last of them is gone.
            if let Ok(marker) = File::open(&path) {
                let _ = marker.lock();
            }
            ended.push(entry.file_name().to_string_lossy().into_owned());
        }
        let _ = fs::remove_file(&path);
    }
    ended.sort();
    ended
}

fn is_held(marker: &Path) -> bool {
    File::open(marker).is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// The processes whose stdin is this file.
fn holders(marker: &Path) -> Vec<Pid> {
    let marker: PathBuf = marker.canonicalize().unwrap_or_else(|_| marker.to_owned());
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == marker)
    })
    .filter_map(Pid::from_raw)
    .collect()
}
