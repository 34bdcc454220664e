//! A small project that uses most kinds of state, and the comparison with an undisturbed run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

/// A chain with a folder, items, a metric and an out without a copy in the cache. Stages take
/// long enough to be killed at work, and count their inputs so that a torn one shows.
const PIPELINE: &str = r#"
[params]
times = 3
[stages.copy]
cmd = "sleep 0.005; cat in.txt > copy.txt"
deps = ["in.txt"]
outs = ["copy.txt"]
[stages.folder]
cmd = '''
mkdir -p folder/deep
for i in $(seq {{ params.times }}); do cp copy.txt folder/$i.txt; sleep 0.003; done
cp copy.txt folder/deep/last
'''
deps = ["copy.txt"]
params = ["times"]
outs = ["folder"]
[stages.items]
each = "folder/*.txt"
cmd = "wc -c < {{ item.path }} > items/{{ item.stem }}.n"
outs = ["items/{{ item.stem }}.n"]
[stages.sum]
cmd = '''
sleep 0.005
ls -R folder items > sum.txt
cat items/* >> sum.txt
echo '{"files": '$(ls folder | wc -l)'}' > m.json
cat sum.txt > scratch.txt
'''
deps = ["folder", "items"]
outs = ["sum.txt", { path = "scratch.txt", cache = false }]
metrics = ["m.json"]
"#;

const OUTS: &[&str] = &["copy.txt", "folder", "items", "sum.txt", "scratch.txt", "m.json"];

pub struct Project {
    dir: TempDir,
}

/// Contents by path: what is compared.
pub type Contents = BTreeMap<String, Vec<u8>>;

impl Project {
    /// Creates a project with the input `text` and without state.
    pub fn new(text: &str) -> Project {
        let project = Project { dir: tempfile::tempdir().unwrap() };
        project.write("pipeline.toml", PIPELINE);
        project.write("in.txt", text);
        project
    }

    /// Creates a project that has run, also with another input and back, so that the cache and the
    /// history hold more than the present state.
    pub fn with_history(text: &str) -> Project {
        let project = Project::new("before\n");
        project.must_run();
        project.write("in.txt", text);
        // For the trash.
        project.write("copy.txt", "edited\n");
        project.must_run();
        project
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(path), bytes).unwrap();
    }

    /// Returns a copy with all state, made by `cp -a`.
    pub fn copied(&self) -> Project {
        let dir = tempfile::tempdir().unwrap();
        let from = format!("{}/.", self.root().display());
        let status = Command::new("cp").arg("-a").arg(from).arg(dir.path()).status().unwrap();
        assert!(status.success(), "cp failed");
        Project { dir }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).current_dir(self.root()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.root());
        command.env("GIT_CEILING_DIRECTORIES", "/").env("LC_ALL", "C");
        command
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs a command and returns its exit code and output.
    ///
    /// # Errors
    /// The command panicked, died of a signal, or returned a code that no page documents.
    pub fn run(&self, args: &[&str]) -> Result<(i32, String), String> {
        checked(args, &deadline::output(&mut self.command(args)))
    }

    pub fn must_run(&self) {
        let (code, text) = self.run(&["run"]).unwrap();
        assert_eq!(code, 0, "{text}");
    }

    /// Returns the outs and the lock.
    pub fn contents(&self) -> Contents {
        let mut contents = Contents::new();
        for path in OUTS.iter().copied().chain(["pipeline.lock"]) {
            for entry in walkdir::WalkDir::new(self.path(path)).into_iter().flatten() {
                let name = entry.path().strip_prefix(self.root()).unwrap().display().to_string();
                if entry.file_type().is_file() {
                    contents.insert(name, fs::read(entry.path()).unwrap());
                }
            }
        }
        contents
    }

    /// Brings the project up to date and compares it with an undisturbed run.
    ///
    /// # Errors
    /// The first difference.
    pub fn recovers(&self, expected: &Contents) -> Result<(), String> {
        let (code, text) = self.run(&["run"])?;
        if code != 0 {
            return Err(format!("the next run exits with {code}: {text}"));
        }
        self.equals(expected)?;
        let (code, text) = self.run(&["status", "--check"])?;
        if code != 0 {
            return Err(format!("after the next run, `status --check` exits with {code}: {text}"));
        }
        Ok(())
    }

    /// Checks that a text which was displaced can be brought back.
    ///
    /// # Errors
    /// The edit is not in the trash, or not in the cache.
    pub fn has_in_trash(&self, text: &str) -> Result<(), String> {
        let (code, json) = self.run(&["trash", "--json"])?;
        let entries: Vec<serde_json::Value> = serde_json::from_str(&json)
            .map_err(|err| format!("trash exits with {code}: {err}: {json}"))?;
        let digest = blake3::hash(text.as_bytes()).to_string();
        let is_it = |entry: &&serde_json::Value| entry["digest"] == digest;
        match entries.iter().find(is_it).map(|entry| &entry["missing"]) {
            Some(serde_json::Value::Bool(false)) => Ok(()),
            Some(_) => Err(format!("the cache lacks {text:?}")),
            None => Err(format!("{text:?} is not in the trash: {json}")),
        }
    }

    /// Compares the outs and the lock.
    ///
    /// # Errors
    /// The paths that differ.
    pub fn equals(&self, expected: &Contents) -> Result<(), String> {
        let found = self.contents();
        let paths: std::collections::BTreeSet<&String> =
            found.keys().chain(expected.keys()).collect();
        let differ: Vec<&&String> =
            paths.iter().filter(|path| found.get(**path) != expected.get(**path)).collect();
        if differ.is_empty() { Ok(()) } else { Err(format!("wrong contents: {differ:?}")) }
    }

    /// Checks that the cache is intact, or is after a repair.
    ///
    /// # Errors
    /// The message of `fsck`.
    pub fn is_intact(&self) -> Result<(), String> {
        let (code, text) = self.run(&["fsck"])?;
        if code == 0 { Ok(()) } else { Err(format!("fsck exits with {code}: {text}")) }
    }
}

pub fn program() -> PathBuf {
    std::env::var_os("TORTURE_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_repro")), PathBuf::from)
}

/// Returns the exit code and the whole output of a command that has ended.
///
/// # Errors
/// The command panicked, died of a signal, or returned a code that no page documents.
pub fn checked(args: &[&str], output: &Output) -> Result<(i32, String), String> {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    match output.status.code() {
        Some(code @ (0..=4 | 130)) if !text.contains("panicked") && !text.contains("BUG:") => {
            Ok((code, text))
        }
        _ => Err(format!("`repro {}` ended with {}: {text}", args.join(" "), output.status)),
    }
}

/// Returns what an undisturbed run makes of the input `text`.
pub fn undisturbed(text: &str) -> Contents {
    let project = Project::new(text);
    project.must_run();
    project.contents()
}
