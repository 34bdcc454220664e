//! Captures the output of a short command, such as `tool --version`.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use crate::error::{Error, Result};

/// Maximum output in bytes; more than this is not a version.
const MAX_OUTPUT: usize = 16 << 10;

/// Runs `cmd` in `dir` and returns its trimmed output, stdout before stderr.
///
/// # Errors
/// The command cannot be started, fails, or prints more than 16 KiB.
pub fn capture(cmd: &str, dir: &Path) -> Result<String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", cmd]).current_dir(dir).stdin(Stdio::null());
    let output = shell
        .output()
        .map_err(|err| Error::environment(format!("cannot start `{cmd}`")).because(err))?;
    let mut bytes = output.stdout;
    bytes.extend_from_slice(&output.stderr);
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    if !output.status.success() {
        let error =
            Error::usage(format!("`{cmd}`, which it depends on, {}", described(output.status)));
        return Err(match text.lines().last() {
            Some(line) => error.because(line),
            None => error,
        });
    }
    if text.len() > MAX_OUTPUT {
        return Err(Error::usage(format!(
            "`{cmd}`, which it depends on, prints more than {MAX_OUTPUT} bytes"
        )));
    }
    Ok(text)
}

/// Returns the predicate for a process that failed: `exited with code 1`.
fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => format!("failed with {status}"),
    }
}
