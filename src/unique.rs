//! Unique names for temporary files.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::clock::now_nanos;

/// Returns a name that no other call returns, in this process or another one.
///
/// The name consists of the process id, the time of the first call and a counter. The time keeps a
/// file left by a killed process from colliding with a later process that has the same id, which is
/// common in containers.
pub fn unique() -> String {
    static PROCESS: LazyLock<String> =
        LazyLock::new(|| format!("{}-{:x}", std::process::id(), now_nanos()));
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", *PROCESS, COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// Reports whether the process that got this name from [`unique`] has ended; false for any other
/// name.
pub fn is_left_over(name: &str) -> bool {
    let pid = name.split_once('-').and_then(|(pid, _)| pid.parse().ok());
    let pid = pid.filter(|pid| *pid > 0).and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn left_over_names() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let ended = child.id();
        for (name, expected) in [
            (format!("{ended}-0"), true),
            (format!("{ended}-17f-0"), true),
            (unique(), false),
            (ended.to_string(), false),
            ("0-1".into(), false),
            ("-3-1".into(), false),
            ("note".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_left_over(&name), expected, "{name}");
        }
    }
}
