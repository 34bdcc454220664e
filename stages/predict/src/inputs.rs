//! Which files the arguments name, and the labels that their folders give them.
//!
//! Knows nothing about what is in the files.

use std::io::{BufRead as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use tempfile::TempPath;
use walkdir::WalkDir;

/// The extensions of files that are looked for in folders. A file that is named itself may have any.
const AUDIO: [&str; 12] =
    ["wav", "mp3", "flac", "ogg", "oga", "au", "aif", "aiff", "m4a", "caf", "mka", "webm"];
/// What stands for stdin.
pub(crate) const STDIN: &str = "-";

/// One file.
#[derive(Debug)]
pub(crate) struct Input {
    /// As it was given, or below the folder that was.
    pub(crate) path: PathBuf,
    /// The name of its class folder, for a file in a folder of class folders.
    pub(crate) label: Option<String>,
    /// Where the bytes are that came from stdin.
    spooled: Option<TempPath>,
}

impl Input {
    /// The file to read.
    pub(crate) fn file(&self) -> &Path {
        self.spooled.as_deref().unwrap_or(&self.path)
    }

    fn new(path: PathBuf) -> Input {
        Input { path, label: None, spooled: None }
    }
}

/// What is told of an argument that names nothing to read.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) path: PathBuf,
    pub(crate) error: anyhow::Error,
}

/// The files that the arguments name, in their order; those of a folder or a pattern sorted. `-` is the audio on
/// stdin.
///
/// The audio files right in a folder have no label; those in its folders have the folder's name. A path that
/// does not exist and has a `*`, `?`, `[` or `{` is a pattern: shells leave those to programs that match nothing,
/// or that are quoted.
pub(crate) fn find(paths: &[PathBuf]) -> Vec<Result<Input, Fault>> {
    let mut inputs = Vec::new();
    for path in paths {
        match files_of(path) {
            Ok(files) => inputs.extend(files.into_iter().map(Ok)),
            Err(error) => inputs.push(Err(Fault { path: path.clone(), error })),
        }
    }
    inputs
}

/// The paths in a list, one a line; `-` reads stdin.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn listed(list: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> Result<Vec<PathBuf>> {
        let reader: Box<dyn std::io::BufRead> = match list == Path::new(STDIN) {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(std::io::BufReader::new(std::fs::File::open(list)?)),
        };
        let lines = reader.lines().filter(|line| line.as_ref().map_or(true, |line| !line.is_empty()));
        Ok(lines.map(|line| line.map(PathBuf::from)).collect::<std::io::Result<_>>()?)
    };
    read().with_context(|| format!("cannot read the list `{}`", list.display()))
}

fn files_of(path: &Path) -> Result<Vec<Input>> {
    if path == Path::new(STDIN) {
        return Ok(vec![spool()?]);
    }
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            let mut files = files_right_in(path)?;
            let labelled = kit::files::class_files(path, is_audio)?;
            let input =
                |file: kit::files::ClassFile| Input { label: Some(file.label), ..Input::new(file.path) };
            files.extend(labelled.into_iter().map(input));
            ensure!(!files.is_empty(), "no audio file in it");
            Ok(files)
        }
        Ok(_) => Ok(vec![Input::new(path.to_owned())]),
        Err(error) => match path.to_str().filter(|text| text.contains(['*', '?', '[', '{'])) {
            Some(pattern) => matching(pattern),
            None => Err(error).context("cannot read it"),
        },
    }
}

/// Stdin as a file: decoders go back and forth.
fn spool() -> Result<Input> {
    let copy = || -> std::io::Result<TempPath> {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut file)?;
        Ok(file.into_temp_path())
    };
    let spooled = copy().context("cannot keep what comes from stdin")?;
    Ok(Input { spooled: Some(spooled), ..Input::new(STDIN.into()) })
}

