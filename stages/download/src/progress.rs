//! Reports the progress, rate and remaining time of a transfer as events and as lines.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use kit::Events;

/// Bytes between two events.
const EVENT_BYTES: u64 = 1 << 20;
/// Time between two lines.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// Progress of a transfer, shared by reference between its threads.
#[derive(Debug)]
pub(crate) struct Progress<'a> {
    events: Option<&'a Events>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: u64,
    total: u64,
    reported: u64,
    start: Instant,
    line: Instant,
}

impl<'a> Progress<'a> {
    /// Reports by lines, and by events if `events` is set.
    pub(crate) fn new(events: Option<&'a Events>) -> Progress<'a> {
        let now = Instant::now();
        Progress {
            events,
            state: Mutex::new(State { done: 0, total: 0, reported: 0, start: now, line: now }),
        }
    }

    /// Adds `bytes` to the expected total.
    pub(crate) fn expect(&self, bytes: u64) {
        self.lock().total += bytes;
    }

    /// Counts `bytes` as received.
    pub(crate) fn add(&self, bytes: u64) {
        let mut state = self.lock();
        state.done += bytes;
        // Bytes that are fetched again after the source changed were expected only once.
        state.total = state.total.max(state.done);
        if state.done - state.reported >= EVENT_BYTES || state.done == state.total {
            state.reported = state.done;
            if let Some(events) = self.events {
                events.progress(state.done, state.total);
            }
        }
        let now = Instant::now();
        if now - state.line >= LINE_INTERVAL {
            state.line = now;
            kit::say!("{}", line(state.done, state.total, now - state.start));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poison| poison.into_inner())
    }
}

fn line(done: u64, total: u64, elapsed: Duration) -> String {
    let mega = |bytes: f64| bytes / 1e6;
    let rate = done as f64 / elapsed.as_secs_f64().max(1e-3);
    let left = (total - done) as f64 / rate.max(1.0);
    format!(
        "{:.1} of {:.1} MB, {:.1} MB/s, {} left",
        mega(done as f64),
        mega(total as f64),
        mega(rate),
        time(left.round() as u64)
    )
}

fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h{minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_line() {
        for (done, total, seconds, shown) in [
            (16_250_000, 65_000_000, 5, "16.2 of 65.0 MB, 3.2 MB/s, 15s left"),
            (1_000_000, 1_200_000_000, 1, "1.0 of 1200.0 MB, 1.0 MB/s, 19m59s left"),
            (1_000_000, 12_000_000_000, 1, "1.0 of 12000.0 MB, 1.0 MB/s, 3h19m left"),
            (5, 5, 0, "0.0 of 0.0 MB, 0.0 MB/s, 0s left"),
        ] {
            assert_eq!(line(done, total, Duration::from_secs(seconds)), shown);
        }
    }
}
