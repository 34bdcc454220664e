//! Unpacks the clips of an archive into class folders.
//!
//! Only regular files with an audio extension are written. The class of a clip is its parent
//! folder. Entries with a path that could lead out of the output folder are rejected.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use features::is_audio;
use kit::Events;
use kit::files::fresh_dir;

use crate::archive::{Archive, Entry, Kind};
use crate::audio::Amount;
use crate::checksums::{self, Found};

/// The range of a file of unknown length; `Fetch` cuts it to the actual length.
const WHOLE_FILE: Range<u64> = 0..u64::MAX;

/// Fetches byte ranges of a remote archive, so that the reader can read them.
pub(crate) type Fetch<'a> = &'a dyn Fn(&[Range<u64>]) -> Result<()>;

/// Unpacks the first clips of each class, sorted by path, to `OUT/CLASS/FILE`.
///
/// If several folders have a clip of the same class and name, those clips are written to
/// `OUT/CLASS/FOLDER/FILE`.
///
/// # Errors
/// If the file is not a usable archive or has no audio in class folders, or if the file system or
/// `fetch` fails.
pub(crate) fn unpack(
    reader: impl Read + Seek,
    fetch: Fetch<'_>,
    out: &Path,
    amount: Amount,
    events: &Events,
) -> Result<Found> {
    let mut archive = Archive::open(reader)?;
    if archive.needs_all() {
        fetch(std::slice::from_ref(&WHOLE_FILE))?;
    }
    let entries = archive.entries()?;
    let clips = amount.take(clips(&entries), |clip| &clip.class);
    ensure!(!clips.is_empty(), "it has no audio in class folders; is `download.source` correct?");
    let mut wanted: Vec<&Entry> = clips.iter().map(|clip| &entries[clip.index]).collect();
    wanted.sort_by_key(|entry| (entry.span.start, entry.index));
    fetch(&wanted.iter().map(|entry| entry.span.clone()).collect::<Vec<_>>())?;

    fresh_dir(out)?;
    let places = places(&clips);
    let mut found = Found::new();
    archive.read(&wanted, &mut |entry, content| {
        let place = &places[&entry.index];
        found.insert(place.to_string_lossy().into_owned(), write(&out.join(place), content)?);
        events.progress(found.len() as u64, places.len() as u64);
        Ok(())
    })?;
    Ok(found)
}

/// Selects the clips among the entries, sorted by class, then path.
fn clips(entries: &[Entry]) -> Vec<Clip> {
    let (mut clips, mut rejected) = (Vec::new(), 0);
    for entry in entries {
        match Clip::of(entry) {
            Classified::Clip(clip) => clips.push(clip),
            Classified::Rejected => rejected += 1,
            Classified::Other => {}
        }
    }
    if rejected > 0 {
        kit::warn!("skipped {rejected} audio entries that are links, devices or have unsafe paths");
    }
    clips.sort();
    // An archive may contain a path twice; the first entry is used.
    clips.dedup_by(|one, other| {
        (&one.class, &one.folder, &one.file) == (&other.class, &other.folder, &other.file)
    });
    clips
}

/// A clip in an archive, ordered by class, then path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Clip {
    class: String,
    /// The folders above the class folder.
    folder: PathBuf,
    file: String,
    index: usize,
}

/// A clip, or the reason why an entry is not one.
#[derive(Debug, PartialEq, Eq)]
enum Classified {
    Clip(Clip),
    /// An audio name, but not a regular file with a safe path.
    Rejected,
    /// Not audio, not in a folder, or hidden.
    Other,
}

impl Clip {
    fn of(entry: &Entry) -> Classified {
        // Some zips have Windows path separators.
        let name = entry.name.replace('\\', "/");
        if entry.kind == Kind::Folder || !is_audio(Path::new(&name)) {
            return Classified::Other;
        }
        let has_drive = name.as_bytes().get(1..3) == Some(b":/");
        let leads_out = name.starts_with('/') || name.split('/').any(|part| part == "..");
        let is_unsafe = has_drive || leads_out || name.contains('\0');
        if entry.kind != Kind::File || is_unsafe {
            return Classified::Rejected;
        }
        let mut parts: Vec<_> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        // This includes the metadata that macOS adds for each file.
        if parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX") {
            return Classified::Other;
        }
        match (parts.pop(), parts.pop()) {
            (Some(file), Some(class)) => Classified::Clip(Clip {
                class: class.to_owned(),
                folder: parts.iter().collect(),
                file: file.to_owned(),
                index: entry.index,
            }),
            _ => Classified::Other,
        }
    }
}

/// Returns the output path of each clip, by the index of its entry.
fn places(clips: &[Clip]) -> HashMap<usize, PathBuf> {
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for clip in clips {
        *counts.entry((&clip.class, &clip.file)).or_default() += 1;
    }
    clips
        .iter()
        .map(|clip| {
            let class = Path::new(&clip.class);
            let unique = counts[&(clip.class.as_str(), clip.file.as_str())] == 1;
            let folder = if unique { class.to_owned() } else { class.join(&clip.folder) };
            (clip.index, folder.join(&clip.file))
        })
        .collect()
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

    fn classify(name: &str, kind: Kind) -> Classified {
        Clip::of(&Entry { index: 0, name: name.to_owned(), kind, span: 0..0 })
    }

    #[test]
    fn class_is_parent_folder() {
        for (name, folder, class, file) in [
            ("blues/a.wav", "", "blues", "a.wav"),
            ("./genres/blues/a.WAV", "genres", "blues", "a.WAV"),
            ("x/y/001 - Dog bark/b.ogg", "x/y", "001 - Dog bark", "b.ogg"),
            ("genres\\rock\\c.mp3", "genres", "rock", "c.mp3"),
        ] {
            let clip = Clip {
                class: class.to_owned(),
                folder: folder.into(),
                file: file.to_owned(),
                index: 0,
            };
            assert_eq!(classify(name, Kind::File), Classified::Clip(clip), "{name}");
        }
    }

    #[test]
    fn rejects_unsafe_and_skips_other_entries() {
        for name in [
            "/etc/a.wav",
            "../blues/a.wav",
            "blues/../../a.wav",
            "\\blues\\a.wav",
            "b\0/a.wav",
            "C:\\b\\a.wav",
        ] {
            assert_eq!(classify(name, Kind::File), Classified::Rejected, "{name}");
        }
        assert_eq!(classify("blues/a.wav", Kind::Other), Classified::Rejected);
        for name in
            ["a.wav", "blues/a.txt", "blues/._a.wav", "__MACOSX/blues/a.wav", ".git/a.wav", ""]
        {
            assert_eq!(classify(name, Kind::File), Classified::Other, "{name}");
        }
        assert_eq!(classify("blues/a.wav", Kind::Folder), Classified::Other);
    }

    #[test]
    fn duplicate_names_keep_folders() {
        let clip = |index, folder: &str, file: &str| Clip {
            class: "rock".to_owned(),
            folder: folder.into(),
            file: file.to_owned(),
            index,
        };
        let places = places(&[
            clip(0, "train", "a.wav"),
            clip(1, "test", "a.wav"),
            clip(2, "test", "b.wav"),
        ]);
        let shown: Vec<_> = (0..3).map(|index| places[&index].to_str().unwrap()).collect();
        assert_eq!(shown, ["rock/train/a.wav", "rock/test/a.wav", "rock/b.wav"]);
    }
}
