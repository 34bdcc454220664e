//! Names that do not count as content where people write: by default, and by the `.reproignore`
//! files of the project.
//!
//! Mechanism: the rules of a folder are those of its `.reproignore`, then those of the folders
//! above, then [`DEFAULTS`]. The first that has a pattern for a name decides, and in one file the
//! last pattern does, as in gitignore files. A name without any pattern counts.
//!
//! Invariants: rules say nothing about what stages write; callers ask only about other paths. They
//! depend on paths alone, so every dep sees a file in the same way. A path that is named explicitly
//! counts, whatever the rules say.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::error::{Error, Result};
use crate::pipeline;
use crate::plan::lock;
use crate::regular_file;
use crate::repo_path::RepoPath;

/// Name of the files with patterns.
pub const FILE: &str = ".reproignore";

/// Names that tools create as a side effect, so that no result should depend on them: caches, and
/// the swap, backup and lock files of editors.
pub const DEFAULTS: [&str; 18] = [
    ".git",
    FILE,
    "__pycache__",
    ".ipynb_checkpoints",
    ".DS_Store",
    "Thumbs.db",
    ".*.sw?",
    "4913",
    "*~",
    "#*#",
    ".#*",
    ".~lock.*#",
    ".*.kate-swp",
    "*___jb_tmp___",
    "*___jb_old___",
    ".goutputstream-*",
    ".nfs*",
    ".fuse_hidden*",
];

/// Names of the state beside a `pipeline.toml`.
const STATE: [&str; 3] = ["cache", "runs", lock::FILE];

/// The rules that apply in a folder; `None` if only the default ones do.
pub type Rules = Option<Arc<Level>>;

/// The rules of one file, and those of the folders above.
#[derive(Debug)]
pub struct Level {
    patterns: Gitignore,
    above: Rules,
}

/// The `.reproignore` files of a project, each read once.
pub struct Ignores {
    root: PathBuf,
    known: Mutex<HashMap<PathBuf, Rules>>,
}

/// Reports whether the rules ignore the entry `name` at `path`.
pub fn is_ignored(rules: &Rules, path: &dyn Fn() -> PathBuf, name: &str, kind: Kind) -> bool {
    let mut at = rules;
    let path = if rules.is_some() { path() } else { PathBuf::new() };
    while let Some(level) = at {
        match level.patterns.matched(&path, kind == Kind::Folder) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => at = &level.above,
        }
    }
    is_ignored_by_default(name)
}

/// The kind of an entry; links count as files, as in git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Folder,
    Other,
}

/// Reports whether a name belongs to the state of a project in the same folder.
pub fn is_state(name: &str) -> bool {
    STATE.contains(&name)
}

/// Reports whether one of the default patterns matches a name.
fn is_ignored_by_default(name: &str) -> bool {
    // Most names have none of these ends.
    let first = |byte| matches!(byte, b'.' | b'#' | b'_' | b'4' | b'T');
    let last = |byte| matches!(byte, b'~' | b'_');
    let (Some(&start), Some(&end)) = (name.as_bytes().first(), name.as_bytes().last()) else {
        return false;
    };
    (first(start) || last(end))
        && DEFAULTS.iter().any(|pattern| fast_glob::glob_match(pattern, name))
}

impl Ignores {
    /// Returns the rules of the project at `root`; files are read when they are needed.
    pub fn of(root: &Path) -> Ignores {
        Ignores { root: root.to_owned(), known: Mutex::default() }
    }

