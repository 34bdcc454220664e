//! Folders with the state of `repro`: git ignores what is in them.

use std::fs;
use std::io::{ErrorKind, Result};
use std::path::Path;

/// Creates the folder, with a `.gitignore` in it, unless it exists.
///
/// In a folder that exists, a missing `.gitignore` is the user's choice.
pub fn create(dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::create_dir(dir) {
        // If this fails, git lists the folder, and nothing else is different.
        Ok(()) => drop(fs::write(dir.join(".gitignore"), "*\n")),
        Err(_) if dir.is_dir() => {}
        Err(err) if err.kind() == ErrorKind::AlreadyExists => {
            return Err(ErrorKind::NotADirectory.into());
        }
        Err(err) => return Err(err),
    }
    Ok(())
}
