//! The clips to process, each with the paths of its outs.
//!
//! Under the engine these are the outdated items, and the engine names their outs. If the stage is
//! run by hand, they are all files in a folder of class folders.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use kit::files::{ClassFile, class_files, fresh_dir};
use serde::Deserialize;

use crate::names;

/// A clip and its possible outs: an array and a preview, or else a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Clip {
    pub(crate) path: PathBuf,
    pub(crate) array: PathBuf,
    pub(crate) preview: PathBuf,
    /// Text file with the clip's path and, on the second line, the reason why it cannot be decoded.
    pub(crate) fault: PathBuf,
}

/// The folders of outs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folders<'a> {
    pub(crate) arrays: &'a Path,
    pub(crate) previews: &'a Path,
    pub(crate) faults: &'a Path,
}

/// A JSON line of the file that `REPRO_ITEMS` names.
#[derive(Debug, Deserialize)]
struct Item {
    item: PathBuf,
    outs: Vec<PathBuf>,
}

/// Returns the clips listed in the file that `REPRO_ITEMS` names.
///
/// If the variable is unset or empty, returns all clips in `audio` and empties the folders of outs.
///
/// # Errors
/// The list cannot be read or parsed, `audio` has no clip, or a folder cannot be emptied.
pub(crate) fn load(audio: &Path, folders: Folders<'_>) -> Result<Vec<Clip>> {
    if let Some(list) = std::env::var_os("REPRO_ITEMS").filter(|list| !list.is_empty()) {
        let text = std::fs::read_to_string(&list)
            .with_context(|| format!("cannot read `{}` (REPRO_ITEMS)", list.display()))?;
        return text.lines().map(listed).collect::<Result<_>>().context("REPRO_ITEMS");
    }
    let files = class_files(audio, |_| true)?;
    if files.is_empty() {
        bail!(
            "there is no class folder with a file in `{}`; run the stage `download` first",
            audio.display()
        );
    }
    for folder in [folders.arrays, folders.previews, folders.faults] {
        fresh_dir(folder)?;
    }
    Ok(found(audio, &files, folders))
}

fn listed(line: &str) -> Result<Clip> {
    let Item { item, outs } =
        serde_json::from_str(line).with_context(|| format!("`{line}` is not an item with outs"))?;
    let with = |extension: &str| {
        let out = outs.iter().find(|out| kit::files::has_extension(out, &[extension]));
        out.cloned().with_context(|| format!("item `{}` has no `.{extension}` out", item.display()))
    };
    Ok(Clip { array: with("npy")?, preview: with("png")?, fault: with("txt")?, path: item.clone() })
}

fn found(audio: &Path, files: &[ClassFile], folders: Folders<'_>) -> Vec<Clip> {
    let names = names::out_names(audio, files);
    let clip = |(file, name): (&ClassFile, PathBuf)| Clip {
        path: file.path.clone(),
        array: with_suffix(folders.arrays, &name, "npy"),
        preview: with_suffix(folders.previews, &name, "png"),
        fault: with_suffix(folders.faults, &name, "txt"),
    };
    files.iter().zip(names).map(clip).collect()
}

/// Appends a suffix without replacing an extension, since a stem may contain dots (`blues.00000`).
fn with_suffix(root: &Path, name: &Path, suffix: &str) -> PathBuf {
    let mut path = root.join(name).into_os_string();
    path.push(".");
    path.push(suffix);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn item_lines() {
        let line =
            r#"{"item": "data/audio/a/1.wav", "outs": ["p/a/1.png", "s/a/1.npy", "f/a/1.txt"]}"#;
        let expected =
            ["data/audio/a/1.wav", "s/a/1.npy", "p/a/1.png", "f/a/1.txt"].map(PathBuf::from);
        let Clip { path, array, preview, fault } = listed(line).unwrap();
        assert_eq!([path, array, preview, fault], expected);
        for (line, part) in [
            ("{}", "not an item"),
            (r#"{"item": "a", "outs": ["a.npy", "a.txt"]}"#, "no `.png` out"),
        ] {
            let message = format!("{:#}", listed(line).unwrap_err());
            assert!(message.contains(part), "{message}");
        }
    }
}
