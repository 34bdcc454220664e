//! A time limit for tests that would otherwise fail only by hanging.
//!
//! The limit is far above what any test takes, also on a machine under heavy load: no result
//! depends on it, it only turns a hang into a failure that names the test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// Upper bound on the duration of a test or of one child process.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs `test` in another thread and returns its result.
///
/// # Panics
/// If `test` panics, or takes longer than [`LIMIT`]. Its thread is then left running.
pub fn within<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    within_limit(LIMIT, test)
}

/// Runs the command like [`Command::output`], and kills its process at the limit.
///
/// # Panics
/// If the process cannot be started, or takes longer than [`LIMIT`].
pub fn output(command: &mut Command) -> Output {
    output_within(LIMIT, command)
}

/// Waits like [`Child::wait_with_output`], and kills the process at the limit.
///
/// # Panics
/// If the process takes longer than [`LIMIT`].
pub fn wait(child: Child) -> Output {
    wait_within(LIMIT, child)
}

/// Returns the lines of `reader` as they arrive, usually those of a child's stdout or stderr.
pub fn lines(reader: impl Read + Send + 'static) -> Lines {
    let (sender, receiver) = channel();
    let lines = BufReader::new(reader).lines().map_while(Result::ok);
    thread::spawn(move || lines.into_iter().try_for_each(|line| sender.send(line)));
    Lines { receiver, limit: LIMIT }
}

/// Lines that another thread reads.
///
/// # Panics
/// [`Iterator::next`] panics if a line takes longer than [`LIMIT`].
#[derive(Debug)]
pub struct Lines {
    receiver: Receiver<String>,
    limit: Duration,
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match self.receiver.recv_timeout(self.limit) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {:?}", self.limit),
        }
    }
}

fn within_limit<T: Send + 'static>(
    limit: Duration,
    test: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = channel();
    let running = thread::spawn(move || drop(sender.send(test())));
    match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("did not finish within {limit:?}"),
        // The sender is dropped without a message only by a panic.
        Err(RecvTimeoutError::Disconnected) => match running.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("a test that returns sends its result"),
        },
    }
}

fn output_within(limit: Duration, command: &mut Command) -> Output {
    wait_within(limit, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

fn wait_within(limit: Duration, child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let (sender, receiver) = channel();
    thread::spawn(move || drop(sender.send(child.wait_with_output())));
    receiver.recv_timeout(limit).map_or_else(
        |_| {
            let _ = kill_process(pid, Signal::KILL);
            panic!("process {pid:?} did not end within {limit:?}, and was killed");
        },
        Result::unwrap,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_is_returned() {
        assert_eq!(within(|| 7), 7);
    }

    #[test]
    #[should_panic(expected = "reason")]
    fn panic_is_passed_on() {
        within::<()>(|| panic!("reason"));
    }

    #[test]
    #[should_panic(expected = "did not finish within")]
    fn hanging_test_fails() {
        within_limit::<()>(Duration::from_millis(1), || {
            loop {
                thread::park();
            }
        });
    }

    #[test]
    fn lines_end_with_reader() {
        assert!(lines(&b"one\ntwo"[..]).eq(["one", "two"]));
    }

    #[test]
    #[should_panic(expected = "no line within")]
    fn missing_line_fails() {
        let (_sender, receiver) = channel();
        Lines { receiver, limit: Duration::from_millis(1) }.next();
    }

    #[test]
    fn output_is_collected() {
        let done = output(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]));
        assert_eq!((&*done.stdout, &*done.stderr), (&b"out\n"[..], &b"err\n"[..]));
        assert_eq!(done.status.code(), Some(3));
    }

    #[test]
    #[should_panic(expected = "and was killed")]
    fn hanging_process_is_killed() {
        output_within(Duration::from_millis(1), Command::new("sleep").arg("600"));
    }
}
