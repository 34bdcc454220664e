//! The line of `.gitattributes` that names the merge driver of `pipeline.lock`.

use std::fs;
use std::path::Path;

use super::command::Git;
use crate::error::{Error, Result};
use crate::plan::lock;
use crate::regular_file;
use crate::workspace::write::{Durability, Staging};

/// The file beside `pipeline.lock`.
pub(super) const FILE: &str = ".gitattributes";
pub(super) const LINE: &str = "pipeline.lock merge=repro";

/// Adds the line unless git knows the driver of the lock at `root` already. Reports whether the
/// file changed.
///
/// # Errors
/// The file cannot be read or written, or another file of attributes overrules it.
pub(super) fn install(git: &Git, root: &Path, staging: &Staging) -> Result<bool> {
    if driver(git).as_deref() == Some("repro") {
        return Ok(false);
    }
    let path = root.join(FILE);
    // Git does not follow a link there.
    if path.is_symlink() {
        return Err(Error::usage(format!("`{FILE}` is a link, which git ignores"))
            .hint(format!("replace it by a file with the line `{LINE}`")));
    }
    let mut text = read(&path)?;
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    text.extend_from_slice(LINE.as_bytes());
    text.push(b'\n');
    write(&path, &text, staging)?;
    match driver(git) {
        Some(driver) if driver != "repro" => Err(Error::usage(format!(
            "git merges `{}` with `{driver}`, whatever `{FILE}` says",
            lock::FILE
        ))
        .hint("remove the line from `$GIT_DIR/info/attributes`")),
        _ => Ok(true),
    }
}

/// Removes the line. Reports whether the file changed.
pub(super) fn uninstall(root: &Path, staging: &Staging) -> Result<bool> {
    let path = root.join(FILE);
    let old = read(&path)?;
    let is_other = |line: &&[u8]| line.trim_ascii() != LINE.as_bytes();
    let new: Vec<u8> =
        old.split_inclusive(|&byte| byte == b'\n').filter(is_other).flatten().copied().collect();
    if new.len() == old.len() {
        return Ok(false);
    }
    match new.is_empty() {
        true => fs::remove_file(&path).map_err(|err| Error::io("remove", &path, &err))?,
        false => write(&path, &new, staging)?,
    }
    Ok(true)
}

/// Returns the merge driver that git uses for the lock; `None` if none is set.
pub(super) fn driver(git: &Git) -> Option<String> {
    let answer = git.line(&["check-attr", "merge", "--", lock::FILE])?;
    let value = answer.rsplit(": ").next()?.to_owned();
    (value != "unspecified").then_some(value)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match regular_file::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(Error::io("read", path, &err)),
    }
}

fn write(path: &Path, text: &[u8], staging: &Staging) -> Result<()> {
    match path.exists() {
        true => staging.replace(path, text),
        false => staging.write(path, text, Durability::Synced),
    }
}
