//! What a small command answers: the version of a tool.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// More than this is no version.
const MAX_OUTPUT: usize = 16 << 10;

/// What `cmd` prints, stdout before stderr, without white space round it.
///
/// # Errors
/// It cannot be started, fails, or prints what is no text or too much of it.
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
            Error::usage(format!("`{cmd}`, which it depends on, ended with {}", output.status));
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
