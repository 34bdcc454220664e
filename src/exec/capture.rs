//! Captures the output of a short command, such as `tool --version`.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::family::{self, Mark};
use crate::error::{Error, Result};
use crate::event::Millis;
use crate::lossless;

/// Maximum output in bytes; more than this is not a version.
const MAX_OUTPUT: usize = 1 << 20;
/// Maximum time. A program that is read from a slow disk for the first time may need many seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Interval for checking whether a command without open files has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(2);
/// Maximum wait for killed processes to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs `cmd` in `dir` and returns its trimmed output, stdout before stderr.
///
/// Bytes that are not UTF-8 are [escaped](lossless::text).
///
/// # Errors
/// The command cannot be started, fails, prints more than 1 MiB, or takes longer than a minute. In
/// the last two cases its processes are killed.
pub fn capture(cmd: &str, dir: &Path) -> Result<String> {
    capture_within(cmd, dir, TIMEOUT)
}

fn capture_within(cmd: &str, dir: &Path, timeout: Duration) -> Result<String> {
    let mut mark = Mark::new();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", cmd]).current_dir(dir).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = shell.env(family::VARIABLE, mark.variable()).spawn();
    let mut child =
        child.map_err(|err| Error::environment(format!("cannot start `{cmd}`")).because(err))?;
    mark.set_leader(rustix::process::Pid::from_child(&child));
    let (bytes, status) = match finish(&mut child, Instant::now() + timeout) {
        Ok(finished) => finished,
        Err(why) => {
            family::kill(&[&mark], Vec::new, PATIENCE);
            let _ = child.wait();
            let what = match why {
                Overrun::Output => format!("prints more than {} KiB", MAX_OUTPUT >> 10),
                Overrun::Time => format!("takes longer than {}", Millis::from(timeout)),
                Overrun::Io(err) => format!("cannot be read: {err}"),
            };
            return Err(Error::usage(format!("`{cmd}`, which it depends on, {what}")));
        }
    };
    let text = lossless::text(&bytes).trim().to_owned();
    if !status.success() {
        let error = Error::usage(format!("`{cmd}`, which it depends on, {}", described(status)));
        return Err(match text.lines().last() {
            Some(line) => error.because(line),
            None => error,
        });
    }
    Ok(text)
}

/// A limit that a command exceeds, or an error of reading its output.
enum Overrun {
    Output,
    Time,
    Io(std::io::Error),
}

/// Reads the output of a command to its end and waits for it.
fn finish(child: &mut Child, until: Instant) -> Result<(Vec<u8>, ExitStatus), Overrun> {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    while stdout.is_some() || stderr.is_some() {
        let left = until.saturating_duration_since(Instant::now());
        let ready =
            is_ready(stdout.as_ref().map(AsFd::as_fd), stderr.as_ref().map(AsFd::as_fd), left)
                .map_err(Overrun::Io)?;
        if ready == [false, false] && Instant::now() >= until {
            return Err(Overrun::Time);
        }
        if ready[0] {
            read_piece(&mut stdout, &mut out).map_err(Overrun::Io)?;
        }
        if ready[1] {
            read_piece(&mut stderr, &mut err).map_err(Overrun::Io)?;
        }
        if out.len() + err.len() > MAX_OUTPUT {
            return Err(Overrun::Output);
        }
    }
    out.extend(err);
    loop {
        match child.try_wait().map_err(Overrun::Io)? {
            Some(status) => return Ok((out, status)),
            None if Instant::now() >= until => return Err(Overrun::Time),
            None => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

/// Waits until one of two pipes can be read, and reports which.
fn is_ready(
    stdout: Option<std::os::fd::BorrowedFd<'_>>,
    stderr: Option<std::os::fd::BorrowedFd<'_>>,
    timeout: Duration,
) -> std::io::Result<[bool; 2]> {
    let timeout = Timespec::try_from(timeout).ok();
    let pipes = [stdout, stderr];
    let mut fds: Vec<PollFd<'_>> =
        pipes.iter().flatten().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(err) => return Err(err.into()),
    }
    let mut events = fds.iter().map(|fd| !fd.revents().is_empty());
    Ok(pipes.map(|pipe| pipe.is_some() && events.next().unwrap_or_default()))
}

/// Reads what a pipe has; closes it at its end.
fn read_piece(pipe: &mut Option<impl Read>, bytes: &mut Vec<u8>) -> std::io::Result<()> {
    let mut piece = [0; 16 << 10];
    let Some(open) = pipe else { return Ok(()) };
    match open.read(&mut piece) {
        Ok(0) => *pipe = None,
        Ok(count) => bytes.extend_from_slice(&piece[..count]),
        Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
        Err(err) => return Err(err),
    }
    Ok(())
}

/// Returns the predicate for a process that failed: `exited with code 1`.
fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("failed with {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_tool() {
        deadline::within(|| {
            let dir = Path::new("/");
            let short = |cmd| capture_within(cmd, dir, Duration::from_millis(50));
            for cmd in ["sleep 600", "sleep 600 & exit", "exec > /dev/null 2>&1; sleep 600"] {
                let error = short(cmd).unwrap_err().what;
                assert_eq!(error, format!("`{cmd}`, which it depends on, takes longer than 50ms"));
            }
            for cmd in ["yes", "yes >&2", "yes & yes >&2"] {
                let error = capture(cmd, dir).unwrap_err().what;
                assert_eq!(
                    error,
                    format!("`{cmd}`, which it depends on, prints more than 1024 KiB")
                );
            }
            let mixed = capture("echo b >&2; printf '\\377 a\\n'; printf c >&2", dir).unwrap();
            assert_eq!(mixed, "\\xff a\nb\nc");
            assert!(capture("exit 3", dir).unwrap_err().what.ends_with("exited with code 3"));
        });
    }
}
