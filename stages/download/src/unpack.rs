//! The clips of an archive into class folders, whatever else the archive holds.
//!
//! Only regular files with an audio extension are written. A clip's class is the folder it lies in; of its
//! path nothing else is used, and a path that could lead out of the folder is not used at all. Knows
//! nothing about archive formats.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use kit::Events;
use kit::files::fresh_dir;

use crate::archive::{Archive, Entry, Kind};
use crate::audio::{Amount, is_audio};
use crate::checksums::{self, Found};

/// Fetches ranges of an archive that may be elsewhere; what the reader reads is there afterwards.
pub(crate) type Bring<'a> = &'a dyn Fn(&[Range<u64>]) -> Result<()>;

/// Unpacks the first clips of each class, sorted by path, to `OUT/CLASS/FILE`.
///
/// Clips of one class and name from several folders keep their folders below the class.
///
/// # Errors
/// A file that is no usable archive; no audio in class folders; any failure of the file system or of `bring`.
pub(crate) fn unpack(
    reader: impl Read + Seek,
    bring: Bring<'_>,
    out: &Path,
    amount: Amount,
    events: &Events,
) -> Result<Found> {
    let mut archive = Archive::open(reader)?;
    if archive.needs_all() {
        bring(std::slice::from_ref(&(0..u64::MAX)))?;
    }
    let entries = archive.entries()?;
    let clips = amount.take(clips(&entries), |clip| &clip.class);
    ensure!(!clips.is_empty(), "it has no audio in class folders; is `download.source` right?");
    let mut wanted: Vec<&Entry> = clips.iter().map(|clip| &entries[clip.index]).collect();
    wanted.sort_by_key(|entry| (entry.span.start, entry.index));
    bring(&wanted.iter().map(|entry| entry.span.clone()).collect::<Vec<_>>())?;

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

/// The clips among the entries, sorted by class, then path.
fn clips(entries: &[Entry]) -> Vec<Clip> {
    let (mut clips, mut refused) = (Vec::new(), 0);
    for entry in entries {
        match Clip::of(entry) {
            Verdict::Clip(clip) => clips.push(clip),
            Verdict::Refused => refused += 1,
            Verdict::Other => {}
        }
    }
    if refused > 0 {
        kit::warn!(
            "{refused} audio entries are links, devices, or have unsafe paths; they are left out"
        );
    }
    clips.sort();
    // An archive may hold a path twice; the first one counts.
    clips.dedup_by(|one, other| {
        (&one.class, &one.folder, &one.file) == (&other.class, &other.folder, &other.file)
    });
    clips
}

/// Ordered by class, then path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Clip {
    class: String,
    /// The folders above the class folder.
    folder: PathBuf,
    file: String,
    index: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Clip(Clip),
    /// Audio by its name, but not to be trusted.
    Refused,
    /// Not audio, or not in a folder, or hidden.
    Other,
}

impl Clip {
    fn of(entry: &Entry) -> Verdict {
        // Some zips are written with Windows' separators.
        let name = entry.name.replace('\\', "/");
        if entry.kind == Kind::Folder || !is_audio(Path::new(&name)) {
            return Verdict::Other;
        }
        let has_drive = name.as_bytes().get(1..3) == Some(b":/");
        let leads_out = name.starts_with('/') || name.split('/').any(|part| part == "..");
        let is_unsafe = has_drive || leads_out || name.contains('\0');
        if entry.kind != Kind::File || is_unsafe {
            return Verdict::Refused;
        }
        let mut parts: Vec<_> =
            name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        // Among them what macOS puts beside each file.
        if parts.iter().any(|part| part.starts_with('.') || *part == "__MACOSX") {
            return Verdict::Other;
        }
        match (parts.pop(), parts.pop()) {
            (Some(file), Some(class)) => Verdict::Clip(Clip {
                class: class.to_owned(),
                folder: parts.iter().collect(),
                file: file.to_owned(),
                index: entry.index,
            }),
            _ => Verdict::Other,
        }
    }
}

/// Where each clip goes, by its entry's index.
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
    // The folder was empty: what is in the way now was put there by someone else.
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(path).with_context(explain)?;
    checksums::copy(content, &mut file)
        .with_context(|| format!("cannot unpack `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, kind: Kind) -> Verdict {
        Clip::of(&Entry { index: 0, name: name.to_owned(), kind, span: 0..0 })
    }

    #[test]
    fn a_clip_s_class_is_its_folder() {
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
            assert_eq!(verdict(name, Kind::File), Verdict::Clip(clip), "{name}");
        }
    }

    #[test]
    fn what_is_no_clip_is_refused_or_passed_over() {
        for name in [
            "/etc/a.wav",
            "../blues/a.wav",
            "blues/../../a.wav",
            "\\blues\\a.wav",
            "b\0/a.wav",
            "C:\\b\\a.wav",
        ] {
            assert_eq!(verdict(name, Kind::File), Verdict::Refused, "{name}");
        }
        assert_eq!(verdict("blues/a.wav", Kind::Other), Verdict::Refused);
        for name in
            ["a.wav", "blues/a.txt", "blues/._a.wav", "__MACOSX/blues/a.wav", ".git/a.wav", ""]
        {
            assert_eq!(verdict(name, Kind::File), Verdict::Other, "{name}");
        }
        assert_eq!(verdict("blues/a.wav", Kind::Folder), Verdict::Other);
    }

    #[test]
    fn clips_of_one_name_keep_their_folders() {
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
