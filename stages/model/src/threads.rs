//! Setup of the global rayon thread pool.

use std::num::NonZero;
use std::thread;

use anyhow::{Context as _, Result};
use rayon::ThreadPoolBuilder;

/// Starts the global pool with the calling thread as a member.
///
/// The pool has `RAYON_NUM_THREADS` threads, by default one per CPU. A thread outside the pool
/// would wake a worker for each piece of work and sleep meanwhile. Call this from the main thread,
/// before anything is computed.
///
/// # Errors
/// The errors of [`init_with`].
pub fn init() -> Result<()> {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let available = || thread::available_parallelism().map_or(1, NonZero::get);
    init_with(asked.filter(|count| *count > 0).unwrap_or_else(available))
}

/// Starts the global pool like [`init`], with `count` threads.
///
/// # Errors
/// The threads cannot be started, or the pool already exists. In the first case nothing can be
/// computed afterwards, since there is no pool.
pub fn init_with(count: usize) -> Result<()> {
    let threads = ThreadPoolBuilder::new().num_threads(count);
    // A single worker is a separate thread: it must run jobs of other threads while this one waits
    // for them.
    let threads = if count > 1 { threads.use_current_thread() } else { threads };
    threads
        .build_global()
        .with_context(|| format!("cannot start {count} threads: set `RAYON_NUM_THREADS` to fewer"))
}
