//! A project on disk, loaded: its pipeline, its lock, its workspace and its cache.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::pipeline::{self, Links, Override, Pipeline, Problem, World};
use crate::plan::{Lock, lock};
use crate::repo_path::RepoPath;
use crate::workspace::Workspace;
use crate::workspace::run_lock::{self, RunLock};
use crate::workspace::write::{self, Durability};

const CACHE: &str = "cache";
/// Kinds of links, separated by commas.
const LINKS: &str = "REPRO_CACHE_LINK";

#[derive(Debug)]
pub struct Project {
    pub root: PathBuf,
    pub pipeline: Pipeline,
    pub workspace: Workspace,
    pub cache: Cache,
    pub lock: Lock,
    pub answers: Answers,
    /// How files come from the cache into the workspace.
    pub links: Links,
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
        let links = links(&pipeline)?;
        let answers = Answers::default();
        Ok(Project { root: root.to_owned(), pipeline, workspace, cache, lock, answers, links })
    }

    /// Reads everything but the pipeline under the run lock, so that no other run's result is taken for the state before this
    /// one. A faulty pipeline is told before anything is touched.
    pub fn load_exclusively(root: &Path, overrides: &[Override]) -> Result<(Project, RunLock)> {
        let pipeline = load_pipeline(root, overrides)?;
        let held = hold(root)?;
        Ok((Project::of(root, pipeline)?, held))
    }

    /// Reads everything again under a lock that is held already.
    pub fn reload(root: &Path, _held: &RunLock, overrides: &[Override]) -> Result<Project> {
        Project::load(root, overrides)
    }

    pub fn save_lock(&self, lock: &Lock) -> Result<()> {
        write::atomic(&self.root.join(lock::FILE), lock.encode().as_bytes(), Durability::Synced)
    }

    /// Where the processes of running stages are marked.
    pub fn markers(&self) -> PathBuf {
        self.root.join(CACHE).join("tmp/running")
    }
}

/// Those of the pipeline, unless this user, on this machine, wants others.
fn links(pipeline: &Pipeline) -> Result<Links> {
    match std::env::var(LINKS) {
        Ok(words) if !words.trim().is_empty() => Links::parse(words.split(',').map(str::trim))
            .map_err(|bad| Error::usage(format!("the variable `{LINKS}` {bad}")).hint(bad.hint())),
        _ => Ok(pipeline.links.clone()),
    }
}

/// Takes the run lock of the project at `root`.
pub fn hold(root: &Path) -> Result<RunLock> {
    run_lock::take(&root.join(CACHE).join("run.lock"))
}

/// The pipeline that `pipeline.toml` declares.
pub fn load_pipeline(root: &Path, overrides: &[Override]) -> Result<Pipeline> {
    let exists = |dep: Option<&RepoPath>| dep.is_none_or(|dep| dep.under(root).symlink_metadata().is_ok());
    parse(root, &text(root)?, overrides, &exists)
}

/// The text of `pipeline.toml`.
pub fn text(root: &Path) -> Result<String> {
    let path = root.join(pipeline::FILE);
    let bytes = std::fs::read(&path).map_err(|err| Error::io("read", &path, &err))?;
    String::from_utf8(bytes).map_err(|err| {
        let valid = err.utf8_error().valid_up_to();
        let line = 1 + err.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count();
        let problem = Problem::new(line, "is not UTF-8").hint("save the file as UTF-8");
        pipeline::problem::report(vec![problem])
    })
}

/// The pipeline that a text declares in this project; `exists` as in [`pipeline::World`].
pub fn parse(
    root: &Path,
    text: &str,
    overrides: &[Override],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
) -> Result<Pipeline> {
    parse_noting(root, text, overrides, exists, &RefCell::default())
}

/// As [`parse`]; notes each further file that it asks for.
pub(super) fn parse_noting(
    root: &Path,
    text: &str,
    overrides: &[Override],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
    noted: &RefCell<BTreeSet<RepoPath>>,
) -> Result<Pipeline> {
    let read = |path: &RepoPath| {
        noted.borrow_mut().insert(path.clone());
        std::fs::read_to_string(path.under(root)).map_err(|err| err.to_string())
    };
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

pub fn load_lock(root: &Path) -> Result<Lock> {
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
