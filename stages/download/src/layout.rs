//! The rule for classes: finds the class of each clip from the folders above it.
//!
//! Folders and archives share it. Folders that all clips have in common are wrappers, as in
//! `Data/genres_original/blues/…`. Below them is the class folder, unless all folders there are
//! named like parts of a split and have folders in them: then the class folder is the next one, as
//! in `train/rock/…`. Further folders, as in `rock/cd 1/…`, belong to the class. Unaware of files
//! and archives.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

/// Names of folders that hold a part of a split, by the name of the part.
const PARTS: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("val", &["val", "valid", "validation", "dev"]),
    ("test", &["test", "testing", "eval", "evaluation"]),
];
/// Number of folder names in a message.
const SHOWN: usize = 6;

/// Depth of the class folders of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Number of folders above the class folder.
    above: usize,
    /// Set if the last of them is a part of a split.
    in_parts: bool,
}

/// Class of a clip and the folders below the class folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) class: String,
    /// Begins with the name of the part, if the source is divided into parts.
    pub(crate) folders: Vec<String>,
}

impl Layout {
    /// Finds the layout of clips, given the folders above each of them.
    ///
    /// A `depth` other than 0 is that of the class folders, counted from 1, and not detected.
    ///
    /// # Errors
    /// If some folders beside each other are named like parts of a split and others are not.
    pub(crate) fn of<'a>(
        clips: impl IntoIterator<Item = &'a [String]>,
        depth: usize,
    ) -> Result<Layout> {
        let clips: Vec<&[String]> =
            clips.into_iter().filter(|folders| !folders.is_empty()).collect();
        if let Some(above) = depth.checked_sub(1) {
            let parent = |folders: &&&[String]| above > 0 && part(&folders[above - 1]).is_some();
            let deep = || clips.iter().filter(|folders| folders.len() >= depth);
            return Ok(Layout {
                above,
                in_parts: deep().count() > 0 && deep().all(|it| parent(&it)),
            });
        }
        let above = common(&clips);
        let level = |above: usize| -> BTreeSet<&str> {
            clips.iter().filter_map(|folders| folders.get(above)).map(String::as_str).collect()
        };
        let names = level(above);
        let parts = || names.iter().copied().filter(|name| is_part(name));
        let is_above_folders = |name: &str| {
            clips.iter().any(|folders| folders.len() > above + 1 && folders[above] == name)
        };
        let deeper = clips.iter().filter(|folders| folders.len() > above + 1).count();
        // Beside clips without further folders they are classes, such as the sound of a train. A
        // single part has been taken for a wrapper.
        let is_flat = 2 * deeper <= clips.len() && !parts().any(is_above_folders);
        if is_flat || parts().next().is_none() {
            let wrapper = above.checked_sub(1).and_then(|at| clips.first()?.get(at));
            let in_parts = wrapper.is_some_and(|wrapper| is_part(wrapper));
            return Ok(Layout { above, in_parts });
        }
        if parts().count() < names.len() {
            bail!(
                "{} are beside each other: parts of a split or classes? Set \
                 `download.class_depth` to the depth of the class folders, {} if these are \
                 classes, {} if they contain them",
                shown(&names),
                above + 1,
                above + 2
            );
        }
        Ok(Layout { above: above + 1, in_parts: true })
    }

    /// Returns the place of a clip; `None` if it is not in a class folder.
    pub(crate) fn place(self, folders: &[String]) -> Option<Place> {
        let class = folders.get(self.above)?.clone();
        let mut below = folders[self.above + 1..].to_vec();
        if let Some(part) = self.in_parts.then(|| part(&folders[self.above - 1])).flatten() {
            below.insert(0, part.to_owned());
        }
        Some(Place { class, folders: below })
    }

    /// Describes where the class folders are, such as `CLASS` or `*/PART/CLASS`.
    pub(crate) fn pattern(self) -> String {
        let mut folders = vec!["*"; self.above];
        if let (true, Some(last)) = (self.in_parts, folders.last_mut()) {
            *last = "PART";
        }
        folders.push("CLASS");
        folders.join("/")
    }
}

/// Checks whether a folder is named like a part of a split.
pub(crate) fn is_part(folder: &str) -> bool {
    part(folder).is_some()
}

/// Returns the name of the part of a split that a folder is named after.
fn part(folder: &str) -> Option<&'static str> {
    let lower = folder.to_lowercase();
    PARTS.iter().find(|(_, names)| names.contains(&lower.as_str())).map(|(part, _)| *part)
}

