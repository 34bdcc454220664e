//! Resolves the arguments to files, and derives labels from class folders.

use std::ffi::OsString;
use std::io::{BufRead as _, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use features::is_audio;
use tempfile::TempPath;
use walkdir::{DirEntry, WalkDir};

/// Characters that make a path a pattern.
const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];
/// Argument that stands for stdin.
pub(crate) const STDIN: &str = "-";

/// An input file.
#[derive(Debug)]
pub(crate) struct Input {
    /// Path as given, or below the given folder.
    pub(crate) path: PathBuf,
    /// Name of the class folder, for a file in a folder of class folders.
    pub(crate) label: Option<String>,
    /// Temporary file with the bytes of stdin.
    spooled: Option<TempPath>,
}

impl Input {
    /// Returns the path to read.
    pub(crate) fn file(&self) -> &Path {
        self.spooled.as_deref().unwrap_or(&self.path)
    }

    fn new(path: PathBuf) -> Input {
        Input { path, label: None, spooled: None }
    }
}

/// An argument that matches no file, or a path below one that cannot be read.
#[derive(Debug)]
pub(crate) struct InputError {
    pub(crate) path: PathBuf,
    pub(crate) error: anyhow::Error,
}

/// Resolves the arguments to files, in their order; files of a folder or a pattern are sorted.
///
/// `-` is the audio on stdin. Audio files directly in a folder have no label; those in its
/// subfolders have the subfolder's name as their label. A path that does not exist and contains a
/// `*`, `?`, `[` or `{` is a pattern: shells pass on patterns that match nothing or are quoted. An
/// entry of a folder that cannot be read is an error of its own and does not affect other files.
pub(crate) fn find(paths: &[PathBuf]) -> Vec<Result<Input, InputError>> {
    let resolve = |path: &PathBuf| {
        files_of(path).unwrap_or_else(|error| vec![Err(InputError { path: path.clone(), error })])
    };
    paths.iter().flat_map(resolve).collect()
}

/// Reads paths from a list, one per line, in any encoding; `-` reads stdin.
///
/// # Errors
/// If the list cannot be read.
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

fn files_of(path: &Path) -> Result<Vec<Result<Input, InputError>>> {
    if path == Path::new(STDIN) {
        return Ok(vec![Ok(spool()?)]);
    }
    let (found, if_empty) = match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => (files_in_folder(path), "no audio file in it"),
        Ok(_) => return Ok(vec![Ok(Input::new(path.to_owned()))]),
        Err(error) => match path.to_str().filter(|text| text.contains(WILDCARDS)) {
            Some(pattern) => (files_matching(pattern), "no file matches it"),
            None => return Err(error).context("cannot read it"),
        },
    };
    match found.is_empty() {
        true => Err(anyhow!(if_empty)),
        false => Ok(found),
    }
}

/// Copies stdin to a temporary file, because decoders seek.
fn spool() -> Result<Input> {
    let copy = || -> std::io::Result<TempPath> {
        let mut file = tempfile::NamedTempFile::new()?;
        std::io::copy(&mut std::io::stdin().lock().by_ref(), &mut file)?;
        Ok(file.into_temp_path())
    };
    let spooled = copy().context("cannot copy stdin to a temporary file")?;
    Ok(Input { spooled: Some(spooled), ..Input::new(STDIN.into()) })
}

/// Returns the audio files of a folder: first those directly in it, then those of class folders.
fn files_in_folder(folder: &Path) -> Vec<Result<Input, InputError>> {
    let mut found = Vec::new();
    for entry in walk(folder, usize::MAX) {
        match entry {
            Ok(entry) => found.extend(audio_in(folder, entry)),
            Err(error) => found.push(Err(walk_error(folder, error))),
        }
    }
    found.sort_by_key(|input| input.as_ref().is_ok_and(|input| input.label.is_some()));
    found
}

/// Returns an entry of a folder if it is an audio file.
///
/// A class folder with a name that is not UTF-8 is reported once, and its files are skipped.
fn audio_in(folder: &Path, entry: DirEntry) -> Option<Result<Input, InputError>> {
    let (depth, kind) = (entry.depth(), entry.file_type());
    let path = entry.into_path();
    let audio = kind.is_file() && is_audio(&path);
    if depth <= 1 && kind.is_file() {
        return audio.then(|| Ok(Input::new(path)));
    }
    let class = path.strip_prefix(folder).unwrap_or(&path).iter().next().unwrap_or_default();
    match class.to_str().map(str::to_owned) {
        Some(label) => audio.then(|| Ok(Input { label: Some(label), ..Input::new(path) })),
        None if depth == 1 && kind.is_dir() => Some(Err(InputError {
            path,
            error: anyhow!("the name of the class folder is not UTF-8: rename the folder"),
        })),
        None => None,
    }
}

