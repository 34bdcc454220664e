//! Ctrl-C and its kin, as calls.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Error, Result};

/// Calls `on_signal` for each SIGINT, SIGTERM and SIGHUP from now on, on a thread of its own, until it says to stop.
pub fn watch(mut on_signal: impl FnMut() -> std::ops::ControlFlow<()> + Send + 'static) -> Result<()> {
    let cannot = |err| Error::environment("cannot watch for signals").because(err);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(cannot)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if on_signal().is_break() {
                    return;
                }
            }
        })
        .map_err(cannot)?;
    Ok(())
}
