//! `file://` URLs.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::wanted::{Arrived, Compared, Wanted};
use crate::error::{Error, Result};
use crate::percent;
use crate::pipeline::{Url, UrlOrigin};
use crate::plan::SourceVersion;

/// Copies the file.
pub(super) fn fetch(wanted: &Wanted<'_>) -> Result<Option<Arrived>> {
    let from = path_of(&wanted.origin.url);
    let (mut source, version) = open(&from, &wanted.origin.url)?;
    let to = wanted.folder.join("part");
    let copied = File::create(&to).and_then(|mut target| {
        // The kernel copies, by reflink where the disk can.
        io::copy(&mut source, &mut target)
    });
    let bytes = copied.map_err(|err| Error::io_into(wanted.folder, "copy", &from, &err))?;
    (wanted.progress)(bytes, version.bytes);
    if open(&from, &wanted.origin.url)?.1 != version || version.bytes != Some(bytes) {
        return Err(Error::environment(format!(
            "`{}` changed while it was copied",
            from.display()
        ))
        .hint("repeat the command when the program that writes it has finished"));
    }
    Ok(Some(Arrived::File { path: to, version }))
}

/// Compares size and time.
pub(super) fn compare(origin: &UrlOrigin, known: &SourceVersion) -> Result<Compared> {
    let (_, version) = open(&path_of(&origin.url), &origin.url)?;
    Ok(if version == *known { Compared::Same } else { Compared::Other(version) })
}

fn open(path: &PathBuf, url: &Url) -> Result<(File, SourceVersion)> {
    let opened = match path.metadata() {
        Ok(meta) if !meta.is_file() => Err(io::ErrorKind::InvalidInput.into()),
        Ok(_) => File::open(path).and_then(|file| file.metadata().map(|meta| (file, meta))),
        Err(err) => Err(err),
    };
    let (file, meta) = opened.map_err(|err| match err.kind() {
        io::ErrorKind::NotFound => Error::missing(format!("`{url}` does not exist")),
        io::ErrorKind::InvalidInput => Error::usage(format!("`{url}` is not a file"))
            .hint("declare it as a remote and use `remote://NAME/PATH`, or make a link to it"),
        _ => Error::io("open", path, &err),
    })?;
    let nanos = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    let modified = Some(nanos.to_string());
    let version = SourceVersion { modified, bytes: Some(meta.len()), ..SourceVersion::default() };
    Ok((file, version))
}

fn path_of(url: &Url) -> PathBuf {
    let rest = url.as_str().trim_start_matches("file://");
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    PathBuf::from(std::ffi::OsStr::from_bytes(&percent::decode(path)))
}
