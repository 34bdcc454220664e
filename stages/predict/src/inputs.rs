//! Which files the arguments name, and the labels that their folders give them.
//!
//! Knows nothing about what is in the files.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// The extensions of files that are looked for in folders. A file that is named itself may have any.
const AUDIO: [&str; 9] = ["wav", "mp3", "flac", "ogg", "oga", "au", "aif", "aiff", "m4a"];

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Input {
    /// As it was given, or below the folder that was.
    pub(crate) path: PathBuf,
    /// The name of its class folder, for a file in a folder of class folders.
    pub(crate) label: Option<String>,
}

/// The files that the arguments name, in their order; those of a folder sorted.
///
/// The audio files right in a folder have no label; those in its folders have the folder's name.
///
/// # Errors
/// A path that does not exist; a folder without an audio file.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for path in paths {
        let meta = std::fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        if meta.is_dir() {
            let before = inputs.len();
            inputs.extend(files_right_in(path)?);
            let labelled = kit::files::class_files(path, is_audio)?;
            inputs
                .extend(labelled.into_iter().map(|file| Input { path: file.path, label: Some(file.label) }));
            ensure!(inputs.len() > before, "no audio file in the folder `{}`", path.display());
        } else {
            inputs.push(Input { path: path.clone(), label: None });
        }
    }
    Ok(inputs)
}

fn files_right_in(folder: &Path) -> Result<Vec<Input>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot list `{}`", folder.display()))?.path();
        if is_audio(&path) && path.is_file() {
            files.push(Input { path, label: None });
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn is_audio(path: &Path) -> bool {
    kit::files::has_extension(path, &AUDIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_folders_and_class_folders() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in [
            "set/blues/b.wav",
            "set/blues/a.MP3",
            "set/001 - Dog/x.ogg",
            "set/blues/notes.txt",
            "plain/2.au",
            "plain/1.wav",
            "odd.bin",
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            std::fs::write(at(path), "").unwrap();
        }
        let found = find(&[at("odd.bin"), at("plain"), at("set")]).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|input| {
                (input.path.strip_prefix(dir.path()).unwrap().to_str().unwrap(), input.label.as_deref())
            })
            .collect();
        let expected = [
            ("odd.bin", None),
            ("plain/1.wav", None),
            ("plain/2.au", None),
            ("set/001 - Dog/x.ogg", Some("001 - Dog")),
            ("set/blues/a.MP3", Some("blues")),
            ("set/blues/b.wav", Some("blues")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_to_predict_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = |path: PathBuf| format!("{:#}", find(&[path]).unwrap_err());
        assert!(error(dir.path().to_owned()).starts_with("no audio file in the folder"));
        assert!(error(dir.path().join("none")).starts_with("cannot read `"));
    }
}
