//! The threads that share what is computed.
//!
//! Knows nothing about what that is.

use std::num::NonZero;
use std::thread;

use rayon::ThreadPoolBuilder;

/// Makes the calling thread one of those that share the work, of which there are as many as processors, or as
/// `RAYON_NUM_THREADS` says. Otherwise it would wake another for each piece of work, and sleep meanwhile. For a program's
/// first thread, before it computes anything.
pub fn share() {
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|count| count.parse().ok());
    let there = || thread::available_parallelism().map_or(1, NonZero::get);
    share_among(asked.filter(|count| *count > 0).unwrap_or_else(there));
}

/// [`share`], among so many threads.
pub fn share_among(count: usize) {
    let threads = ThreadPoolBuilder::new().num_threads(count);
    // Where one thread does all, it is one of its own: what other threads have to do is done while this one waits for them.
    let threads = if count > 1 { threads.use_current_thread() } else { threads };
    // It fails where something was computed before; then all goes on, a little slower.
    let _ = threads.build_global();
}
