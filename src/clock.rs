//! Reads the wall clock. The pure core takes times as arguments instead.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Returns the current time in milliseconds since 1970-01-01 UTC.
pub fn now_millis() -> i64 {
    i64::try_from(since_1970().as_millis()).unwrap_or(i64::MAX)
}

/// Returns the current time in nanoseconds since 1970-01-01 UTC, the unit of file times.
pub fn now_nanos() -> i64 {
    i64::try_from(since_1970().as_nanos()).unwrap_or(i64::MAX)
}

/// A clock that is set before 1970 counts as 1970.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
