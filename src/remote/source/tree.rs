//! The folder on this machine that becomes a copy of one in a store.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use walkdir::WalkDir;

use super::listing::Listing;
use crate::error::{Error, Result};

/// Creates the folder, and removes what an earlier transfer left there that is not listed now.
pub(super) fn remove_others(top: &Path, listing: &Listing) -> Result<()> {
    fs::create_dir_all(top).map_err(|err| Error::io("create", top, &err))?;
    for entry in WalkDir::new(top).min_depth(1).contents_first(true) {
        let entry = entry.map_err(|err| Error::io("read", top, &err.into()))?;
        let name = entry.path().strip_prefix(top).ok().and_then(Path::to_str).unwrap_or_default();
        let removed = match entry.file_type().is_dir() {
            // A folder with files that are listed stays.
            true => match fs::remove_dir(entry.path()) {
                Err(err) if err.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed,
            },
            false if listing.files.contains_key(name) => Ok(()),
            false => fs::remove_file(entry.path()),
        };
        removed.map_err(|err| Error::io("remove", entry.path(), &err))?;
    }
    Ok(())
}
