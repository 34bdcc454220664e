//! Delivers SIGINT, SIGTERM and SIGHUP to a callback.

use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::{Handle, Signals};

use crate::error::{Error, Result};

/// Turns a write beyond the file size limit (`ulimit -f`) into an error, by catching SIGXFSZ.
/// Processes that are started get the signal as usual.
pub fn survive_file_size_limit() {
    // If it fails, the signal ends the process, as it does by default.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
}

/// Keeps the callback registered. After it is dropped, the signals have no effect.
#[must_use]
#[derive(Debug)]
pub struct SignalGuard(Handle);

impl Drop for SignalGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Starts a thread that calls `on_signal` for each SIGINT, SIGTERM and SIGHUP, until it returns
/// `Break`.
///
/// If the program was started with SIGHUP ignored, as by `nohup`, it is meant to outlive the
/// terminal, and SIGHUP stays ignored.
pub fn watch(
    mut on_signal: impl FnMut() -> std::ops::ControlFlow<()> + Send + 'static,
) -> Result<SignalGuard> {
    let cannot = |err| Error::environment("cannot watch for signals").because(err);
    let mut watched = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        watched.push(SIGHUP);
    }
    let mut signals = Signals::new(watched).map_err(cannot)?;
    let handle = signals.handle();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for _ in signals.forever() {
                if on_signal().is_break() {
                    return;
                }
            }
        })
        .map_err(|err| Error::thread(&err))?;
    Ok(SignalGuard(handle))
}

/// Reports whether this process ignores a signal, by `/proc/self/status`; false without `/proc`.
///
/// `sigaction` would work on every system but needs unsafe code.
fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, signal))
}

/// Reads a signal from the hexadecimal mask `SigIgn`: bit N-1 stands for signal N.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u128::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_ignored_signals() {
        let status =
            "Name:\trepro\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert_eq!(
            [SIGHUP, SIGINT, 13, SIGTERM].map(|signal| ignores(status, signal)),
            [true, false, true, false]
        );
        for other in ["", "SigIgn:\tx\n", "SigIgn:"] {
            assert!(!ignores(other, SIGHUP));
        }
    }
}
