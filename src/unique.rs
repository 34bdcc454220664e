//! Names for temporary files that nobody else uses. Knows nothing of where they go.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What no other call has got, in this process or another: the process, when it first asked, and a count. Without the time the
/// file of a killed process would be in the way of a later one that has its number, as happens in containers.
pub fn unique() -> String {
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}-{:x}", std::process::id(), began.as_nanos())
    });
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", *PROCESS, COUNTER.fetch_add(1, Ordering::Relaxed))
}
