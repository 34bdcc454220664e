//! The path by which git calls this program, and its use in shell commands.

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Returns the path of this program: the one on PATH, which an update replaces, or else its own.
///
/// # Errors
/// The program was removed, or its path is not UTF-8.
pub(super) fn path() -> Result<String> {
    let lost = || Error::environment("cannot find the file of this program");
    let own = std::env::current_exe().map_err(|err| lost().because(err))?;
    let real = own.canonicalize().map_err(|err| lost().because(err))?;
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut on_path = std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("repro"));
    let found: PathBuf =
        on_path.find(|path| path.canonicalize().is_ok_and(|found| found == real)).unwrap_or(own);
    let is_plain = !found.as_os_str().as_bytes().iter().any(u8::is_ascii_control);
    found.into_os_string().into_string().ok().filter(|_| is_plain).ok_or_else(|| {
        Error::environment("the path of this program is not plain text")
            .hint("move it to another folder")
    })
}

/// Returns lines of shell that set `$program` to the file at `path`, or to the one on PATH if that
/// file is gone.
pub(super) fn shell_lines(path: &str) -> String {
    let quoted = path.replace('\'', r"'\''");
    format!("program='{quoted}'\n[ -x \"$program\" ] || program=repro\n")
}
