//! Files of a stage: atomic writes of outs, and folders of class folders.
//!
//! A rename replaces a name and never writes through it, so an out that is a link into the cache is
//! safe. Nothing is synced to disk here; the engine syncs the outs it stores.

use std::ffi::OsString;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use walkdir::{DirEntry, WalkDir};

/// Writes `path` atomically, through a temporary file in the same folder and a rename.
///
/// Missing parent folders are created.
///
/// # Errors
/// The file system fails; the old file is then unchanged.
pub fn write_atomic(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<()> {
    let path = path.as_ref();
    let in_place = || -> Result<()> {
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        fs::create_dir_all(parent)?;
        let temporary = parent.join(temporary_name(path)?);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        let written = file.write_all(bytes.as_ref()).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // Ignore a second failure: the first one is reported.
            let _ = fs::remove_file(&temporary);
        }
        Ok(written?)
    };
    in_place().with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes a value as indented JSON with a final newline, through [`write_atomic`].
///
/// # Errors
/// JSON cannot represent the value (a map key is not a string), or the file system fails.
pub fn write_json(path: impl AsRef<Path>, value: &impl Serialize) -> Result<()> {
    let path = path.as_ref();
    let mut text = serde_json::to_string_pretty(value)
        .with_context(|| format!("cannot write `{}` as JSON", path.display()))?;
    text.push('\n');
    write_atomic(path, text)
}

/// Makes `path` an empty folder.
///
/// An existing folder is removed with its contents; a link is removed without its target.
///
/// # Errors
/// The path is empty, ends in `..`, is a file, or is or contains the working directory; or the file
/// system fails.
pub fn fresh_dir(path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let shown = path.display();
    if !matches!(path.components().next_back(), Some(Component::Normal(_))) {
        bail!("cannot empty `{shown}`: it must be a folder reserved for this output");
    }
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read `{shown}`")),
        Ok(meta) if meta.is_symlink() => {
            fs::remove_file(path).with_context(|| format!("cannot remove the link `{shown}`"))?;
        }
        Ok(meta) if meta.is_dir() => {
            let working_dir =
                std::env::current_dir().context("cannot determine the working directory")?;
            if path.canonicalize().is_ok_and(|full| working_dir.starts_with(full)) {
                bail!("cannot empty `{shown}`: it contains the working directory");
            }
            fs::remove_dir_all(path).with_context(|| format!("cannot empty `{shown}`"))?;
        }
        Ok(_) => bail!("`{shown}` is a file, not a folder; move it away"),
    }
    fs::create_dir_all(path).with_context(|| format!("cannot create the folder `{shown}`"))
}

/// A file in a class folder, labelled with the folder's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassFile {
    /// The class folder's exact name, including spaces and digits.
    pub label: String,
    /// Path of the file, beginning with the root passed to [`class_files`].
    pub path: PathBuf,
}

/// Returns the files in the class folders of `root` that `keep` accepts, sorted by label, then
/// path.
///
/// Files in subfolders of a class folder belong to the class. Files beside the class folders and
/// names that begin with a dot are ignored. Links are followed; one that leads nowhere or is part
/// of a loop is skipped with a warning.
///
/// # Errors
/// `root` is not a readable folder, a folder in it cannot be listed, or the name of a class folder
/// is not UTF-8.
pub fn class_files(root: impl AsRef<Path>, keep: impl Fn(&Path) -> bool) -> Result<Vec<ClassFile>> {
    let root = root.as_ref();
    match fs::metadata(root) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => bail!("`{}` is a file, not a folder of class folders", root.display()),
        Err(error) => {
            return Err(error)
                .with_context(|| format!("cannot read the folder `{}`", root.display()));
        }
    }
    let mut found = Vec::new();
    let walk = WalkDir::new(root).min_depth(1).follow_links(true);
    for entry in walk.into_iter().filter_entry(is_visible) {
        let entry = match entry {
            Err(error) if is_broken_link(&error) => {
                crate::warn!("skipped a link that leads nowhere: {error}");
                continue;
            }
            entry => entry.with_context(|| format!("cannot list `{}`", root.display()))?,
        };
        if entry.depth() >= 2 && entry.file_type().is_file() && keep(entry.path()) {
            let label = label_of(root, entry.path())?;
            found.push(ClassFile { label, path: entry.into_path() });
        }
    }
    found.sort();
    Ok(found)
}