/// Returns the files that match a pattern; `**` matches any number of folders.
///
/// As in shells, names that start with a dot never match.
fn files_matching(pattern: &str) -> Vec<Result<Input, InputError>> {
    let fixed = pattern[..pattern.find(WILDCARDS).unwrap_or(pattern.len())]
        .rfind('/')
        .map_or(0, |slash| slash + 1);
    let (fixed, wild) = pattern.split_at(fixed);
    let root = Path::new(if fixed.is_empty() { "." } else { fixed });
    // Deeper entries cannot match.
    let depth = if wild.contains("**") { usize::MAX } else { 1 + wild.matches('/').count() };
    // The matcher treats a leading `!` as a negation; in shells it is an ordinary character.
    let glob = format!("{}{pattern}", if pattern.starts_with('!') { "\\" } else { "" });
    let as_given = |path: &Path| Path::new(fixed).join(path.strip_prefix(root).unwrap_or(path));
    let matches =
        |path: &Path| fast_glob::glob_match(&glob, as_given(path).to_string_lossy().as_ref());
    let found = walk(root, depth).filter_map(|entry| match entry {
        Ok(entry) => {
            let is_match = entry.file_type().is_file() && matches(entry.path());
            is_match.then(|| Ok(Input::new(as_given(entry.path()))))
        }
        // An entry at the last level must match itself; one above may contain a match.
        Err(error) => {
            let matters = error.depth() < depth || error.path().is_some_and(matches);
            matters.then(|| Err(walk_error(root, error)))
        }
    });
    found.collect()
}

/// Walks a folder in sorted order and follows links. Skips names that start with a dot.
fn walk(root: &Path, depth: usize) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    let visible = |depth: usize, path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        depth == 0 || !name.as_encoded_bytes().starts_with(b".")
    };
    let walk = WalkDir::new(root).follow_links(true).max_depth(depth).sort_by_file_name();
    walk.into_iter().filter_entry(move |entry| visible(entry.depth(), Some(entry.path()))).filter(
        move |entry| {
            // Editors leave broken links with such names.
            entry.as_ref().err().is_none_or(|error| visible(error.depth(), error.path()))
        },
    )
}

fn walk_error(root: &Path, error: walkdir::Error) -> InputError {
    let path = error.path().unwrap_or(root).to_owned();
    let ancestor = error.loop_ancestor().unwrap_or(root).to_owned();
    let error = match error.into_io_error() {
        Some(error) => anyhow::Error::from(error).context("cannot read it"),
        None => anyhow!("a link that leads back to `{}`", ancestor.display()),
    };
    InputError { path, error }
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
        let short = |input: Result<Input, InputError>| {
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
    fn shell_patterns() {
        let dir =
            folder(&["a/1.wav", "a/2.wav", "a/b/3.wav", "a/.hidden.wav", "a/x.mp3", "c[1].wav"]);
        for (pattern, expected) in [
            ("a/*.wav", vec!["a/1.wav", "a/2.wav"]),
            ("a/**/*.wav", vec!["a/1.wav", "a/2.wav", "a/b/3.wav"]),
            ("a/{1.wav,x.*}", vec!["a/1.wav", "a/x.mp3"]),
            ("a/[2-9].wav", vec!["a/2.wav"]),
            // A file with exactly this name exists, so it is not a pattern.
            ("c[1].wav", vec!["c[1].wav"]),
        ] {
            let paths: Vec<_> = found(&dir, &[pattern]).into_iter().map(|(path, _)| path).collect();
            assert_eq!(paths, expected, "{pattern}");
        }
    }

    #[test]
    fn unmatched_arguments() {
        let dir = folder(&["empty/notes.txt", "a.wav"]);
        let at = |path: &str| dir.path().join(path);
        let inputs = find(&[at("empty"), at("none.wav"), at("*.flac"), at("a.wav")]);
        let errors: Vec<String> = inputs
            .iter()
            .map(|input| {
                input.as_ref().err().map_or("ok".to_owned(), |failed| failed.error.to_string())
            })
            .collect();
        assert_eq!(errors, ["no audio file in it", "cannot read it", "no file matches it", "ok"]);
    }
}
