//! Selects the clips of a source among its files, and reports the files that are left out.
//!
//! Folders and archives share it. Does not read files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use features::is_audio;

use crate::audio::Amount;
use crate::layout::{Layout, Place, is_part, shown};

/// Params that decide which files are clips, and of which class.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) amount: Amount,
    /// Depth of the class folders, from 1; 0 detects it.
    pub(crate) class_depth: usize,
}

/// A file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The folders above it, from the top of the source.
    pub(crate) folders: Vec<String>,
    pub(crate) name: String,
    /// Position in the source's list of files.
    pub(crate) index: usize,
}

/// A clip that is taken, ordered by class, then path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Clip {
    pub(crate) class: String,
    /// Path below the output folder.
    pub(crate) to: PathBuf,
    pub(crate) index: usize,
}

/// Files that are left out, by reason.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    files: BTreeMap<&'static str, Vec<String>>,
}

/// Reason for files with another extension, which is not worth a warning.
const NOT_AUDIO: &str = "not audio by extension";

impl LeftOut {
    pub(crate) fn add(&mut self, reason: &'static str, path: impl Into<String>) {
        self.files.entry(reason).or_default().push(path.into());
    }

    /// Prints a line for each reason, with the number of files and the first names.
    pub(crate) fn report(&self) {
        for (reason, files) in &self.files {
            let (count, names) = (files.len(), shown(files));
            let plural = if count == 1 { "" } else { "s" };
            match *reason {
                NOT_AUDIO => kit::say!("left out {count} file{plural} ({reason}): {names}"),
                _ => kit::warn!("left out {count} file{plural} ({reason}): {names}"),
            }
        }
    }
}

impl Candidate {
    fn path(&self) -> String {
        [self.folders.as_slice(), std::slice::from_ref(&self.name)].concat().join("/")
    }
}

/// Selects the first clips of each class, sorted by path.
///
/// # Errors
/// If the folders do not show which of them are classes.
pub(crate) fn select(
    files: Vec<Candidate>,
    choice: Choice,
    left_out: &mut LeftOut,
) -> Result<Vec<Clip>> {
    let (files, unusable): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| !file.path().contains(char::is_control));
    for file in unusable {
        // The engine cannot handle such paths.
        left_out.add("control characters in the path", file.path());
    }
    let (audio, other): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| is_audio(Path::new(&file.name)));
    let layout = Layout::of(audio.iter().map(|file| file.folders.as_slice()), choice.class_depth)?;
    let mut clips = Vec::new();
    for file in audio {
        match layout.place(&file.folders) {
            Some(Place { class, folders }) => {
                let to = [class.clone()].into_iter().chain(folders).chain([file.name]).collect();
                clips.push(Clip { class, to, index: file.index });
            }
            None => left_out.add("not in a class folder", file.path()),
        }
    }
    clips.sort();
    drop_namesakes(&mut clips, left_out);
    warn_of_lost_classes(layout, &clips, &other);
    other.iter().for_each(|file| left_out.add(NOT_AUDIO, file.path()));
    report_classes(layout, &clips);
    Ok(choice.amount.take(clips, |clip| &clip.class))
}

/// Leaves out clips with the path of an earlier one, as in `val` and `validation`, or with another
/// extension only: their spectrograms would have one name.
fn drop_namesakes(clips: &mut Vec<Clip>, left_out: &mut LeftOut) {
    let mut taken = BTreeMap::new();
    clips.retain(|clip| match taken.insert(clip.to.with_extension(""), clip.to.clone()) {
        None => true,
        Some(earlier) => {
            let reason = match earlier == clip.to {
                true => "the path of another clip",
                false => "the name of another clip but for the extension",
            };
            left_out.add(reason, clip.to.to_string_lossy());
            false
        }
    });
}

/// Warns of class folders without a file that is audio.
fn warn_of_lost_classes(layout: Layout, clips: &[Clip], other: &[Candidate]) {
    let classes: BTreeSet<&str> = clips.iter().map(|clip| clip.class.as_str()).collect();
    if classes.is_empty() {
        return;
    }
    let mut lost: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in other {
        let Some(place) = layout.place(&file.folders) else { continue };
        if !classes.contains(place.class.as_str()) {
            let extension = Path::new(&file.name).extension().unwrap_or_default();
            lost.entry(place.class).or_default().insert(extension.to_string_lossy().into_owned());
        }
    }
    for (class, extensions) in lost {
        let extensions: Vec<String> =
            extensions.into_iter().map(|extension| format!(".{extension}")).collect();
        kit::warn!(
            "the folder `{class}` is not a class, because none of its files is audio by its \
             extension: {}",
            shown(&extensions)
        );
    }
}

/// Says where the class folders are unless they are at the top, and warns of a single class and of
/// classes that are named like parts of a split.
fn report_classes(layout: Layout, clips: &[Clip]) {
    let classes: BTreeSet<&str> = clips.iter().map(|clip| clip.class.as_str()).collect();
    let pattern = layout.pattern();
    if classes.len() > 1 && classes.iter().all(|class| is_part(class)) {
        kit::warn!(
            "the classes are named like parts of a split, but have no folders in them: {}",
            shown(&classes)
        );
    }
    if classes.len() == 1 {
        kit::warn!(
            "all clips are of one class, {}: the class folders are `{pattern}`. Set \
             `download.class_depth` if they are at another depth",
            shown(&classes)
        );
    } else if pattern != "CLASS" && !clips.is_empty() {
        kit::say!("the class folders are `{pattern}`: {}", shown(&classes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(paths: &[&str]) -> (Vec<String>, Vec<String>) {
        let candidate = |(index, path): (usize, &&str)| {
            let mut folders: Vec<String> = path.split('/').map(str::to_owned).collect();
            let name = folders.pop().unwrap();
            Candidate { folders, name, index }
        };
        let files = paths.iter().enumerate().map(candidate).collect();
        let mut left_out = LeftOut::default();
        let choice = Choice { amount: Amount::All, class_depth: 0 };
        let clips = select(files, choice, &mut left_out).unwrap();
        let left = left_out
            .files
            .into_iter()
            .map(|(reason, files)| format!("{reason}: {}", shown(&files)));
        (clips.iter().map(|clip| clip.to.to_str().unwrap().to_owned()).collect(), left.collect())
    }

    #[test]
    fn clips_and_left_out_files() {
        let (clips, left_out) = selected(&[
            "x/rock/b.WAV",
            "x/rock/cd 1/a.mp3",
            "x/jazz/a.wav",
            "x/jazz/a.flac",
            "x/jazz/a.flac",
            "x/jazz/new\nline.wav",
            "x/stray.wav",
            "x/rock/cover.jpg",
            "notes.txt",
        ]);
        assert_eq!(clips, ["jazz/a.flac", "rock/b.WAV", "rock/cd 1/a.mp3"]);
        assert_eq!(
            left_out,
            [
                "control characters in the path: `x/jazz/new\\nline.wav`",
                "not audio by extension: `x/rock/cover.jpg`, `notes.txt`",
                "not in a class folder: `x/stray.wav`",
                "the name of another clip but for the extension: `jazz/a.wav`",
                "the path of another clip: `jazz/a.flac`",
            ]
        );
    }
}
