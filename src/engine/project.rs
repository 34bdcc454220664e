//! A loaded project: its pipeline, lock, workspace and cache.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::external;
use super::makers::Makers;
use super::shared_cache;
use super::trash_file::TrashFile;
use super::worktree::place;
use crate::cache::Cache;
use crate::data::Format;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::pipeline::{
    self, Declared, FileSource, Goals, Links, Override, ParamKey, ParamValue, PathEntry, Pipeline,
    Problem, Stage, StageIx, StageName, StageSet,
};
use crate::plan::lock::{BadLock, Blocks};
use crate::plan::snapshot::Inputs;
use crate::plan::{Lock, PipelineSnapshot, Trace, lock, lock_conflict, lock_template};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::workspace::edit_lock::{self, EditLock};
use crate::workspace::run_lock::{self, RunLock};
use crate::workspace::write::{self, Durability, Staging};
use crate::workspace::{Workspace, links};

/// Environment variable with kinds of links, separated by commas; overrides `[cache] link`.
const LINKS: &str = "REPRO_CACHE_LINK";

#[derive(Debug)]
pub struct Project {
    pub root: PathBuf,
    /// Root of the project whose history the runs of this one are recorded in, and whose cache it
    /// uses: the main project for a worktree, else this one.
    pub history: PathBuf,
    pub pipeline: Pipeline,
    pub workspace: Workspace,
    pub cache: Cache,
    pub trash: TrashFile,
    /// Traces of the stages in `pipeline`, and of stages that are no longer declared.
    pub lock: Lock,
    /// The whole text of the lock, by block.
    pub blocks: Arc<Blocks>,
    pub up_to_date: UpToDate,
    pub answers: Answers,
    pub(super) makers: Makers,
    /// Kinds of links by which files come from the cache into the workspace.
    pub links: Links,
}

/// Stages that are up to date and were left out of a partly loaded project.
#[derive(Debug, Default)]
pub struct UpToDate {
    of: Option<Arc<PipelineSnapshot>>,
    /// In the order of the graph.
    fresh: Vec<StageIx>,
}

impl UpToDate {
    pub(super) fn of(snapshot: Arc<PipelineSnapshot>, stale: &StageSet) -> UpToDate {
        let fresh = snapshot.order().filter(|&ix| !stale.contains(ix)).collect();
        UpToDate { of: Some(snapshot), fresh }
    }

    pub fn count(&self) -> usize {
        self.fresh.len()
    }

    /// Returns the outs of the stages that `reader` does not need, with the names of the stages.
    pub(super) fn outs_not_needed_by(&self, reader: &StageName) -> Vec<(RepoPath, &str)> {
        let Some(of) = self.of.as_ref() else { return Vec::new() };
        let mut open: Vec<StageIx> =
            of.by_name().filter(|&ix| of.name(ix) == reader.as_str()).collect();
        let mut needed = StageSet::none(of.count());
        while let Some(ix) = open.pop() {
            if needed.insert(ix) {
                open.extend(of.needs(ix));
            }
        }
        let others = self.fresh.iter().filter(|&&ix| !needed.contains(ix));
        let outs = others.flat_map(|&ix| {
            let outs = of.template(ix).into_iter().flat_map(|(text, _)| lock_template::outs(text));
            outs.filter_map(RepoPath::parse_canonical).map(move |out| (out, of.name(ix)))
        });
        outs.collect()
    }

    /// Returns the stages that have metrics.
    pub(super) fn with_metrics(&self) -> Vec<Stage> {
        let Some(of) = &self.of else { return Vec::new() };
        let mut chosen = StageSet::none(of.count());
        let fresh = self.fresh.iter().filter(|ix| of.header.with_metrics.contains(ix));
        for &ix in fresh {
            chosen.insert(ix);
        }
        if chosen.is_empty() {
            return Vec::new();
        }
        of.part(&chosen).map_or_else(Vec::new, |pipeline| pipeline.stages)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.of.iter().flat_map(|of| self.fresh.iter().map(|&ix| of.name(ix)))
    }
}

/// The parts that loading produces.
pub(super) struct Parts {
    pub pipeline: Pipeline,
    pub workspace: Workspace,
    pub lock: Lock,
    pub blocks: Arc<Blocks>,
    pub up_to_date: UpToDate,
}

/// Outputs of `tools` commands so far; each command runs once.
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