/// The files that match a pattern; `**` stands for any folders. As in shells, names that begin with a dot match
/// nothing.
fn matching(pattern: &str) -> Result<Vec<Input>> {
    let wild = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let fixed = pattern[..wild].rfind('/').map_or("", |slash| &pattern[..=slash]);
    let root = if fixed.is_empty() { "." } else { fixed };
    let visible = |entry: &walkdir::DirEntry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut files = Vec::new();
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        let Ok(entry) = entry else { continue };
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let path = Path::new(fixed).join(below);
        let matches = path.to_str().is_some_and(|text| fast_glob::glob_match(pattern, text));
        if matches && entry.file_type().is_file() {
            files.push(Input::new(path));
        }
    }
    match files.is_empty() {
        true => Err(anyhow!("no file matches it")),
        false => Ok(files),
    }
}

fn files_right_in(folder: &Path) -> Result<Vec<Input>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).context("cannot list it")? {
        let path = entry.context("cannot list it")?.path();
        if is_audio(&path) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files.into_iter().map(Input::new).collect())
}

fn is_audio(path: &Path) -> bool {
    kit::files::has_extension(path, &AUDIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(paths: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in paths {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    fn found(dir: &tempfile::TempDir, arguments: &[&str]) -> Vec<(String, Option<String>)> {
        let paths: Vec<_> = arguments.iter().map(|argument| dir.path().join(argument)).collect();
        let short = |input: Result<Input, Fault>| {
            let input = input.unwrap();
            (input.path.strip_prefix(dir.path()).unwrap().to_str().unwrap().to_owned(), input.label)
        };
        find(&paths).into_iter().map(short).collect()
    }

    #[test]
    fn files_folders_and_class_folders() {
        let dir = folder(&[
            "set/blues/b.wav",
            "set/blues/a.MP3",
            "set/001 - Dog/x.ogg",
            "set/blues/notes.txt",
            "plain/2.au",
            "plain/1.wav",
            "odd.bin",
        ]);
        let expected = [
            ("odd.bin", None),
            ("plain/1.wav", None),
            ("plain/2.au", None),
            ("set/001 - Dog/x.ogg", Some("001 - Dog")),
            ("set/blues/a.MP3", Some("blues")),
            ("set/blues/b.wav", Some("blues")),
        ];
        let expected = expected.map(|(path, label)| (path.to_owned(), label.map(str::to_owned)));
        assert_eq!(found(&dir, &["odd.bin", "plain", "set"]), expected);
    }

    #[test]
    fn patterns_are_those_of_shells() {
        let dir = folder(&["a/1.wav", "a/2.wav", "a/b/3.wav", "a/.hidden.wav", "a/x.mp3", "c[1].wav"]);
        for (pattern, expected) in [
            ("a/*.wav", vec!["a/1.wav", "a/2.wav"]),
            ("a/**/*.wav", vec!["a/1.wav", "a/2.wav", "a/b/3.wav"]),
            ("a/{1.wav,x.*}", vec!["a/1.wav", "a/x.mp3"]),
            ("a/[2-9].wav", vec!["a/2.wav"]),
            // A file of that very name is no pattern.
            ("c[1].wav", vec!["c[1].wav"]),
        ] {
            let paths: Vec<_> = found(&dir, &[pattern]).into_iter().map(|(path, _)| path).collect();
            assert_eq!(paths, expected, "{pattern}");
        }
    }

    #[test]
    fn what_names_nothing_is_a_fault_of_its_own() {
        let dir = folder(&["empty/notes.txt", "a.wav"]);
        let at = |path: &str| dir.path().join(path);
        let inputs = find(&[at("empty"), at("none.wav"), at("*.flac"), at("a.wav")]);
        let faults: Vec<String> = inputs
            .iter()
            .map(|input| input.as_ref().err().map_or("fine".to_owned(), |fault| fault.error.to_string()))
            .collect();
        assert_eq!(faults, ["no audio file in it", "cannot read it", "no file matches it", "fine"]);
    }
}
