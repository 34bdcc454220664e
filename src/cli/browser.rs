//! Opens pages in the user's browser.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// Opens a file or a URL with the program that the desktop has for it.
///
/// # Errors
/// The program does not exist.
pub(super) fn open_in_browser(page: &OsStr) -> Result<()> {
    let program = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    let program = program.unwrap_or_else(|| "xdg-open".into());
    let mut command = Command::new(&program);
    let started =
        command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.map(drop).map_err(|err| {
        Error::environment(format!("cannot start `{}`", program.display()))
            .because(err)
            .hint(format!("open `{}` in a browser", page.display()))
    })
}
