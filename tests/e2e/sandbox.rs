//! A project in a temporary directory, and `repro` run in it as a user would run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, test_kill_process};

pub struct Sandbox {
    dir: tempfile::TempDir,
}

/// Exit code and output of a command; `Display` renders them as one text for snapshots.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Sandbox {
    pub fn empty() -> Sandbox {
        Sandbox { dir: tempfile::tempdir().unwrap() }
    }

    pub fn with(pipeline: &str) -> Sandbox {
        let sandbox = Sandbox::empty();
        sandbox.write("pipeline.toml", pipeline);
        sandbox
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|err| panic!("{path}: {err}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn remove(&self, path: &str) {
        let path = self.path(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub fn fifo(&self, name: &str) {
        rustix::fs::mknodat(
            rustix::fs::CWD,
            self.path(name),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
    }

    /// Reads a FIFO until its writers have closed it, within the time limit.
    pub fn read_fifo(&self, name: &str) -> String {
        let path = self.path(name);
        deadline::within(move || fs::read_to_string(path).unwrap())
    }

    /// Replaces the only occurrence of `from` in a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}");
        self.write(path, text.replace(from, to));
    }

    /// Returns `repro` with a clean environment: only `PATH` is inherited.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_repro"));
        command.args(args).current_dir(self.root()).env_clear().stdin(Stdio::null());
        command
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.root())
            .env("LC_ALL", "C");
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CEILING_DIRECTORIES", "/");
        command
    }

    pub fn repro(&self, args: &[&str]) -> Done {
        self.finish(&mut self.command(args))
    }

    /// Runs a command to its end, within the time limit.
    pub fn finish(&self, command: &mut Command) -> Done {
        self.done(deadline::output(command))
    }

    /// Runs `repro` and requires that it succeeds.
    pub fn ok(&self, args: &[&str]) -> Done {
        let done = self.repro(args);
        assert_eq!(done.code, 0, "{args:?}\n{done}");
        done
    }

    pub fn git(&self, args: &[&str]) {
        let identity = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.org",
            "-c",
            "init.defaultBranch=main",
        ];
        let mut git = Command::new("git");
        git.args(identity)
            .args(args)
            .current_dir(self.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = deadline::output(&mut git);
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub fn done(&self, output: Output) -> Done {
        let root = self.root();
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap().replace(root.to_str().unwrap(), "$ROOT")
        };
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Returns the lines of the file `ran` and removes it; commands append to it to record that
    /// they ran.
    pub fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("ran")).unwrap_or_default();
        let _ = fs::remove_file(self.path("ran"));
        text.lines().map(str::to_owned).collect()
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}", self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                write!(f, "\n--- {name}\n{}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

/// Prints that a test is skipped because the machine lacks something; panics if `CI` is set.
pub fn untested(lack: &str) {
    assert!(std::env::var_os("CI").is_none(), "not tested: {lack}");
    eprintln!("not tested: {lack}");
}

/// Returns the relative path of every regular file below a directory, sorted.
pub fn files(dir: &Path) -> Vec<String> {
    let mut files: Vec<String> = walkdir::WalkDir::new(dir)
        .into_iter()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    files
}

/// Reports whether a process has ended. One that nobody has reaped yet counts as ended.
pub fn is_gone(pid: Pid) -> bool {
    let exists = test_kill_process(pid).is_ok();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let state = stat.unwrap_or_default();
    let state = state.rsplit(')').next().unwrap_or_default().trim_start();
    !exists || state.is_empty() || state.starts_with(['Z', 'X'])
}

/// Asserts an inline snapshot, with times, dates, attempts, process ids and table widths masked.
#[macro_export]
macro_rules! snapshot {
    ($done:expr, @$expected:literal) => {
        insta::with_settings!({ filters => vec![
            (r"\b\d+h\d\dm\b|\b\d+m\d\ds\b|\b\d+(\.\d)?s\b|\b\d+ms\b", "[time]"),
            (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "[date]"),
            // How often a request is repeated depends on the time that each attempt takes.
            (r"\b\d+ attempts in \[time\]", "[n] attempts in [time]"),
            (r"pid \d+", "pid [pid]"),
            (r"process \d+ \(`.*`\)", "process [pid] (`[name]`)"),
            // Widths and bars depend on the times.
            (r" {2,}━+", ""),
            (r" {2,}", " "),
            (r"-{3,}", "---"),
        ] }, { insta::assert_snapshot!($done.to_string(), @$expected) })
    };
}
