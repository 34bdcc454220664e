//! The threads that share what is computed.
//!
//! Knows nothing about what that is.

use std::num::NonZero;
use std::thread;

use anyhow::{Context as _, Result};
use rayon::ThreadPoolBuilder;

/// Makes the calling thread one of those that share the work, of which there are as many as processors, or as
/// `RAYON_NUM_THREADS` says. Otherwise it would wake another for each piece of work, and sleep meanwhile. For a program's
/// first thread, before it computes anything.
///
/// # Errors
/// As [`share_among`].
pub fn share() -> Result<()> {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let there = || thread::available_parallelism().map_or(1, NonZero::get);
    share_among(asked.filter(|count| *count > 0).unwrap_or_else(there))
}

/// [`share`], among so many threads.
///
/// # Errors
/// The system starts no more threads; something was computed before. Nothing can be computed after the first: there are
/// no threads for it.
pub fn share_among(count: usize) -> Result<()> {
    let threads = ThreadPoolBuilder::new().num_threads(count);
    // Where one thread does all, it is one of its own: what other threads have to do is done while this one waits for them.
    let threads = if count > 1 { threads.use_current_thread() } else { threads };
    threads
        .build_global()
        .with_context(|| format!("cannot start {count} threads: set `RAYON_NUM_THREADS` to fewer"))
}
