//! The progress of a transfer: a line on a terminal, or from time to time a line of a log.

use std::io::{IsTerminal as _, Write as _};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::note;
use super::row::clock;
use super::size::size;

/// Time between two updates of the line.
const EVERY: Duration = Duration::from_millis(100);
/// Time between two lines of a log.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// Time over which the rate is averaged.
const WINDOW: usize = 50;

/// Shows a transfer until it is dropped.
#[derive(Debug)]
pub struct TransferProgress {
    /// Dropped to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TransferProgress {
    /// Starts a thread that shows the bytes done, and in all, that `poll` returns. `verb` says what
    /// is done, such as "pushing".
    pub fn start(
        verb: &'static str,
        poll: impl Fn() -> (u64, u64) + Send + 'static,
    ) -> TransferProgress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_live = std::io::stderr().is_terminal() && !dumb;
        let (end, ended) = channel();
        let show = move || {
            let mut samples = Samples::new(Instant::now());
            let every = if is_live { EVERY } else { LOG_EVERY };
            while ended.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let (done, total) = poll();
                samples.add(Instant::now(), done);
                let line = line(verb, done, total, samples.rate());
                if is_live { draw(&line) } else { note(&line) }
            }
            if is_live {
                draw("");
            }
        };
        let thread = std::thread::Builder::new().name("progress".into()).spawn(show).ok();
        TransferProgress { end: Some(end), thread }
    }
}

impl Drop for TransferProgress {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Writes a remark to stderr, above the line of a transfer.
pub fn remark(text: &str) {
    if std::io::stderr().is_terminal() {
        draw("");
    }
    note(text);
}

/// The latest samples of the bytes done, each with its time.
struct Samples(std::collections::VecDeque<(Instant, u64)>);

impl Samples {
    fn new(start: Instant) -> Samples {
        Samples([(start, 0)].into())
    }

    fn add(&mut self, time: Instant, bytes: u64) {
        self.0.push_back((time, bytes));
        if self.0.len() > WINDOW {
            self.0.pop_front();
        }
    }

    /// Returns the bytes per second.
    fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else { return 0.0 };
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        if seconds > 0.0 { last.1.saturating_sub(first.1) as f64 / seconds } else { 0.0 }
    }
}

/// `pushing: 1.2 GB of 4.0 GB (30 %), 120 MB/s, 25s left`
fn line(verb: &str, done: u64, total: u64, rate: f64) -> String {
    let percent =
        if total == 0 { 0 } else { u128::from(done.min(total)) * 100 / u128::from(total) };
    let mut text = format!("{verb}: {} of {} ({percent} %)", size(done), size(total));
    if rate >= 1.0 {
        text.push_str(&format!(", {}/s", size(rate as u64)));
        let left = total.saturating_sub(done) as f64 / rate;
        if (1.0..1e6).contains(&left) {
            text.push_str(&format!(", {} left", clock(Duration::from_secs(left as u64))));
        }
    }
    text
}

/// Overwrites the line. Bypasses `anstream`, which would remove the erase code along with colors.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (done, total, rate, expected) in [
            (0, 0, 0.0, "pushing: 0 B of 0 B (0 %)"),
            (500, 2000, 0.0, "pushing: 500 B of 2.0 kB (25 %)"),
            (1_200_000, 4_000_000, 1e6, "pushing: 1.2 MB of 4.0 MB (30 %), 1.0 MB/s, 2s left"),
            (4_000_000, 4_000_000, 1e6, "pushing: 4.0 MB of 4.0 MB (100 %), 1.0 MB/s"),
            (5, 4, 2.0, "pushing: 5 B of 4 B (100 %), 2 B/s"),
        ] {
            assert_eq!(line("pushing", done, total, rate), expected);
        }
    }

    #[test]
    fn rate_of_latest_samples() {
        let start = Instant::now();
        let mut samples = Samples::new(start);
        assert_eq!(samples.rate(), 0.0);
        for second in 1..=100 {
            samples.add(start + Duration::from_secs(second), second * 10);
        }
        assert_eq!(samples.rate(), 10.0);
        assert_eq!(samples.0.len(), WINDOW);
    }
}
