//! Which files are audio, how many are wanted, how many there were. Knows nothing about their contents.

use std::collections::BTreeSet;
use std::path::Path;

use kit::files::has_extension;

/// Lower case, without the dot; whether a file can be decoded shows later.
const EXTENSIONS: [&str; 20] = [
    "aac", "aif", "aifc", "aiff", "alac", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mp1", "mp2", "mp3",
    "mp4", "oga", "ogg", "wav", "wave", "webm",
];

pub(crate) fn is_audio(path: &Path) -> bool {
    has_extension(path, &EXTENSIONS)
}

/// How many clips of each class are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    All,
    First(u32),
}

impl Amount {
    /// The param's value, where 0 means all.
    pub(crate) fn per_class(count: u32) -> Amount {
        if count == 0 { Amount::All } else { Amount::First(count) }
    }

    /// The wanted ones of `clips`, which are sorted by their class.
    pub(crate) fn take<T>(self, clips: Vec<T>, class: impl Fn(&T) -> &str) -> Vec<T> {
        let Amount::First(count) = self else { return clips };
        let (mut current, mut taken) = (None, 0);
        clips
            .into_iter()
            .filter(|clip| {
                if current.as_deref() != Some(class(clip)) {
                    (current, taken) = (Some(class(clip).to_owned()), 0);
                }
                taken += 1;
                taken <= count
            })
            .collect()
    }
}

/// What a source gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) files: usize,
    pub(crate) classes: usize,
}

impl Tally {
    /// Counts clips by their classes.
    pub(crate) fn of<'a>(classes: impl IntoIterator<Item = &'a str>) -> Tally {
        let (mut files, mut names) = (0, BTreeSet::new());
        for class in classes {
            files += 1;
            names.insert(class);
        }
        Tally { files, classes: names.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_is_known_by_its_extension() {
        for (path, expected) in [
            ("a.wav", true),
            ("a.MP3", true),
            ("a.b.Flac", true),
            ("wav", false),
            ("a.txt", false),
            ("a.wav.zip", false),
        ] {
            assert_eq!(is_audio(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn the_first_of_each_class_are_taken() {
        let clips = ["a1", "a2", "a3", "b1", "c1", "c2", "c3"].map(str::to_owned).to_vec();
        let taken = |count| Amount::per_class(count).take(clips.clone(), |clip| &clip[..1]);
        assert_eq!(taken(2), ["a1", "a2", "b1", "c1", "c2"]);
        assert_eq!(taken(0), clips);
        assert_eq!(Tally::of(["a", "a", "b"]), Tally { files: 3, classes: 2 });
    }
}
