//! A project on disk, loaded: its pipeline, its lock, its workspace and its cache.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::pipeline::{self, Override, Pipeline, Problem, World};
use crate::plan::{Lock, lock};
use crate::repo_path::RepoPath;
use crate::workspace::Workspace;
use crate::workspace::run_lock::{self, RunLock};
use crate::workspace::write::{self, Durability};

const CACHE: &str = "cache";

#[derive(Debug)]
pub struct Project {
    pub root: PathBuf,
    pub pipeline: Pipeline,
    pub workspace: Workspace,
    pub cache: Cache,
    pub lock: Lock,
    pub answers: Answers,
}

/// What tools have answered so far: each is asked once.
#[derive(Debug, Default)]
pub struct Answers(Mutex<BTreeMap<String, String>>);

impl Answers {
    pub(super) fn get(&self, tool: &str, ask: impl FnOnce() -> Result<String>) -> Result<String> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = answers.get(tool) {
            return Ok(answer.clone());
        }
        let answer = ask()?;
        answers.insert(tool.to_owned(), answer.clone());
        Ok(answer)
    }
}

impl Project {
    /// Reads everything and changes nothing.
    pub fn load(root: &Path, overrides: &[Override]) -> Result<Project> {
        Project::of(root, load_pipeline(root, overrides)?)
    }

    fn of(root: &Path, pipeline: Pipeline) -> Result<Project> {
        let lock = load_lock(root)?;
        let made = pipeline.stages.iter().flat_map(|stage| &stage.outs).map(|out| out.path.clone());
        // Also what the lock alone still knows of: `checkout` brings it back.
        let locked = lock.stages.values().flat_map(|trace| trace.outs.keys().cloned());
        let workspace = Workspace::open(root, made.chain(locked).collect(), &root.join(CACHE).join("index"));
        let cache = Cache::open(&root.join(CACHE));
        Ok(Project { root: root.to_owned(), pipeline, workspace, cache, lock, answers: Answers::default() })
    }

    /// Reads everything but the pipeline under the run lock, so that no other run's result is taken for the state before this
    /// one. A faulty pipeline is told before anything is touched.
    pub fn load_exclusively(root: &Path, overrides: &[Override]) -> Result<(Project, RunLock)> {
        let pipeline = load_pipeline(root, overrides)?;
        let held = run_lock::take(&root.join(CACHE).join("run.lock"))?;
        Ok((Project::of(root, pipeline)?, held))
    }

    pub fn save_lock(&self, lock: &Lock) -> Result<()> {
        write::atomic(&self.root.join(lock::FILE), lock.encode().as_bytes(), Durability::Synced)
    }

    /// Where the processes of running stages are marked.
    pub fn markers(&self) -> PathBuf {
        self.root.join(CACHE).join("tmp/running")
    }
}

/// The text of `pipeline.toml`, and the pipeline that it declares.
pub fn load_pipeline(root: &Path, overrides: &[Override]) -> Result<Pipeline> {
    let path = root.join(pipeline::FILE);
    let bytes = std::fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
    let text = std::str::from_utf8(&bytes).map_err(|err| {
        let line = 1 + bytes[..err.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        let problem = Problem::new(line, "is not UTF-8").hint("save the file as UTF-8");
        pipeline::problem::report(vec![problem])
    })?;
    let exists = |dep: Option<&RepoPath>| dep.is_none_or(|dep| dep.under(root).symlink_metadata().is_ok());
    parse(root, text, overrides, &exists)
}

/// The pipeline that a text declares in this project; `exists` as in [`pipeline::World`].
pub fn parse(
    root: &Path,
    text: &str,
    overrides: &[Override],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
) -> Result<Pipeline> {
    let read = |path: &RepoPath| std::fs::read_to_string(path.under(root)).map_err(|err| err.to_string());
    let list = |folder: &RepoPath| options(root, folder);
    pipeline::parse(text, overrides, World { exists, read: &read, list: &list })
        .map_err(pipeline::problem::report)
}

/// The names of the `.toml` files in a folder, without the ending.
pub fn options(root: &Path, folder: &RepoPath) -> Vec<String> {
    let entries = std::fs::read_dir(folder.under(root)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names
}

fn load_lock(root: &Path) -> Result<Lock> {
    let path = root.join(lock::FILE);
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Lock::default()),
        Err(err) => return Err(Error::io("read", &path, &err)),
    };
    Lock::decode(&text).map_err(|bad| {
        Error::usage(format!("{}:{}: {}", lock::FILE, bad.line, bad.what))
            .hint("settle it in git, or delete the file: the next `repro run` writes it anew, mostly from the cache")
    })
}
