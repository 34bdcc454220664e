//! Unique names for temporary files.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

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
