//! Parts of a split, and the names by which tables refer to clips.

use anyhow::{Context as _, Result};

/// Part of the split that a clip belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Used for training.
    Train,
    /// Held out to choose the best epoch and params.
    Validation,
    /// Held out from training and from that choice: used only to measure the finished model.
    Test,
    /// Not in the list that defines the split.
    Unused,
}

impl Part {
    /// Returns the name used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Part::Train => "train",
            Part::Validation => "val",
            Part::Test => "test",
            Part::Unused => "unused",
        }
    }

    pub(super) fn from_name(name: &str) -> Result<Part> {
        let known = [Part::Train, Part::Validation, Part::Test, Part::Unused];
        let found = known.into_iter().find(|part| part.name() == name);
        found.with_context(|| format!("`{name}` is not one of `train`, `val`, `test`, `unused`"))
    }
}

/// Strips the extension from a clip's relative path, so that spectrograms and audio files match.
pub(super) fn clip_name(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    path[file..].rfind('.').map_or(path, |dot| &path[..file + dot])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_names() {
        for (path, name) in [
            ("a/b.wav", "a/b"),
            ("a.b/c", "a.b/c"),
            ("a/b.00001.npy", "a/b.00001"),
            ("b", "b"),
            ("é/.x", "é/"),
        ] {
            assert_eq!(clip_name(path), name);
        }
    }
}
