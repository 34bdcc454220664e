//! Paths without links, also of what does not exist.

use std::path::{Component, Path, PathBuf};

/// Returns an absolute path without links and `..`. Its last parts need not exist.
pub fn real_path(path: &Path) -> PathBuf {
    let real = |folder: &Path| Some((folder.to_owned(), folder.canonicalize().ok()?));
    let (existing, mut resolved) = path.ancestors().find_map(real).unwrap_or_default();
    for part in path.strip_prefix(&existing).unwrap_or(path).components() {
        match part {
            Component::ParentDir => drop(resolved.pop()),
            part => resolved.push(part),
        }
    }
    resolved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_parts_are_resolved() {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", real.join("link")).unwrap();
        for (path, expected) in [
            ("a/../x", "x"),
            ("x/../y/z", "y/z"),
            ("link/../x", "a/x"),
            ("link", "a/b"),
            ("link/x/../../y", "a/y"),
        ] {
            assert_eq!(real_path(&real.join(path)), real.join(expected), "{path}");
        }
    }
}