/// Reports whether the file has one of `extensions`, ignoring ASCII case; they are given without
/// dots.
pub fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().and_then(|extension| extension.to_str()).is_some_and(|extension| {
        extensions.iter().any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// Reports whether a path could not be followed because it is a link to nowhere or to itself.
fn is_broken_link(error: &walkdir::Error) -> bool {
    let is_link = |path: &Path| path.is_symlink();
    error.loop_ancestor().is_some() || error.path().is_some_and(is_link)
}

fn is_visible(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
}

fn label_of(root: &Path, path: &Path) -> Result<String> {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let class =
        relative.components().next().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    class.into_string().map_err(|name| {
        anyhow::anyhow!(
            "the name of the class folder `{}` is not UTF-8; rename it",
            root.join(name).display()
        )
    })
}

/// Returns a name for a temporary file beside `path` that no other thread or process uses.
fn temporary_name(path: &Path) -> Result<OsString> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.subsec_nanos());
    if path.file_name().is_none() {
        bail!("the path has no file name");
    }
    // The file's own name is not included, since it may be as long as the file system allows.
    Ok(format!(".tmp-{}-{nanos}-{count}", std::process::id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn write_atomic_leaves_no_temporary_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c.txt");
        write_atomic(&path, "one").unwrap();
        write_atomic(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(names(path.parent().unwrap()), ["c.txt"]);

        write_atomic(dir.path().join("a/b"), "blocked by a folder").unwrap_err();
        assert_eq!(names(&dir.path().join("a")), ["b"]);
        write_atomic(dir.path().join("x".repeat(255)), "a long name").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn write_atomic_replaces_link() {
        let dir = tempfile::tempdir().unwrap();
        let (object, out) = (dir.path().join("object"), dir.path().join("out"));
        fs::write(&object, "cached").unwrap();
        std::os::unix::fs::symlink(&object, &out).unwrap();
        write_atomic(&out, "new").unwrap();
        assert_eq!(fs::read_to_string(&object).unwrap(), "cached");
        assert!(!out.is_symlink());
    }

    #[test]
    fn write_json_format() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.json");
        write_json(&path, &serde_json::json!({ "files": 2 })).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\n  \"files\": 2\n}\n");
    }

    #[cfg(unix)]
    #[test]
    fn fresh_dir_does_not_follow_links() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, out) = (dir.path().join("kept"), dir.path().join("data/out"));
        fs::create_dir_all(out.join("old")).unwrap();
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(&kept, out.join("link")).unwrap();
        fresh_dir(&out).unwrap();
        assert_eq!(names(&out), [""; 0]);
        fs::remove_dir(&out).unwrap();
        std::os::unix::fs::symlink(&kept, &out).unwrap();
        fresh_dir(&out).unwrap();
        assert!(!out.is_symlink());
        assert_eq!(names(&kept), ["precious"]);
    }

    #[test]
    fn fresh_dir_refuses_unsafe_paths() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        fresh_dir(&file).unwrap_err();
        assert!(file.exists());
        let here = std::env::current_dir().unwrap();
        for path in [Path::new(""), Path::new("."), Path::new("/"), Path::new("x/.."), &here] {
            assert!(fresh_dir(path).unwrap_err().to_string().contains("cannot empty"), "{path:?}");
        }
        assert!(here.exists());
    }

    #[test]
    fn class_files_order_and_labels() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for file in [
            "rain drops 2/b.WAV",
            "rain drops 2/a.wav",
            "rain drops 2/cd1/c.wav",
            "rain drops 2/notes.txt",
            "rain drops 2/.hidden.wav",
            ".cache/a.wav",
            "blues/z.flac",
            "beside.wav",
        ] {
            write_atomic(root.join(file), "x").unwrap();
        }
        let found = class_files(root, |path| has_extension(path, &["wav", "flac"])).unwrap();
        let shown: Vec<_> = found
            .iter()
            .map(|file| {
                (file.label.as_str(), file.path.strip_prefix(root).unwrap().to_str().unwrap())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("blues", "blues/z.flac"),
                ("rain drops 2", "rain drops 2/a.wav"),
                ("rain drops 2", "rain drops 2/b.WAV"),
                ("rain drops 2", "rain drops 2/cd1/c.wav"),
            ]
        );
        assert!(class_files(root.join("absent"), |_| true).is_err());
        assert!(class_files(root.join("beside.wav"), |_| true).is_err());
    }
}
