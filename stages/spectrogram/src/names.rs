//! File names of the outs of each clip.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kit::files::ClassFile;

/// Returns a unique name for each file, relative to a folder of outs and without the suffix of the
/// out.
///
/// The name is the file's path below `root` without its extension, such as `blues/blues.00000`.
/// Files that would share a name keep their extensions: `rock/a.mp3` and `rock/a.wav`.
pub(crate) fn out_names(root: &Path, files: &[ClassFile]) -> Vec<PathBuf> {
    let full: Vec<_> = files.iter().map(|file| relative(root, &file.path)).collect();
    let mut names: Vec<PathBuf> = full.iter().map(|path| path.with_file_name(stem(path))).collect();
    // A name that regains its extension can equal the stem of another file, as `a.wav` and the stem
    // of `a.wav.mp3`. Full names are distinct, so the loop ends.
    loop {
        let mut counts: HashMap<PathBuf, usize> = HashMap::new();
        for name in &names {
            *counts.entry(name.clone()).or_default() += 1;
        }
        let mut changed = false;
        for (name, full) in names.iter_mut().zip(&full) {
            if counts[name.as_path()] > 1 && name != full {
                name.clone_from(full);
                changed = true;
            }
        }
        if !changed {
            return names;
        }
    }
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn stem(path: &Path) -> &std::ffi::OsStr {
    path.file_stem().unwrap_or(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_of(paths: &[&str]) -> Vec<String> {
        let files: Vec<_> = paths
            .iter()
            .map(|path| ClassFile { label: String::new(), path: Path::new("data").join(path) })
            .collect();
        let names = out_names(Path::new("data"), &files);
        names.iter().map(|name| name.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn names_without_extensions() {
        let names = names_of(&[
            "blues/blues.00000.wav",
            "001 - Dog bark/1-30226-A.ogg",
            "rock/cd1/a.mp3",
            "rock/a",
        ]);
        assert_eq!(
            names,
            ["blues/blues.00000", "001 - Dog bark/1-30226-A", "rock/cd1/a", "rock/a"]
        );
    }

    #[test]
    fn same_stem_keeps_extensions() {
        let names = names_of(&["rock/a.mp3", "rock/a.wav", "rock/b.wav", "pop/a.wav"]);
        assert_eq!(names, ["rock/a.mp3", "rock/a.wav", "rock/b", "pop/a"]);
    }

    #[test]
    fn full_name_equal_to_another_stem() {
        let mut names = names_of(&["r/a", "r/a.mp3", "r/a.wav", "r/a.wav.mp3", "r/a.wav.mp3.ogg"]);
        assert_eq!(names, ["r/a", "r/a.mp3", "r/a.wav", "r/a.wav.mp3", "r/a.wav.mp3.ogg"]);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 5);
    }
}