/// Returns the number of folders that all clips have in common.
///
/// Clips directly in such a folder are strays as long as most clips are deeper. One folder remains
/// for each of the others.
fn common(clips: &[&[String]]) -> usize {
    let is_wrapper = |above: &usize| {
        let inside: Vec<_> = clips.iter().filter(|folders| folders.len() > *above).collect();
        let deeper = inside.iter().filter(|folders| folders.len() > *above + 1).count();
        2 * deeper > inside.len()
            && inside.iter().all(|folders| folders[*above] == inside[0][*above])
    };
    (0..).take_while(is_wrapper).count()
}

/// Lists names for a message.
pub(crate) fn shown<'a>(
    names: impl IntoIterator<Item = &'a (impl AsRef<str> + ?Sized + 'a)>,
) -> String {
    let names: Vec<_> =
        names.into_iter().map(|name| format!("`{}`", name.as_ref().escape_debug())).collect();
    let more = names.len().saturating_sub(SHOWN);
    let listed = names[..names.len() - more].join(", ");
    if more > 0 { format!("{listed} and {more} more") } else { listed }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(path: &str) -> Vec<String> {
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        parts.pop();
        parts
    }

    /// Returns class and remaining folders of each path.
    fn places(paths: &[&str], depth: usize) -> Vec<String> {
        let all: Vec<_> = paths.iter().map(|path| folders(path)).collect();
        let layout = Layout::of(all.iter().map(Vec::as_slice), depth).unwrap();
        let shown = |folders: &Vec<String>| match layout.place(folders) {
            Some(place) => [vec![place.class], place.folders].concat().join("/"),
            None => "-".to_owned(),
        };
        all.iter().map(shown).collect()
    }

    #[test]
    fn classes_of_clips() {
        for (paths, expected) in [
            (&["rock/a.wav", "jazz/b.wav", "readme.wav"][..], &["rock", "jazz", "-"][..]),
            (
                &["rock/cd1/a.wav", "rock/cd2/a.wav", "jazz/b.wav"],
                &["rock/cd1", "rock/cd2", "jazz"],
            ),
            (&["train/rock/a.wav", "test/rock/a.wav"], &["rock/train", "rock/test"]),
            (&["Train/rock/a.wav", "valid/x/cd/a.wav"], &["rock/train", "x/val/cd"]),
            (&["x/train/rock/a.wav", "x/test/jazz/a.wav"], &["rock/train", "jazz/test"]),
            (&["train/rock/a.wav", "train/jazz/a.wav"], &["rock/train", "jazz/train"]),
            // Kaggle's GTZAN.
            (
                &["Data/genres_original/blues/a.wav", "Data/genres_original/rock/b.wav"],
                &["blues", "rock"],
            ),
            (
                &["Data/intro.wav", "Data/genres/blues/a.wav", "Data/genres/rock/b.wav"],
                &["-", "blues", "rock"],
            ),
            (&["genres/blues/a.wav", "genres/blues/b.wav"], &["blues", "blues"]),
            (&["train/a.wav", "test/a.wav"], &["train", "test"]),
            (&["rock/train/a.wav", "jazz/test/a.wav"], &["rock/train", "jazz/test"]),
            // Sounds of trains.
            (&["train/a.wav", "dog/b.wav"], &["train", "dog"]),
            (&["train/a.wav", "dog/cd1/b.wav"], &["train", "dog/cd1"]),
            (&["train/rock/a.wav", "test/b.wav"], &["rock/train", "-"]),
            (&["rock/a.wav"], &["rock"]),
            (&["a.wav"], &["-"]),
            (&[], &[]),
        ] {
            assert_eq!(places(paths, 0), expected, "{paths:?}");
        }
    }

    #[test]
    fn given_depth() {
        for (paths, depth, expected) in [
            (&["fold1/dog/a.wav", "fold2/cat/b.wav", "x.wav"][..], 2, &["dog", "cat", "-"][..]),
            (&["train/rock/a.wav", "live/rock/a.wav"], 2, &["rock", "rock"]),
            (&["train/rock/a.wav", "live/rock/a.wav"], 1, &["train/rock", "live/rock"]),
            (
                &["train/rock/a.wav", "test/rock/a.wav", "x.wav"],
                2,
                &["rock/train", "rock/test", "-"],
            ),
        ] {
            assert_eq!(places(paths, depth), expected, "{paths:?}");
        }
    }

    #[test]
    fn parts_beside_classes() {
        let all: Vec<_> = ["train/rock/a.wav", "live/a.wav"].map(folders).to_vec();
        let error = Layout::of(all.iter().map(Vec::as_slice), 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "`live`, `train` are beside each other: parts of a split or classes? Set \
             `download.class_depth` to the depth of the class folders, 1 if these are classes, \
             2 if they contain them"
        );
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(shown(["a\nb"]), "`a\\nb`");
        assert_eq!(
            shown(["1", "2", "3", "4", "5", "6", "7", "8"]),
            "`1`, `2`, `3`, `4`, `5`, `6` and 2 more"
        );
    }
}
