//! One line that tells how far a long reading is, on a terminal and nowhere else.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::size::size;

/// How often the line is written anew: people see no more.
const EVERY: Duration = Duration::from_millis(100);

/// Told from many threads; drop it to take the line away.
#[derive(Debug)]
pub struct ReadProgress {
    /// When the line was last written; `None` where nobody would see it.
    shown: Option<Mutex<Instant>>,
}

impl ReadProgress {
    pub fn start() -> ReadProgress {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let is_seen = std::io::stderr().is_terminal() && !dumb;
        ReadProgress { shown: is_seen.then(|| Mutex::new(Instant::now())) }
    }

    pub fn tell(&self, bytes: u64, of: u64) {
        let Some(shown) = &self.shown else { return };
        // Whoever finds another thread at it need not wait: that one tells nearly the same.
        let Ok(mut shown) = shown.try_lock() else { return };
        if shown.elapsed() >= EVERY {
            *shown = Instant::now();
            let percent =
                if of == 0 { 100 } else { u128::from(bytes.min(of)) * 100 / u128::from(of) };
            draw(&format!("reading the cache: {} of {}, {percent} %", size(bytes), size(of)));
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

/// Writes over the line. Past `anstream`, which would take the erasing out together with colours that are not wanted.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[K{text}").and_then(|()| stderr.flush());
}
