//! The error type of all modules, and the exit codes.
//! Modules return errors; only `cli` renders them and exits the process.

use std::fmt;
use std::path::Path;

/// Exit codes. They are part of the documented interface.
pub mod exit {
    pub const OK: u8 = 0;
    pub const STAGE_FAILED: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const ENVIRONMENT: u8 = 3;
    pub const CHECK: u8 = 4;
    pub const INTERRUPTED: u8 = 130;
}

/// Origin of an error, which determines the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command line, `pipeline.toml` or another file of the user.
    Usage,
    /// A run, a stage or another thing that the user names does not exist.
    Missing,
    /// The disk, the database, the operating system.
    Environment,
    /// A cache object does not match its digest, or is missing.
    Damaged,
}

/// An error for the user: the fact, its causes, and a remedy.
#[derive(Debug, Clone)]
pub struct Error {
    pub kind: Kind,
    pub what: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
    /// Further errors of equal importance.
    pub others: Vec<Error>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(kind: Kind, what: impl Into<String>) -> Error {
        Error { kind, what: what.into(), causes: Vec::new(), hint: None, others: Vec::new() }
    }

    pub fn usage(what: impl Into<String>) -> Error {
        Error::new(Kind::Usage, what)
    }

    pub fn missing(what: impl Into<String>) -> Error {
        Error::new(Kind::Missing, what)
    }

    pub fn environment(what: impl Into<String>) -> Error {
        Error::new(Kind::Environment, what)
    }

    pub fn damaged(what: impl Into<String>) -> Error {
        Error::new(Kind::Damaged, what)
    }

    /// Combines several errors: the first one, with the others beside it.
    ///
    /// # Panics
    /// If `errors` is empty.
    pub fn several(errors: impl IntoIterator<Item = Error>) -> Error {
        let mut errors = errors.into_iter();
        let Some(mut first) = errors.next() else {
            panic!("BUG: a failure without an error");
        };
        first.others.extend(errors);
        first
    }

    /// Returns the I/O error `cannot VERB `PATH``, caused by `err`.
    pub fn io(verb: &str, path: &Path, err: &std::io::Error) -> Error {
        let error = Error::environment(format!("cannot {verb} `{}`", path.display())).because(err);
        match err.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                error.hint(free_space(path))
            }
            // Not a regular file: see `regular_file`.
            std::io::ErrorKind::InvalidInput if err.raw_os_error().is_none() => {
                error.hint("remove it")
            }
            std::io::ErrorKind::PermissionDenied => error.hint(check_mode(path)),
            std::io::ErrorKind::ReadOnlyFilesystem => error.hint(format!(
                "`{}` is on a disk that is mounted read-only",
                guard(path).display()
            )),
            _ if err.raw_os_error() == Some(rustix::io::Errno::FBIG.raw_os_error()) => {
                error.hint(FILE_SIZE_LIMIT)
            }
            _ if err.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => error.hint(
                "raise the limit of open files (`ulimit -n`), or run fewer stages at once (`-j`)",
            ),
            _ => error,
        }
    }

    /// Like [`Error::io`], for a file that is copied into the directory `into`, perhaps on another
    /// disk.
    pub fn io_into(into: &Path, verb: &str, path: &Path, err: &std::io::Error) -> Error {
        match err.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Error::io(verb, path, err).hint(free_space(into))
            }
            // The file itself can be read, so the directory refuses.
            std::io::ErrorKind::PermissionDenied
                if rustix::fs::access(path, rustix::fs::Access::READ_OK).is_ok() =>
            {
                Error::io(verb, path, err).hint(check_mode(into))
            }
            _ => Error::io(verb, path, err),
        }
    }

    /// Returns the error for a thread that cannot be started.
    pub fn thread(err: &std::io::Error) -> Error {
        Error::environment("cannot start a thread").because(err).hint(MORE_PROCESSES)
    }

    /// Returns the error for work that panicked, which its thread has reported.
    pub fn panicked() -> Error {
        Error::environment("the request failed because of a bug in `repro`")
    }

    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Error {
        self.causes.push(cause.to_string());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    pub fn exit_code(&self) -> u8 {
        match self.kind {
            Kind::Usage | Kind::Missing => exit::USAGE,
            Kind::Environment | Kind::Damaged => exit::ENVIRONMENT,
        }
    }
}

/// Remedy when a file cannot grow.
pub const FILE_SIZE_LIMIT: &str =
    "the file size limit is reached: raise it (`ulimit -f`, or the maximum of the file system)";

/// Remedy when no process or thread can be started.
pub const MORE_PROCESSES: &str = "the limit on processes and threads is reached: raise it \
     (`ulimit -u`, or `pids.max` of a container), or run fewer stages at once (`-j`)";

fn free_space(path: &Path) -> String {
    format!(
        "free space on the disk of `{}`, then repeat the command; `repro gc` counts cache \
         entries that can be deleted",
        path.display()
    )
}

fn check_mode(path: &Path) -> String {
    format!("check the owner and mode of `{}`", guard(path).display())
}

/// Returns the existing path whose permissions decide about access to `path`: itself, or the
/// nearest directory above it.
fn guard(path: &Path) -> &Path {
    path.ancestors()
        .find(|path| path.symlink_metadata().is_ok())
        .filter(|found| !found.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for cause in &self.causes {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Returns the candidate that `word` most likely misspells; `None` if none is similar enough. Case
/// counts less than other differences.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let likeness = |candidate: &str| {
        let exact = strsim::normalized_damerau_levenshtein(word, candidate);
        let folded = strsim::normalized_damerau_levenshtein(&lower, &candidate.to_lowercase());
        exact.max(folded * 0.99)
    };
    candidates
        .into_iter()
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestion_for_misspelled_word() {
        let words = ["epochs", "batch_size", "learning_rate"];
        assert_eq!(did_you_mean("epoch", words), Some("epochs"));
        assert_eq!(did_you_mean("batchsize", words), Some("batch_size"));
        assert_eq!(did_you_mean("EPOCHS", words), Some("epochs"));
        assert_eq!(did_you_mean("LR", ["lr", "lR"]), Some("lR"));
        assert_eq!(did_you_mean("zzz", words), None);
    }
}
