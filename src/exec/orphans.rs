//! Kills orphans: stage processes that outlived a killed `repro`. They would continue to write outs
//! while the next run uses them.
//!
//! # Mechanism
//!
//! The stdin of each stage's process is an empty marker file with a kernel lock, which belongs to
//! the open file, which child processes inherit. Beside it, a second file holds the stage's
//! [mark](super::family). A normal end removes both. After `kill -9` of `repro` they stay. The next
//! run finds them, and kills the family of the mark and of all processes that have the marker open.
//!
//! Neither way suffices alone. A command drops the lock with `< file`, `<&-` or `&`. A process
//! drops the mark with `env -i` or `sudo`, and has none before it calls `exec`.
//!
//! # Invariants
//!
//! - Markers are checked only under the run lock, so no marker belongs to a running `repro`.
//! - A reused process id is not mistaken for an orphan; this process and its ancestors are never
//!   killed.
//! - A run does not start while an orphan is alive: if it does not end within 5 s, that is an
//!   error.
//! - What a stage that succeeded left in the background is not an orphan.
//!
//! # Known limits
//!
//! - Those of a [family](super::family).
//! - Processes of other users or other machines (a shared file system) cannot be seen or killed. If
//!   they hold the lock, the error above is reported.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, getpid};

use super::family::{self, Mark};
use crate::error::{Error, Result};
use crate::regular_file;

/// Maximum wait for killed processes to end. A process blocked in the kernel by a dead disk may
/// never end.
const TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// End of the name of a mark, after the name of its marker. No stage has such a name.
const MARK: &str = "~mark";

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
    // What a link leads to is not ours to remove.
    let mut folders = markers.parent().into_iter().chain([markers]);
    if let Some(folder) = folders.find(|folder| folder.is_symlink()) {
        return Err(Error::environment(format!("`{}` is a symbolic link", folder.display()))
            .hint("remove it: `repro` removes files in this folder"));
    }
    let Ok(entries) = fs::read_dir(markers) else {
        return Ok(Vec::new());
    };
    let mut killed = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let stage = entry.file_name().to_string_lossy().into_owned();
        if !stage.ends_with(MARK) && kill_stage(&path, &stage, timeout)? {
            killed.push(stage);
        }
    }
    // Without its marker, a mark means nothing.
    for entry in fs::read_dir(markers).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
    killed.sort();
    Ok(killed)
}

fn read_mark(marker: &Path) -> Option<Mark> {
    let bytes = regular_file::read(&mark_of(marker)).ok()?;
    Mark::decode(std::str::from_utf8(&bytes).ok()?)
}

/// Ends what is left of a stage and reports whether there was anything.
fn kill_stage(marker: &Path, stage: &str, timeout: Duration) -> Result<bool> {
    let until = Instant::now() + timeout;
    let mark = read_mark(marker);
    let marks: Vec<&Mark> = mark.iter().collect();
    let is_orphaned = is_locked(marker) || !family::members(&marks, &[]).is_empty();
    if !is_orphaned {
        return Ok(false);
    }
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let alive = family::kill(&marks, || holders(marker), left);
        // The kernel releases the lock when the last process that it belongs to has ended.
        if alive.is_empty() && !is_locked(marker) {
            let _ = fs::remove_file(marker);
            return Ok(true);
        }
        if Instant::now() >= until {
            return Err(still_running(stage, &alive));
        }
        std::thread::sleep(POLL_INTERVAL);
    }
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

/// Returns the path of the mark that belongs to a marker.
pub(super) fn mark_of(marker: &Path) -> PathBuf {
    let mut name = marker.file_name().unwrap_or_default().to_owned();
    name.push(MARK);
    marker.with_file_name(name)
}

/// Reports whether any process has the marker open and locked.
fn is_locked(marker: &Path) -> bool {
    regular_file::open(marker)
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
    use std::fs::File;

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
