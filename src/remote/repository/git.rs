//! Runs the user's `git` in a repository: nothing asks a person, nothing waits without an end, and
//! variables for another repository do not count.

use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Output, Stdio};

use crate::error::{Error, Result};
use crate::pipeline::GitUrl;

/// Seconds after which a silent server counts as lost.
const SILENCE: u32 = 60;
/// Variables that a hook of git sets, for the repository in which it runs.
const OF_HOOKS: [&str; 9] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Treatment of objects that git finds missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lazily {
    Fetches,
    Fails,
}

/// `git` in a folder.
#[derive(Debug)]
pub(super) struct Git {
    pub(super) folder: PathBuf,
    url: GitUrl,
}

impl Git {
    pub(super) fn at(folder: &Path, url: &GitUrl) -> Git {
        Git { folder: folder.to_owned(), url: url.clone() }
    }

    pub(super) fn command(&self, args: &[&str], lazily: Lazily) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.folder).args(args).stdin(Stdio::null());
        git.env("GIT_OPTIONAL_LOCKS", "0").env("LC_ALL", "C");
        if lazily == Lazily::Fails {
            git.env("GIT_NO_LAZY_FETCH", "1");
        }
        // A folder that is not a repository must not stand for one around it.
        let real = self.folder.canonicalize().ok();
        let above = real.and_then(|folder| Some(folder.parent()?.to_owned()));
        git.envs(above.map(|above| ("GIT_CEILING_DIRECTORIES", above)));
        for name in OF_HOOKS {
            git.env_remove(name);
        }
        let seconds = SILENCE.to_string();
        for (name, value) in [
            // A run must not wait for somebody to type a password.
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
            ("GIT_HTTP_LOW_SPEED_TIME", &*seconds),
        ] {
            if std::env::var_os(name).is_none() {
                git.env(name, value);
            }
        }
        if self.url.is_ssh() && !self.has_own_ssh() {
            let options = format!(
                "-o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval={} \
                 -o ServerAliveCountMax=3",
                SILENCE / 3
            );
            git.env("GIT_SSH_COMMAND", format!("ssh {options}"));
        }
        git
    }

    /// Reports whether the user has chosen the command for connections by ssh.
    fn has_own_ssh(&self) -> bool {
        let is_set = |name: &&str| std::env::var_os(name).is_some();
        ["GIT_SSH_COMMAND", "GIT_SSH"].iter().any(is_set)
            || Command::new("git")
                .arg("-C")
                .arg(&self.folder)
                .args(["config", "core.sshCommand"])
                .stdin(Stdio::null())
                .output()
                .is_ok_and(|answer| answer.status.success())
    }

    /// Returns the answer of a command that must succeed.
    ///
    /// # Errors
    /// The command fails, with git's own words.
    pub(super) fn checked(&self, git: &mut Command) -> Result<Output> {
        let answer = git.output().map_err(|err| no_git(&err))?;
        if answer.status.success() {
            return Ok(answer);
        }
        Err(self.refused(&String::from_utf8_lossy(&answer.stderr)))
    }

    /// Passes what a command prints to `read`. Git ends early if that fails.
    ///
    /// # Errors
    /// The command fails; errors of `read`.
    pub(super) fn streamed<T>(
        &self,
        git: &mut Command,
        read: impl FnOnce(BufReader<ChildStdout>) -> Result<T>,
    ) -> Result<T> {
        let spawned = git.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|err| no_git(&err))?;
        let Some(output) = child.stdout.take() else { panic!("BUG: `git` without a pipe") };
        let result = read(BufReader::new(output));
        let answer = child.wait_with_output().map_err(|err| no_git(&err))?;
        match result {
            Ok(_) if !answer.status.success() => {
                Err(self.refused(&String::from_utf8_lossy(&answer.stderr)))
            }
            result => result,
        }
    }

    /// Asks a command for objects by their ids, and passes the answers to `read`.
    ///
    /// # Errors
    /// Git cannot be started; errors of `read`.
    pub(super) fn asked<T>(
        &self,
        git: &mut Command,
        ids: &[&str],
        read: impl FnOnce(&mut BufReader<ChildStdout>) -> Result<T>,
    ) -> Result<T> {
        git.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = git.spawn().map_err(|err| no_git(&err))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            panic!("BUG: `git` without pipes");
        };
        let asked: String = ids.iter().map(|id| format!("{id}\n")).collect();
        let result = std::thread::scope(|scope| {
            scope.spawn(move || drop(input.write_all(asked.as_bytes())));
            // Dropped at the end, so that git does not wait for somebody to read.
            let mut output = BufReader::new(output);
            read(&mut output)
        });
        let _ = child.wait();
        result
    }

    /// Returns the error for a command that failed with this message.
    fn refused(&self, message: &str) -> Error {
        let line =
            message.lines().find(|line| line.starts_with("fatal:") || line.contains("ERROR"));
        let line = line.or_else(|| message.lines().next()).unwrap_or_default();
        let error = Error::environment(format!("git cannot read `{}`", self.url))
            .because(line.trim_start_matches("fatal: "));
        let safe = "git config --global --add safe.directory";
        let named = message.lines().map(str::trim).find(|line| line.starts_with(safe));
        match named {
            Some(command) => error.hint(format!("if you trust its owner: `{command}`")),
            None => {
                error.hint(format!("`git ls-remote {}` shows whether git can reach it", self.url))
            }
        }
    }
}

pub(super) fn no_git(err: &std::io::Error) -> Error {
    Error::environment("cannot start `git`").because(err)
}
