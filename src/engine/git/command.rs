//! Runs `git` and reads its answers.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

/// The user's `git`, started in a directory.
#[derive(Debug, Clone)]
pub(super) struct Git {
    dir: PathBuf,
    /// A file to use as the index instead of the user's.
    index: Option<PathBuf>,
}

impl Git {
    pub(super) fn at(dir: &Path) -> Git {
        Git { dir: dir.to_owned(), index: None }
    }

    pub(super) fn with_index(&self, index: &Path) -> Git {
        Git { dir: self.dir.clone(), index: Some(index.to_owned()) }
    }

    /// Runs git and returns its answer, whatever its exit code.
    ///
    /// # Errors
    /// Git cannot be started.
    pub(super) fn output(&self, args: &[impl AsRef<OsStr>]) -> Result<Output> {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.dir).args(args).stdin(Stdio::null());
        git.env("GIT_OPTIONAL_LOCKS", "0");
        git.envs(self.index.iter().map(|index| ("GIT_INDEX_FILE", index)));
        git.output().map_err(|err| Error::environment("cannot start `git`").because(err))
    }

    /// Returns what git prints; `None` if it fails.
    pub(super) fn bytes(&self, args: &[impl AsRef<OsStr>]) -> Option<Vec<u8>> {
        let answer = self.output(args).ok()?;
        answer.status.success().then_some(answer.stdout)
    }

    /// Returns the line that git prints; `None` if it fails.
    pub(super) fn line(&self, args: &[impl AsRef<OsStr>]) -> Option<String> {
        let text = String::from_utf8(self.bytes(args)?).ok()?;
        Some(text.trim_end_matches(['\n', '\r']).to_owned())
    }
}
