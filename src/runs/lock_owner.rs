//! Finds the process that holds a write lock on the database, in `/proc/locks`. Finds none on
//! systems without that file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::store::{DATABASE, SHM};

/// Describes the process that holds the lock: ``process 4711 (`python3`)``.
pub(super) fn lock_owner(root: &Path) -> Option<String> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let files = [DATABASE, SHM].iter().filter_map(|path| fs::metadata(root.join(path)).ok());
    let files: Vec<String> = files
        .map(|file| {
            let (major, minor) = (rustix::fs::major(file.dev()), rustix::fs::minor(file.dev()));
            format!("{major:02x}:{minor:02x}:{}", file.ino())
        })
        .collect();
    let pid = writer(&locks, &files, std::process::id())?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    Some(match name {
        Some(name) => format!("process {pid} (`{}`)", name.trim()),
        None => format!("process {pid}"),
    })
}

/// Returns the process, other than `own`, that holds a write lock on one of `files`.
///
/// Files are given as in `/proc/locks`: `major:minor:inode`, the first two in hexadecimal.
fn writer(locks: &str, files: &[String], own: u32) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The line of a waiting process has an arrow as its second word, so it does not match.
        let [_, "POSIX" | "OFDLCK", _, "WRITE", pid, file, ..] = words[..] else { return None };
        let pid = pid.parse().ok().filter(|&pid| pid != 0 && pid != own)?;
        files.iter().any(|locked| locked == file).then_some(pid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writer_by_lock_line() {
        let files = ["fe:00:764343".to_owned()];
        for (line, expected) in [
            ("1: POSIX  ADVISORY  WRITE 24483 fe:00:764343 120 120", Some(24483)),
            ("1: POSIX  ADVISORY  READ 24483 fe:00:764343 128 128", None),
            ("1: -> POSIX  ADVISORY  WRITE 24483 fe:00:764343 120 120", None),
            ("1: POSIX  ADVISORY  WRITE 24483 fe:00:764344 120 120", None),
            ("1: FLOCK  ADVISORY  WRITE 24483 fe:00:764343 0 EOF", None),
            ("1: POSIX  ADVISORY  WRITE 7 fe:00:764343 120 120", None),
            ("1: POSIX  ADVISORY  WRITE 0 fe:00:764343 120 120", None),
            ("", None),
        ] {
            assert_eq!(writer(line, &files, 7), expected, "{line}");
        }
    }
}
