//! A project on disk, loaded: its pipeline, its lock, its workspace and its cache.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::Cache;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::{
    self, FileSource, Links, Override, ParamKey, ParamValue, Pipeline, Problem, StageIx, StageName,
    StageSet,
};
use crate::plan::lock::{BadLock, Blocks};
use crate::plan::snapshot::Inputs;
use crate::plan::{Lock, PipelineSnapshot, Trace, lock};
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
    /// What it says of the stages of `pipeline`, and of those that are declared no more.
    pub lock: Lock,
    /// All of its text.
    pub blocks: Arc<Blocks>,
    pub up_to_date: UpToDate,
    pub answers: Answers,
    /// How files come from the cache into the workspace.
    pub links: Links,
}

/// What was left out of a project that was loaded in part: stages that are up to date.
#[derive(Debug, Default)]
pub struct UpToDate {
    of: Option<Arc<PipelineSnapshot>>,
    /// In the order of the graph.
    fresh: Vec<StageIx>,
}

impl UpToDate {
    pub(super) fn of(checked: Arc<PipelineSnapshot>, stale: &StageSet) -> UpToDate {
        let fresh = checked.order().filter(|&ix| !stale.contains(ix)).collect();
        UpToDate { of: Some(checked), fresh }
    }

    pub fn count(&self) -> usize {
        self.fresh.len()
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of.iter().flat_map(|of| self.fresh.iter().map(|&ix| of.name(ix)))
    }
}

/// What loading comes to.
pub(super) struct Parts {
    pub pipeline: Pipeline,
    pub workspace: Workspace,
    pub lock: Lock,
    pub blocks: Arc<Blocks>,
    pub up_to_date: UpToDate,
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

/// By what it is told where stages write, so that everything there counts, whatever its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// A run forgets what is declared no more: what it read there by the lock, the next one would find changed.
    AsDeclared,
    OrLocked,
}

impl Project {
    /// Reads everything and changes nothing.
    pub fn load(root: &Path, overrides: &[Override]) -> Result<Project> {
        Project::whole(root, load_pipeline(root, overrides)?, Made::AsDeclared)
    }

    fn whole(root: &Path, pipeline: Pipeline, by: Made) -> Result<Project> {
        let blocks = Arc::new(load_blocks(root)?);
        let lock = Lock::of(&blocks).map_err(bad_lock)?;
        let made = pipeline.stages.iter().flat_map(|stage| &stage.outs).map(|out| out.path.clone());
        let mut made: BTreeSet<RepoPath> = made.collect();
        if by == Made::OrLocked {
            made.extend(lock.stages.values().flat_map(|trace| trace.outs.keys().cloned()));
        }
        let workspace = Workspace::open(root, || made, &cache_dir(root).join("index"));
        Project::of(
            root,
            Parts { pipeline, workspace, lock, blocks, up_to_date: UpToDate::default() },
        )
    }

    pub(super) fn of(root: &Path, parts: Parts) -> Result<Project> {
        let Parts { pipeline, workspace, lock, blocks, up_to_date } = parts;
        let cache = Cache::open(&cache_dir(root));
        let links = links(&pipeline)?;
        let (root, answers) = (root.to_owned(), Answers::default());
        Ok(Project { root, pipeline, workspace, cache, lock, blocks, up_to_date, answers, links })
    }

    /// Reads everything but the pipeline under the run lock, so that no other run's result is taken for the state before this
    /// one. A faulty pipeline is told before anything is touched.
    pub fn load_exclusively(root: &Path, overrides: &[Override]) -> Result<(Project, RunLock)> {
        Project::whole_exclusively(root, overrides, Made::AsDeclared)
    }

    /// The same for who looks at the outs that the lock names, whether the pipeline still declares them or not.
    pub fn load_with_locked(root: &Path) -> Result<(Project, RunLock)> {
        Project::whole_exclusively(root, &[], Made::OrLocked)
    }

    fn whole_exclusively(
        root: &Path,
        overrides: &[Override],
        by: Made,
    ) -> Result<(Project, RunLock)> {
        let pipeline = load_pipeline(root, overrides)?;
        let held = hold(root)?;
        Ok((Project::whole(root, pipeline, by)?, held))
    }

    /// Reads everything again under a lock that is held already.
    pub fn reload(root: &Path, _held: &RunLock, overrides: &[Override]) -> Result<Project> {
        Project::load(root, overrides)
    }

