//! Loads a project with only those stages that may have something to do. Of all others the lock's block is the one that would be
//! written now, by the same contents that observing finds: deciding would call them fresh, too. No content is read for that: what is left
//! out costs a stat of each path, however much the pipeline declares.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::observe::fingerprint;
use super::project::{self, Answers, Asked, Parts, Project, UpToDate};
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::pipeline::{Policy, Stage, StageIx, StageName, StageSet};
use crate::plan::lock::Blocks;
use crate::plan::snapshot::Inputs;
use crate::plan::{Lock, PipelineSnapshot, lock_template};
use crate::repo_path::RepoPath;
use crate::workspace::Workspace;
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{self, Durability};

const FILE: &str = "pipeline";
/// So many paths are looked at sooner than a thread is started.
const FEW: usize = 1000;

impl Project {
    /// Reads the lock and the stages that may have something to do, and changes nothing but what is remembered of
    /// `pipeline.toml`.
    pub fn load_stale(root: &Path) -> Result<Project> {
        let snapshot = SnapshotSource::find(root)?;
        load_from(root, snapshot)
    }

    /// As [`Project::load_stale`], under the run lock.
    pub fn load_stale_exclusively(root: &Path) -> Result<(Project, RunLock)> {
        let snapshot = SnapshotSource::find(root)?;
        let held = project::hold(root)?;
        Ok((load_from(root, snapshot)?, held))
    }
}

/// How the snapshot pipeline was come by.
enum SnapshotSource {
    /// All that it was made from is as it was, but for what is present.
    Remembered(PipelineSnapshot),
    Read(PipelineSnapshot),
}

impl SnapshotSource {
    fn find(root: &Path) -> Result<SnapshotSource> {
        let remembered = std::fs::read(project::cache_dir(root).join(FILE))
            .ok()
            .and_then(PipelineSnapshot::decode);
        match remembered.filter(|snapshot| is_current(root, &snapshot.header.inputs)) {
            Some(snapshot) => Ok(SnapshotSource::Remembered(snapshot)),
            None => read(root).map(SnapshotSource::Read),
        }
    }
}

fn is_current(root: &Path, inputs: &Inputs) -> bool {
    program().is_some_and(|program| program == inputs.program)
        && inputs.variables.iter().all(|(name, value)| variable(name) == *value)
        && inputs.folders.iter().all(|(folder, names)| project::options(root, folder) == *names)
        && inputs.files.iter().all(|(path, digest)| {
            std::fs::read(path.to_path(root)).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
        })
}

/// This program, as a file: what another one made of a pipeline does not count. `None` if its file is gone, replaced while it runs: then
/// nothing is remembered.
fn program() -> Option<String> {
    let meta = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    let stat = crate::workspace::scan::Stat::of(&meta);
    Some(format!("{} {stat:?}", env!("CARGO_PKG_VERSION")))
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Reads and checks `pipeline.toml`, and remembers what came of it.
fn read(root: &Path) -> Result<PipelineSnapshot> {
    let (pipeline, Asked { sources: mut inputs, present }) = project::load_with_sources(root, &[])?;
    let variables = pipeline.stages.iter().flat_map(|stage| &stage.env_deps);
    inputs.variables = variables.map(|name| (name.clone(), variable(name))).collect();
    let program = program();
    inputs.program = program.clone().unwrap_or_default();
    let snapshot =
        PipelineSnapshot::of(&pipeline, inputs, present, |stage| template_of(root, stage));
    if program.is_some() {
        // Without it the next time pipeline.toml is read again.
        let _ = write::atomic(
            &project::cache_dir(root).join(FILE),
            &snapshot.encode(),
            Durability::Relaxed,
        );
    }
    Ok(snapshot)
}

/// `None` where more decides than texts and the contents of paths.
fn template_of(root: &Path, stage: &Stage) -> Option<String> {
    let is_glob = stage.deps.iter().any(|dep| dep.glob.is_some());
    if is_glob || !stage.tools.is_empty() || stage.policy == Policy::Always {
        return None;
    }
    // The contents are left out of an template.
    let nothing = Content::File(Digest::of(b""));
    let deps = stage.deps.iter().map(|dep| (dep.path.clone(), nothing)).collect();
    fingerprint(root, &Answers::default(), stage, deps)
        .ok()
        .map(|fingerprint| lock_template::render(&fingerprint))
}

fn load_from(root: &Path, standing: SnapshotSource) -> Result<Project> {
    let blocks = Arc::new(project::load_blocks(root)?);
    let (snapshot, is_remembered) = match standing {
        SnapshotSource::Remembered(snapshot) => (Arc::new(snapshot), true),
        SnapshotSource::Read(snapshot) => (Arc::new(snapshot), false),
    };
    let workspace = Workspace::open(root, made(&snapshot), &project::cache_dir(root).join("index"));
    let found = observe_dep(&workspace, &snapshot);
    if is_remembered && !is_present(root, &snapshot, &found) {
        // Reading says what is wrong about that.
        return load_from(root, SnapshotSource::Read(read(root)?));
    }
    let lines = lines(&snapshot, &blocks);
    let stale = stale(&snapshot, &lines.of_stages, &found);
    let pipeline = match snapshot.part(&stale) {
        Some(pipeline) => pipeline,
        None if is_remembered => return load_from(root, SnapshotSource::Read(read(root)?)),
        None => panic!("BUG: a stage that does not read back"),
    };
    let mut lock = Lock::default();
    let stages = pipeline.stages.iter().map(|stage| stage.name.clone());
    for name in stages.chain(lines.undeclared.into_iter().filter_map(StageName::parse)) {
        if let Some(trace) = blocks.trace(name.as_str()).map_err(project::bad_lock)? {
            lock.stages.insert(name, trace);
        }
    }
    let up_to_date = UpToDate::of(snapshot, &stale);
    Project::of(root, Parts { pipeline, workspace, lock, blocks, up_to_date })
}

/// What stages write.
fn made(snapshot: &Arc<PipelineSnapshot>) -> impl FnOnce() -> BTreeSet<RepoPath> + Send + 'static {
    let snapshot = Arc::clone(snapshot);
    move || {
        let mut made: BTreeSet<RepoPath> = snapshot.header.other_outs.iter().cloned().collect();
        let templates = StageIx::all(snapshot.count()).filter_map(|ix| snapshot.template(ix));
        made.extend(
            templates
                .flat_map(|(text, _)| lock_template::outs(text))
                .filter_map(RepoPath::parse_canonical),
        );
        made
    }
}

