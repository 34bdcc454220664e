//! Which files the arguments name, and the labels that their folders give them.
//!
//! Knows nothing about what is in the files.

use std::ffi::OsString;
use std::io::{BufRead as _, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use tempfile::TempPath;
use walkdir::{DirEntry, WalkDir};

/// The extensions of files that are looked for in folders. A file that is named itself may have any.
const AUDIO: [&str; 12] =
    ["wav", "mp3", "flac", "ogg", "oga", "au", "aif", "aiff", "m4a", "caf", "mka", "webm"];
/// What makes a path a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];
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

/// What is told of an argument that names nothing to read, or of what cannot be looked at below one.
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
/// or that are quoted. What cannot be looked at in a folder is a fault of its own, and costs no other file.
pub(crate) fn find(paths: &[PathBuf]) -> Vec<Result<Input, Fault>> {
    let found = |path: &PathBuf| {
        files_of(path).unwrap_or_else(|error| vec![Err(Fault { path: path.clone(), error })])
    };
    paths.iter().flat_map(found).collect()
}

/// The paths in a list, one a line, in any encoding; `-` reads stdin.
///
/// # Errors
/// A list that cannot be read.
pub(crate) fn listed(list: &Path) -> Result<Vec<PathBuf>> {
    let read = || -> Result<Vec<PathBuf>> {
        let reader: Box<dyn std::io::BufRead> = match list == Path::new(STDIN) {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(std::io::BufReader::new(std::fs::File::open(list)?)),
        };
        let mut paths = Vec::new();
        for line in reader.split(b'\n') {
            let mut line = line?;
            line.pop_if(|last| *last == b'\r');
            if !line.is_empty() {
                paths.push(OsString::from_vec(line).into());
            }
        }
        Ok(paths)
    };
    read().with_context(|| format!("cannot read the list `{}`", list.display()))
}

fn files_of(path: &Path) -> Result<Vec<Result<Input, Fault>>> {
    if path == Path::new(STDIN) {
        return Ok(vec![Ok(spool()?)]);
    }
    let (found, nothing) = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => (below(path), "no audio file in it"),
        Ok(_) => return Ok(vec![Ok(Input::new(path.to_owned()))]),
        Err(error) => match path.to_str().filter(|text| text.contains(WILD)) {
            Some(pattern) => (matching(pattern), "no file matches it"),
            None => return Err(error).context("cannot read it"),
        },
    };
    match found.is_empty() {
        true => Err(anyhow!(nothing)),
        false => Ok(found),
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

/// The audio files of a folder: those right in it, then those of its class folders.
fn below(folder: &Path) -> Vec<Result<Input, Fault>> {
    let mut found = Vec::new();
    for entry in walk(folder, usize::MAX) {
        match entry {
            Ok(entry) => found.extend(audio_in(folder, entry)),
            Err(error) => found.push(Err(fault(folder, error))),
        }
    }
    found.sort_by_key(|input| input.as_ref().is_ok_and(|input| input.label.is_some()));
    found
}

/// The audio file that an entry of a folder is. A class folder whose name cannot be a label is told once, and
/// what is in it is passed over.
fn audio_in(folder: &Path, entry: DirEntry) -> Option<Result<Input, Fault>> {
    let (depth, kind) = (entry.depth(), entry.file_type());
    let path = entry.into_path();
    let audio = kind.is_file() && is_audio(&path);
    if depth <= 1 && kind.is_file() {
        return audio.then(|| Ok(Input::new(path)));
    }
    let class = path.strip_prefix(folder).unwrap_or(&path).iter().next().unwrap_or_default();
    match class.to_str().map(str::to_owned) {
        Some(label) => audio.then(|| Ok(Input { label: Some(label), ..Input::new(path) })),
        None if depth == 1 && kind.is_dir() => Some(Err(Fault {
            path,
            error: anyhow!("the name of a class that is not UTF-8: rename the folder"),
        })),
        None => None,
    }
}

/// The files that match a pattern; `**` stands for any folders. As in shells, names that begin with a dot match
/// nothing.
fn matching(pattern: &str) -> Vec<Result<Input, Fault>> {
    let fixed = pattern[..pattern.find(WILD).unwrap_or(pattern.len())]
        .rfind('/')
        .map_or(0, |slash| slash + 1);
    let (fixed, wild) = pattern.split_at(fixed);
    let root = Path::new(if fixed.is_empty() { "." } else { fixed });
    // What is deeper cannot match.
    let depth = if wild.contains("**") { usize::MAX } else { 1 + wild.matches('/').count() };
    // The matcher would take a `!` that leads for a "not"; in shells it is a character.
    let glob = format!("{}{pattern}", if pattern.starts_with('!') { "\\" } else { "" });
    let as_given = |path: &Path| Path::new(fixed).join(path.strip_prefix(root).unwrap_or(path));
    let matches =
        |path: &Path| fast_glob::glob_match(&glob, as_given(path).to_string_lossy().as_ref());
    let found = walk(root, depth).filter_map(|entry| match entry {
        Ok(entry) => {
            let wanted = entry.file_type().is_file() && matches(entry.path());
            wanted.then(|| Ok(Input::new(as_given(entry.path()))))
        }
        // What is at the last level would have to match itself; what is above it may hold what matches.
        Err(error) => {
            let matters = error.depth() < depth || error.path().is_some_and(matches);
            matters.then(|| Err(fault(root, error)))
        }
    });
    found.collect()
}

/// A folder and what is below it, sorted; links are followed. Names that begin with a dot are passed over.
fn walk(root: &Path, depth: usize) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let seen = |depth: usize, path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        depth == 0 || !name.as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth).sort_by_file_name();
    walk.into_iter().filter_entry(move |entry| seen(entry.depth(), Some(entry.path()))).filter(
        move |entry| {
            // Editors leave links to nowhere with such names.
            entry.as_ref().err().is_none_or(|error| seen(error.depth(), error.path()))
        },
    )
}

fn fault(root: &Path, error: walkdir::Error) -> Fault {
    let path = error.path().unwrap_or(root).to_owned();
    let above = error.loop_ancestor().unwrap_or(root).to_owned();
    let error = match error.into_io_error() {
        Some(error) => anyhow::Error::from(error).context("cannot read it"),
        None => anyhow!("a link that leads back to `{}`", above.display()),
    };
    Fault { path, error }
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
        let dir =
            folder(&["a/1.wav", "a/2.wav", "a/b/3.wav", "a/.hidden.wav", "a/x.mp3", "c[1].wav"]);
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
            .map(|input| {
                input.as_ref().err().map_or("fine".to_owned(), |fault| fault.error.to_string())
            })
            .collect();
        assert_eq!(faults, ["no audio file in it", "cannot read it", "no file matches it", "fine"]);
    }
}
