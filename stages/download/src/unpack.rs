//! Unpacks the clips of an archive into class folders.
//!
//! Only regular files with an audio extension are written. Entries with a path that could lead out
//! of the output folder are rejected.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kit::Events;
use kit::files::fresh_dir;

use crate::archive::{Archive, Entry, Kind};
use crate::checksums::{self, Found};
use crate::selection::{Candidate, Choice, LeftOut, select};

/// The range of a file of unknown length; `Fetch` cuts it to the actual length.
const WHOLE_FILE: Range<u64> = 0..u64::MAX;

/// Fetches byte ranges of a remote archive, so that the reader can read them.
pub(crate) type Fetch<'a> = &'a dyn Fn(&[Range<u64>]) -> Result<()>;

/// Unpacks the first clips of each class to `OUT/CLASS/…`.
///
/// # Errors
/// If the file is not a usable archive or has no audio in class folders, or if the file system or
/// `fetch` fails.
pub(crate) fn unpack(
    reader: impl Read + Seek,
    fetch: Fetch<'_>,
    out: &Path,
    choice: Choice,
    events: &Events,
) -> Result<Found> {
    let mut archive = Archive::open(reader)?;
    if archive.needs_all() {
        fetch(std::slice::from_ref(&WHOLE_FILE))?;
    }
    let entries = archive.entries()?;
    let mut left_out = LeftOut::default();
    let clips = select(candidates(&entries, &mut left_out), choice, &mut left_out)?;
    ensure!(!clips.is_empty(), "it has no audio in class folders; is `download.source` correct?");
    left_out.report();
    let mut wanted: Vec<&Entry> = clips.iter().map(|clip| &entries[clip.index]).collect();
    wanted.sort_by_key(|entry| (entry.span.start, entry.index));
    fetch(&wanted.iter().map(|entry| entry.span.clone()).collect::<Vec<_>>())?;

    fresh_dir(out)?;
    let places: HashMap<usize, &Path> =
        clips.iter().map(|clip| (clip.index, clip.to.as_path())).collect();
    let mut found = Found::new();
    archive.read(&wanted, &mut |entry, content| {
        let place = places[&entry.index];
        found.insert(place.to_string_lossy().into_owned(), write(&out.join(place), content)?);
        events.progress(found.len() as u64, places.len() as u64);
        Ok(())
    })?;
    Ok(found)
}

/// Returns the files among the entries; links, devices and unsafe paths are left out.
fn candidates(entries: &[Entry], left_out: &mut LeftOut) -> Vec<Candidate> {
    let candidate = |entry: &Entry| {
        // Some zips have Windows path separators.
        let name = entry.name.replace('\\', "/");
        if entry.kind == Kind::Folder {
            return None;
        }
        if entry.kind != Kind::File {
            let reason = "a link, a device, encrypted, or a name that is not UTF-8";
            left_out.add(reason, entry.name.as_str());
            return None;
        }
        if is_unsafe(&name) {
            left_out.add("an unsafe path", entry.name.as_str());
            return None;
        }
        let mut folders: Vec<String> = name
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect();
        // This includes the metadata that macOS adds for each file.
        if folders.iter().any(|part| part.starts_with('.') || part == "__MACOSX") {
            return None;
        }
        let name = folders.pop()?;
        Some(Candidate { folders, name, index: entry.index })
    };
    entries.iter().filter_map(candidate).collect()
}

/// Reports whether a path could lead out of the output folder.
fn is_unsafe(name: &str) -> bool {
    let has_drive = name.as_bytes().get(1..3) == Some(b":/");
    has_drive
        || name.starts_with('/')
        || name.split('/').any(|part| part == "..")
        || name.contains('\0')
}

fn write(path: &Path, content: &mut dyn Read) -> Result<blake3::Hash> {
    let explain = || format!("cannot write `{}`", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).with_context(explain)?;
    // The folder was empty, so an existing file was created by another process.
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).with_context(explain)?;
    checksums::copy(content, &mut file)
        .with_context(|| format!("cannot unpack `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(name: &str, kind: Kind) -> Option<String> {
        let entries = [Entry { index: 0, name: name.to_owned(), kind, span: 0..0 }];
        let mut left_out = LeftOut::default();
        let found = candidates(&entries, &mut left_out);
        found.into_iter().next().map(|it| format!("{} {}", it.folders.join("/"), it.name))
    }

    #[test]
    fn paths_of_entries() {
        for (name, expected) in [
            ("./genres/blues/a.WAV", "genres/blues a.WAV"),
            ("x/y/001 - Dog bark/b.ogg", "x/y/001 - Dog bark b.ogg"),
            ("genres\\rock\\c.mp3", "genres/rock c.mp3"),
            ("a.wav", " a.wav"),
        ] {
            assert_eq!(folders(name, Kind::File).as_deref(), Some(expected));
        }
    }

    #[test]
    fn unsafe_and_hidden_entries() {
        for name in [
            "/etc/a.wav",
            "../blues/a.wav",
            "blues/../../a.wav",
            "\\blues\\a.wav",
            "b\0/a.wav",
            "C:\\b\\a.wav",
            "blues/._a.wav",
            "__MACOSX/blues/a.wav",
            ".git/a.wav",
            "",
        ] {
            assert_eq!(folders(name, Kind::File), None, "{name}");
        }
        assert_eq!(folders("blues/a.wav", Kind::Other), None);
        assert_eq!(folders("blues/a.wav", Kind::Folder), None);
    }
}