/// Which out paths to treat as written by stages; the default ignore list does not apply in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    /// The declared outs. A run uses these, since it drops undeclared stages from the lock, and the
    /// next run must see the same files.
    AsDeclared,
    OrLocked,
}

impl Project {
    /// Reads the whole project and changes nothing.
    pub fn load(root: &Path, overrides: &[Override]) -> Result<Project> {
        Project::whole(root, load_pipeline(root, overrides)?, Made::AsDeclared)
    }

    fn whole(root: &Path, pipeline: Pipeline, by: Made) -> Result<Project> {
        let blocks = Arc::new(load_blocks(root)?);
        let lock = Lock::of(&blocks).map_err(bad_lock)?;
        let outs = pipeline.stages.iter().flat_map(|stage| &stage.outs);
        let paths = outs.flat_map(|out| std::iter::once(&out.path).chain(&out.real));
        let mut made: BTreeSet<RepoPath> = paths.cloned().collect();
        if by == Made::OrLocked {
            made.extend(lock.stages.values().flat_map(|trace| trace.outs.keys().cloned()));
        }
        let workspace = Workspace::open(root, || made, &cache_dir(root));
        Project::of(
            root,
            Parts { pipeline, workspace, lock, blocks, up_to_date: UpToDate::default() },
        )
    }

    pub(super) fn of(root: &Path, parts: Parts) -> Result<Project> {
        let Parts { pipeline, workspace, lock, blocks, up_to_date } = parts;
        let history = place::home(root);
        let setting = pipeline.cache_dir.as_deref();
        let cache = shared_cache::open(root, &history, &cache_dir(&history), setting)?;
        let links = links(&pipeline)?;
        let trash = trash_file(root);
        Ok(Project {
            root: root.to_owned(),
            history,
            pipeline,
            workspace,
            cache,
            trash,
            lock,
            blocks,
            up_to_date,
            answers: Answers::default(),
            makers: Makers::default(),
            links,
        })
    }

    /// Takes the run lock and then reads everything but the pipeline, so that the state of another
    /// run in progress is not taken for the state before this one. A faulty pipeline is reported
    /// first.
    pub fn load_exclusively(root: &Path, overrides: &[Override]) -> Result<(Project, RunLock)> {
        Project::whole_exclusively(root, overrides, Made::AsDeclared)
    }

    /// Does the same for commands that use the outs in the lock, declared or not.
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
        external::link_all(root, &pipeline.external, &held)?;
        let project = Project::whole(root, pipeline, by)?;
        project.cache.join()?;
        Ok((project, held))
    }

    /// Reads everything again under a run lock that is already held.
    pub fn reload(root: &Path, held: &RunLock, overrides: &[Override]) -> Result<Project> {
        let project = Project::load(root, overrides)?;
        external::link_all(root, &project.pipeline.external, held)?;
        project.cache.join()?;
        Ok(project)
    }

    /// Does the same for commands that use the outs in the lock, declared or not.
    pub fn reload_with_locked(root: &Path, _held: &RunLock) -> Result<Project> {
        let project = Project::whole(root, load_pipeline(root, &[])?, Made::OrLocked)?;
        project.cache.join()?;
        Ok(project)
    }

    /// Writes the lock after syncing everything that it refers to.
    pub fn save_lock(&self, lock: &Lock) -> Result<()> {
        self.cache.sync()?;
        self.write_lock(&lock.encode())
    }

    /// Writes the lock with the traces of some stages replaced or, for `None`, removed.
    pub fn save_changes(&self, changes: &BTreeMap<StageName, Option<Trace>>) -> Result<()> {
        self.cache.sync()?;
        let text = self.blocks.with(changes.iter().map(|(name, trace)| (name, trace.as_ref())));
        self.write_lock(&text)
    }

    fn write_lock(&self, text: &str) -> Result<()> {
        let path = self.root.join(lock::FILE);
        self.workspace.staging().write(&path, text.as_bytes(), Durability::Synced)
    }

    /// Returns the params that any stage reads, each once.
    pub fn used_params(&self) -> BTreeMap<ParamKey, ParamValue> {
        let mut params = self.pipeline.used_params();
        params.extend(self.up_to_date.of.iter().flat_map(|of| of.header.params.clone()));
        params
    }

    /// Returns the folder with the marker files of running stages.
    pub fn markers(&self) -> PathBuf {
        place::markers(&self.root)
    }
}