    /// Returns the rules for the entries of `folder`, which is inside the project.
    ///
    /// # Errors
    /// A `.reproignore` cannot be read or has an invalid pattern.
    pub fn rules(&self, folder: &Path) -> Result<Rules> {
        let known = |folder: &Path| {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).get(folder).cloned()
        };
        let mut unknown = Vec::new();
        let mut rules: Rules = None;
        for above in folder.ancestors().take_while(|above| above.starts_with(&self.root)) {
            if let Some(found) = known(above) {
                rules = found;
                break;
            }
            unknown.push(above);
        }
        for folder in unknown.into_iter().rev() {
            if let Some(patterns) = self.read(folder)? {
                rules = Some(Arc::new(Level { patterns, above: rules }));
            }
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(folder.to_owned(), rules.clone());
        }
        Ok(rules)
    }

    /// Returns the rules for the entries of `folder`, given those of the folder above.
    pub fn rules_below(&self, folder: &Path, above: &Rules) -> Result<Rules> {
        let patterns = self.read(folder)?;
        let level = patterns.map(|patterns| Level { patterns, above: above.clone() });
        Ok(level.map(Arc::new).or_else(|| above.clone()))
    }

    /// Reports whether the rules ignore `path` or a folder above it.
    ///
    /// Rules that cannot be read ignore nothing: scanning reports them.
    pub fn is_ignored(&self, path: &RepoPath) -> bool {
        let full = path.to_path(&self.root);
        let count = path.as_str().split('/').count();
        let mut above: Vec<&Path> = full.ancestors().take(count).collect();
        above.reverse();
        above.into_iter().enumerate().any(|(depth, at)| {
            let folder = at.parent().unwrap_or(&self.root);
            let name = at.file_name().unwrap_or_default().to_string_lossy();
            let is_inner = depth + 1 < count;
            let kind = if is_inner || is_folder(at) { Kind::Folder } else { Kind::Other };
            let is_nested = || depth > 0 && folder.join(pipeline::FILE).is_file();
            is_ignored(&self.rules(folder).unwrap_or_default(), &|| at.to_owned(), &name, kind)
                || (is_state(&name) && is_nested())
        })
    }

    fn read(&self, folder: &Path) -> Result<Option<Gitignore>> {
        let path = folder.join(FILE);
        let bytes = match regular_file::read_following(&path) {
            Ok(bytes) => bytes,
            Err(_) if !path.is_file() => return Ok(None),
            Err(err) => return Err(Error::io("read", &path, &err)),
        };
        let shown = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::usage(format!("`{shown}` is not UTF-8")).hint("save the file as UTF-8")
        })?;
        let mut builder = GitignoreBuilder::new(folder);
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            builder.add_line(None, line).map_err(|err| {
                Error::usage(format!("{shown}:{}: invalid pattern: {err}", at + 1))
                    .hint("the syntax is that of gitignore files")
            })?;
        }
        builder.build().map(Some).map_err(|err| {
            Error::usage(format!("`{shown}` is invalid: {err}"))
                .hint("the syntax is that of gitignore files")
        })
    }
}

impl fmt::Debug for Ignores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ignores")
    }
}

fn is_folder(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn default_names() {
        for ignored in [
            ".git",
            "__pycache__",
            ".DS_Store",
            "Thumbs.db",
            ".a.py.swp",
            ".a.swo",
            "4913",
            "a.py~",
            "#a.py#",
            ".#a.py",
            ".~lock.a.ods#",
            "a.py___jb_tmp___",
            ".nfs0001",
            ".reproignore",
        ] {
            assert!(is_ignored_by_default(ignored), "{ignored}");
        }
        for content in ["a.py", "swp", "a.swp", ".swp", ".env", ".gitignore", "#a", "49130", "~a"] {
            assert!(!is_ignored_by_default(content), "{content}");
        }
    }

    #[test]
    fn rules_of_nested_files() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(FILE, "*.log\n/build\n!*~\n# comment\ntmp/\n!.DS_Store\n");
        write("src/.reproignore", "!keep.log\n\\!odd\nsub/x\n");
        write("src/tmp/a", "");
        write("src/nested/pipeline.toml", "");
        let ignores = Ignores::of(&root);
        for (text, expected) in [
            ("a.log", true),
            ("src/a.log", true),
            ("src/keep.log", false),
            ("keep.log", true),
            ("build", true),
            ("build/x/y", true),
            ("src/build", false),
            ("src/a~", false),
            ("src/.a.swp", true),
            ("src/.DS_Store", false),
            ("src/tmp", true),
            ("src/tmp/a", true),
            ("tmp", false),
            ("src/!odd", true),
            ("src/sub/x", true),
            ("src/x", false),
            ("src/nested/cache/a", true),
            ("src/nested/pipeline.lock", true),
            ("src/nested/pipeline.toml", false),
            ("src/cache/a", false),
        ] {
            assert_eq!(ignores.is_ignored(&RepoPath::parse(text).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn faulty_files() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "ok\n[z-a]\n").unwrap();
        let error = Ignores::of(dir.path()).rules(dir.path()).unwrap_err();
        assert!(error.what.starts_with(".reproignore:2: invalid pattern"), "{}", error.what);
    }

    proptest! {
        /// The check of the first and last byte passes over no match.
        #[test]
        fn default_patterns_are_all_tried(name in "[.#~_a4T][.a-z#~_0-9]{0,8}[.#~_ap]?") {
            let matches = DEFAULTS.iter().any(|pattern| fast_glob::glob_match(pattern, &name));
            prop_assert_eq!(is_ignored_by_default(&name), matches);
        }
    }
}
