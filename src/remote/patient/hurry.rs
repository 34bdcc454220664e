//! The end of all pauses, for Ctrl-C.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Longest time after which a pause notices that nobody waits any more.
pub(super) const NOTICE: Duration = Duration::from_millis(50);

static HURRIED: AtomicBool = AtomicBool::new(false);

/// Ends the pauses of all stores: from now on a call that fails is not repeated.
pub fn hurry() {
    HURRIED.store(true, Ordering::Relaxed);
}

pub(super) fn is_hurried() -> bool {
    HURRIED.load(Ordering::Relaxed)
}

/// Waits, unless nobody waits any more.
pub(super) fn sleep(pause: Duration) {
    let start = Instant::now();
    while let Some(rest) = pause.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero())
        && !is_hurried()
    {
        std::thread::sleep(rest.min(NOTICE));
    }
}