/// Returns the folder of the project's own state and, unless it shares one, of its cache.
pub(super) fn cache_dir(root: &Path) -> PathBuf {
    root.join(place::STATE)
}

/// Opens the cache of the project at `root`; its own if `pipeline.toml` is not valid.
pub fn open_cache(root: &Path) -> Result<Cache> {
    let pipeline = load_pipeline(root, &[]).ok();
    let dir = pipeline.as_ref().and_then(|pipeline| pipeline.cache_dir.as_deref());
    let home = place::home(root);
    shared_cache::open(root, &home, &cache_dir(&home), dir)
}

/// Returns the trash of the project at `root`.
pub(super) fn trash_file(root: &Path) -> TrashFile {
    TrashFile::at(cache_dir(root).join("trash"))
}

/// Returns the kinds of links from the environment, or else from the pipeline.
fn links(pipeline: &Pipeline) -> Result<Links> {
    match std::env::var(LINKS) {
        Ok(words) if !words.trim().is_empty() => Links::parse(words.split(',').map(str::trim))
            .map_err(|bad| {
                Error::usage(format!("environment variable `{LINKS}` {bad}")).hint(bad.hint())
            }),
        _ => Ok(pipeline.links.clone()),
    }
}

/// Takes the run lock of the project at `root`, and removes temporary files and worktrees of killed
/// processes.
pub fn hold(root: &Path) -> Result<RunLock> {
    let held = run_lock::acquire(&cache_dir(root).join("run.lock"))?;
    write::sweep(&cache_dir(root));
    place::sweep(root);
    Ok(held)
}

/// Returns the folder where new versions of the user's files at `root` are written.
pub fn staging(root: &Path) -> Staging {
    Staging::in_state(&cache_dir(root))
}

/// Takes the lock for editing the files that declare the pipeline at `root`, after other edits.
pub fn hold_edits(root: &Path) -> Result<EditLock> {
    edit_lock::acquire(&cache_dir(root).join("edit.lock"), staging(root))
}

/// Reads the pipeline that `pipeline.toml` declares.
pub fn load_pipeline(root: &Path, overrides: &[Override]) -> Result<Pipeline> {
    load_with_sources(root, overrides).map(|(pipeline, _)| pipeline)
}

/// Returns the goals of metrics; none if `pipeline.toml` is not valid, so that commands about the
/// history still work.
pub fn goals(root: &Path) -> Goals {
    load_pipeline(root, &[]).map(|pipeline| pipeline.goals).unwrap_or_default()
}

/// Facts about the disk that reading a pipeline depended on.
#[derive(Default)]
pub(super) struct Asked {
    pub sources: Inputs,
    /// Paths that exist and that no stage makes.
    pub present: BTreeSet<RepoPath>,
}

/// Reads the pipeline and returns the facts about the disk that it depended on.
pub(super) fn load_with_sources(root: &Path, overrides: &[Override]) -> Result<(Pipeline, Asked)> {
    let asked = RefCell::new(Asked::default());
    let keep = |path: RepoPath, text: &str| {
        asked.borrow_mut().sources.files.insert(path, Digest::of(text.as_bytes()));
    };
    let exists = |dep: Option<&RepoPath>| {
        let exists = dep.is_none_or(|dep| dep.to_path(root).symlink_metadata().is_ok());
        asked.borrow_mut().present.extend(dep.filter(|_| exists).cloned());
        exists
    };
    let read = |path: &RepoPath| {
        let text = regular_file::read_text_following(&path.to_path(root))
            .map_err(|err| err.to_string())?;
        keep(path.clone(), &text);
        Ok(text)
    };
    let list = |folder: &RepoPath| {
        let names = option_files(root, folder);
        asked.borrow_mut().sources.folders.insert(folder.clone(), names.clone());
        names
    };
    let entry = |path: &RepoPath| {
        if let Some(entry) = asked.borrow().sources.entries.get(path) {
            return entry.clone();
        }
        let entry = links::entry(root, path);
        asked.borrow_mut().sources.entries.insert(path.clone(), entry.clone());
        entry
    };
    let text = text(root)?;
    keep(RepoPath::parse(pipeline::FILE).unwrap_or_else(|bad| panic!("BUG: {bad}")), &text);
    let files = FileSource { exists: &exists, read: &read, list: &list, entry: &entry };
    let pipeline = pipeline::parse(&text, overrides, files).map_err(pipeline::problem::report)?;
    let mut asked = asked.into_inner();
    // A file that becomes a link is found when its content is looked up.
    let Asked { sources, present } = &mut asked;
    sources.entries.retain(|path, entry| *entry != PathEntry::File || !present.contains(path));
    Ok((pipeline, asked))
}