    /// Writes the lock, when all that it refers to is on the disk.
    pub fn save_lock(&self, lock: &Lock) -> Result<()> {
        self.cache.sync()?;
        write::atomic(&self.root.join(lock::FILE), lock.encode().as_bytes(), Durability::Synced)
    }

    /// Writes the lock with some stages' traces replaced or, for `None`, forgotten.
    pub fn save_changes(&self, changes: &BTreeMap<StageName, Option<Trace>>) -> Result<()> {
        self.cache.sync()?;
        let text = self.blocks.with(changes.iter().map(|(name, trace)| (name, trace.as_ref())));
        write::atomic(&self.root.join(lock::FILE), text.as_bytes(), Durability::Synced)
    }

    /// The params that any stage reads, each once.
    pub fn used_params(&self) -> BTreeMap<ParamKey, ParamValue> {
        let mut params = self.pipeline.used_params();
        params.extend(self.up_to_date.of.iter().flat_map(|of| of.header.params.clone()));
        params
    }

    /// Where the processes of running stages are marked.
    pub fn markers(&self) -> PathBuf {
        self.root.join(CACHE).join("tmp/running")
    }
}

pub(super) fn cache_dir(root: &Path) -> PathBuf {
    root.join(CACHE)
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
    run_lock::acquire(&root.join(CACHE).join("run.lock"))
}

/// The pipeline that `pipeline.toml` declares.
pub fn load_pipeline(root: &Path, overrides: &[Override]) -> Result<Pipeline> {
    load_with_sources(root, overrides).map(|(pipeline, _)| pipeline)
}

/// What reading a pipeline has asked the disk.
#[derive(Default)]
pub(super) struct Asked {
    pub sources: Inputs,
    /// Paths that no stage makes and that are there.
    pub present: BTreeSet<RepoPath>,
}

/// The pipeline, and all that its reading has asked the disk.
pub(super) fn load_with_sources(root: &Path, overrides: &[Override]) -> Result<(Pipeline, Asked)> {
    let asked = RefCell::new(Asked::default());
    let keep = |path: RepoPath, text: &str| {
        asked.borrow_mut().sources.files.insert(path, Digest::of(text.as_bytes()));
    };
    let exists = |dep: Option<&RepoPath>| {
        let there = dep.is_none_or(|dep| dep.to_path(root).symlink_metadata().is_ok());
        asked.borrow_mut().present.extend(dep.filter(|_| there).cloned());
        there
    };
    let read = |path: &RepoPath| {
        let text = std::fs::read_to_string(path.to_path(root)).map_err(|err| err.to_string())?;
        keep(path.clone(), &text);
        Ok(text)
    };
    let list = |folder: &RepoPath| {
        let names = options(root, folder);
        asked.borrow_mut().sources.folders.insert(folder.clone(), names.clone());
        names
    };
    let text = text(root)?;
    keep(RepoPath::parse(pipeline::FILE).unwrap_or_else(|bad| panic!("BUG: {bad}")), &text);
    let world = FileSource { exists: &exists, read: &read, list: &list };
    let pipeline = pipeline::parse(&text, overrides, world).map_err(pipeline::problem::report)?;
    Ok((pipeline, asked.into_inner()))
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

/// The pipeline that a text declares in this project; `exists` as in [`pipeline::FileSource`].
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
        std::fs::read_to_string(path.to_path(root)).map_err(|err| err.to_string())
    };
    let list = |folder: &RepoPath| options(root, folder);
    pipeline::parse(text, overrides, FileSource { exists, read: &read, list: &list })
        .map_err(pipeline::problem::report)
}

/// The names of the `.toml` files in a folder, without the ending.
pub fn options(root: &Path, folder: &RepoPath) -> Vec<String> {
    let entries = std::fs::read_dir(folder.to_path(root)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".toml").map(str::to_owned)).collect();
    names.sort();
    names
}

pub fn load_lock(root: &Path) -> Result<Lock> {
    Lock::of(&load_blocks(root)?).map_err(bad_lock)
}

pub(super) fn load_blocks(root: &Path) -> Result<Blocks> {
    let path = root.join(lock::FILE);
    let text = match std::fs::read(&path) {
        Ok(bytes) => String::from_utf8(bytes)
            .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Blocks::default()),
        Err(err) => return Err(Error::io("read", &path, &err)),
    };
    Blocks::split(text).map_err(bad_lock)
}

pub(super) fn bad_lock(bad: BadLock) -> Error {
    Error::usage(format!("{}:{}: {}", lock::FILE, bad.line, bad.what)).hint(
        "settle it in git, or delete the file: the next `repro run` writes it anew, mostly from the cache",
    )
}