/// What was found at a path.
enum Found {
    /// A content, as the lock writes it.
    Content(String),
    Nothing,
    /// It would have to be read, or cannot be looked at: that is for who observes its stage.
    Unknown,
}

/// Looks at every path that decides.
fn observe_dep(workspace: &Workspace, snapshot: &PipelineSnapshot) -> Vec<Found> {
    let look = |path: &str| match RepoPath::parse_canonical(path)
        .and_then(|path| workspace.indexed_content(&path))
    {
        Some(Some(content)) => Found::Content(lock_template::content_prefix(&content)),
        Some(None) => Found::Nothing,
        None => Found::Unknown,
    };
    let paths: Vec<&str> = snapshot.paths().collect();
    // Not by rayon's threads: those that wait for work spin, and here all are done at about the same time.
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(paths.len() / FEW + 1);
    let mut shares = paths.chunks(paths.len().div_ceil(threads).max(1));
    let mine = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|share| scope.spawn(move || share.iter().copied().map(look).collect::<Vec<_>>()))
            .collect();
        let mut found: Vec<Found> = mine.iter().copied().map(look).collect();
        for other in others {
            found.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        found
    })
}

/// Whether what no stage makes is still there.
fn is_present(root: &Path, snapshot: &PipelineSnapshot, found: &[Found]) -> bool {
    let missing: HashSet<&str> = snapshot
        .paths()
        .zip(found)
        .filter_map(|(path, found)| matches!(found, Found::Nothing).then_some(path))
        .collect();
    let header = &snapshot.header;
    let is_there = |path: &RepoPath| path.to_path(root).symlink_metadata().is_ok();
    header.present.iter().all(|path| !missing.contains(path.as_str()))
        && header.also_present.iter().all(is_there)
}

/// The blocks of the lock: by stage, and the names of those that the pipeline does not declare.
struct Lines<'b> {
    of_stages: Vec<Option<&'b str>>,
    undeclared: Vec<&'b str>,
}

fn lines<'b>(snapshot: &PipelineSnapshot, blocks: &'b Blocks) -> Lines<'b> {
    let mut lines = Lines { of_stages: vec![None; snapshot.count()], undeclared: Vec::new() };
    let mut stages = snapshot.by_name().peekable();
    for (name, text) in blocks.iter() {
        while stages.next_if(|&ix| snapshot.name(ix) < name).is_some() {}
        match stages.next_if(|&ix| snapshot.name(ix) == name) {
            Some(ix) => lines.of_stages[ix] = Some(text),
            None => lines.undeclared.push(name),
        }
    }
    lines
}

/// Returns the stages whose block in the lock is not what would be written now, and all that need them.
fn stale(snapshot: &PipelineSnapshot, lines: &[Option<&str>], found: &[Found]) -> StageSet {
    let mut stale = StageSet::none(snapshot.count());
    let content = |path: usize| match &found[path] {
        Found::Content(content) => Some(content.as_str()),
        Found::Nothing | Found::Unknown => None,
    };
    for ix in snapshot.order() {
        let matches = || match (snapshot.template(ix), lines[ix]) {
            (Some((template, paths)), Some(block)) => {
                lock_template::matches(template, block, paths.map(content))
            }
            _ => false,
        };
        if snapshot.needs(ix).any(|need| stale.contains(need)) || !matches() {
            stale.insert(ix);
        }
    }
    // The metrics of a run are those of all its stages.
    if !stale.is_empty() {
        for &ix in &snapshot.header.with_metrics {
            stale.insert(ix);
        }
    }
    stale
}