/// Reads the text of `pipeline.toml`.
pub fn text(root: &Path) -> Result<String> {
    let path = root.join(pipeline::FILE);
    let bytes =
        regular_file::read_following(&path).map_err(|err| Error::io("read", &path, &err))?;
    String::from_utf8(bytes).map_err(|err| {
        let valid = err.utf8_error().valid_up_to();
        let line = 1 + err.as_bytes()[..valid].iter().filter(|&&byte| byte == b'\n').count();
        let problem = Problem::new(line, "is not UTF-8").hint("save the file as UTF-8");
        pipeline::problem::report(vec![problem])
    })
}

/// Parses a text as this project's pipeline; `exists` as in [`pipeline::FileSource`].
pub fn parse(
    root: &Path,
    text: &str,
    overrides: &[Override],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
) -> Result<Pipeline> {
    parse_noting(root, text, overrides, exists, &RefCell::default())
}

/// Does the same as [`parse`] and records each further file that it reads in `noted`.
pub(super) fn parse_noting(
    root: &Path,
    text: &str,
    overrides: &[Override],
    exists: &dyn Fn(Option<&RepoPath>) -> bool,
    noted: &RefCell<BTreeSet<RepoPath>>,
) -> Result<Pipeline> {
    let read = |path: &RepoPath| {
        noted.borrow_mut().insert(path.clone());
        regular_file::read_text_following(&path.to_path(root)).map_err(|err| err.to_string())
    };
    let list = |folder: &RepoPath| option_files(root, folder);
    let entry = |path: &RepoPath| links::entry(root, path);
    let files = FileSource { exists, read: &read, list: &list, entry: &entry };
    pipeline::parse(text, overrides, files).map_err(pipeline::problem::report)
}

/// Parses only the params and sweeps of this project's pipeline, with some overrides.
pub fn params(root: &Path, text: &str, overrides: &[Override]) -> Result<Declared> {
    let read = |path: &RepoPath| {
        regular_file::read_text_following(&path.to_path(root)).map_err(|err| err.to_string())
    };
    let list = |folder: &RepoPath| option_files(root, folder);
    let files = FileSource { read: &read, list: &list, ..FileSource::default() };
    pipeline::parse_params(text, overrides, files).map_err(pipeline::problem::report)
}

/// Returns the names of the options of a group, whose files are in a folder, sorted.
pub fn options(root: &Path, folder: &RepoPath) -> Vec<String> {
    let files = option_files(root, folder).into_iter();
    let mut names: Vec<String> =
        files.filter_map(|file| Some(file.rsplit_once('.')?.0.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

/// Returns the names of the files of params in a folder, sorted.
pub fn option_files(root: &Path, folder: &RepoPath) -> Vec<String> {
    let entries = std::fs::read_dir(folder.to_path(root)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_option_file(name)).collect();
    names.sort();
    names
}

/// Reports whether a file of this name in the folder of a group is one of its options.
pub fn is_option_file(name: &str) -> bool {
    matches!(Format::of(name), Some(Format::Toml | Format::Json | Format::Yaml))
}

pub fn load_lock(root: &Path) -> Result<Lock> {
    Lock::of(&load_blocks(root)?).map_err(bad_lock)
}

pub(super) fn load_blocks(root: &Path) -> Result<Blocks> {
    let path = root.join(lock::FILE);
    let text = match regular_file::read(&path) {
        Ok(bytes) => String::from_utf8(bytes)
            .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned()),
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Blocks::default()),
        Err(err) => return Err(Error::io("read", &path, &err)),
    };
    match lock_conflict::marker_line(&text) {
        None => Blocks::split(text).map_err(bad_lock),
        Some(line) => Err(Error::usage(format!("{}:{line}: git left a conflict here", lock::FILE))
            .hint("`repro git resolve` takes the record of each stage from one side")),
    }
}

pub(super) fn bad_lock(bad: BadLock) -> Error {
    Error::usage(format!("{}:{}: {}", lock::FILE, bad.line, bad.what)).hint(
        "fix the file with git, or delete it: the next `repro run` rebuilds it, mostly from the \
         cache",
    )
}
