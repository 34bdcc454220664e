//! A progress line for long reads, shown only on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::size::size;

/// Minimum time between two updates of the line.
const EVERY: Duration = Duration::from_millis(100);

/// The progress line. Many threads may update it; dropping it removes the line.
#[derive(Debug)]
pub struct ReadProgress {
    /// Time of the last update; `None` where nobody would see the line.
    shown: Option<Mutex<Instant>>,
}

impl ReadProgress {
    pub fn start() -> ReadProgress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_seen = std::io::stderr().is_terminal() && !dumb;
        ReadProgress { shown: is_seen.then(|| Mutex::new(Instant::now())) }
    }

    pub fn update(&self, bytes: u64, of: u64) {
        let Some(shown) = &self.shown else { return };
        // If another thread is updating the line, skip: its numbers are nearly the same.
        let Ok(mut shown) = shown.try_lock() else { return };
        if shown.elapsed() >= EVERY {
            *shown = Instant::now();
            let percent =
                if of == 0 { 100 } else { u128::from(bytes.min(of)) * 100 / u128::from(of) };
            draw(&format!("reading the cache: {} of {} ({percent} %)", size(bytes), size(of)));
        }
    }
}

impl Drop for ReadProgress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            draw("");
        }
    }
}

/// Overwrites the line. Bypasses `anstream`, which would remove the erase code along with colors.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}
