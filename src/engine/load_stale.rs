//! Loads only the stages that may be stale, so that a no-op costs one stat per path.
//!
//! Mechanism: [`PipelineSnapshot`] keeps, for each stage, the block that the lock would have if the
//! stage were up to date, without the contents ([`lock_template`]). The contents of all paths come
//! from the stat index. A stage whose block in the lock equals its template with these contents is
//! left out, unless it needs a stage that stays.
//!
//! Invariant: this decides "up to date" only where [`decide`](crate::plan::decide::decide) would,
//! since the block is a rendering of the fingerprint and outs that `decide` compares. Everything
//! else, and every reason, is left to `observe` and `decide`. The property `match_means_fresh`
//! in `plan/lock_template.rs`, `tests/e2e/load_stale.rs` and the oracle check that the two agree.
//!
//! Limits: stages with globs, `tools`, `always` or deps behind links are never left out.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::external;
use super::observe::fingerprint;
use super::project::{self, Answers, Asked, Parts, Project, UpToDate};
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::lossless;
use crate::pipeline::{Dep, Policy, Stage, StageIx, StageName, StageSet};
use crate::plan::lock::Blocks;
use crate::plan::snapshot::Inputs;
use crate::plan::{Lock, PipelineSnapshot, lock_template};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::state_folder;
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{self, Durability};
use crate::workspace::{Indexed, Workspace, links};

const FILE: &str = "pipeline";
/// Number of paths that can be checked in the time it takes to start a thread.
const FEW: usize = 1000;

impl Project {
    /// Reads the lock and the stages that may be stale. Changes nothing but the snapshot of
    /// `pipeline.toml` in the cache.
    pub fn load_stale(root: &Path) -> Result<Project> {
        let snapshot = SnapshotSource::find(root)?;
        load_from(root, snapshot)
    }

    /// Does the same as [`Project::load_stale`] under the run lock.
    pub fn load_stale_exclusively(root: &Path) -> Result<(Project, RunLock)> {
        let snapshot = SnapshotSource::find(root)?;
        let held = project::hold(root)?;
        external::link_all(root, &snapshot.of().header.external, &held)?;
        let project = load_from(root, snapshot)?;
        project.cache.join()?;
        Ok((project, held))
    }
}

/// Where the snapshot came from.
enum SnapshotSource {
    /// From the cache: none of its inputs has changed. Which paths exist is not checked yet.
    Remembered(PipelineSnapshot),
    Read(PipelineSnapshot),
}

impl SnapshotSource {
    fn of(&self) -> &PipelineSnapshot {
        match self {
            SnapshotSource::Remembered(snapshot) | SnapshotSource::Read(snapshot) => snapshot,
        }
    }

    fn find(root: &Path) -> Result<SnapshotSource> {
        let remembered = regular_file::read(&project::cache_dir(root).join(FILE))
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
        && inputs.variables.iter().all(|(name, value)| lossless::variable(name) == *value)
        && inputs
            .folders
            .iter()
            .all(|(folder, names)| project::option_files(root, folder) == *names)
        && inputs.entries.iter().all(|(path, entry)| links::entry(root, path) == *entry)
        && inputs.files.iter().all(|(path, digest)| {
            regular_file::read_following(&path.to_path(root))
                .is_ok_and(|bytes| Digest::of(&bytes) == *digest)
        })
}

/// Identifies the running program, since another version may read a pipeline differently.
///
/// `None` if the program's file was removed or replaced; then no snapshot is used or written.
fn program() -> Option<String> {
    let meta = std::env::current_exe().and_then(std::fs::metadata).ok()?;
    let stat = crate::workspace::scan::Stat::of(&meta);
    Some(format!("{} {stat:?}", env!("CARGO_PKG_VERSION")))
}

/// Reads and validates `pipeline.toml`, and stores the snapshot in the cache.
fn read(root: &Path) -> Result<PipelineSnapshot> {
    let (pipeline, Asked { sources: mut inputs, present }) = project::load_with_sources(root, &[])?;
    let variables = pipeline.stages.iter().flat_map(|stage| &stage.env_deps);
    inputs.variables = variables.map(|name| (name.clone(), lossless::variable(name))).collect();
    let program = program();
    inputs.program = program.clone().unwrap_or_default();
    let snapshot =
        PipelineSnapshot::of(&pipeline, inputs, present, |stage| template_of(root, stage));
    if program.is_some() {
        // If this fails, the next command reads `pipeline.toml` again.
        let _ = state_folder::create(&project::cache_dir(root));
        let _ = write::atomic(
            &project::cache_dir(root).join(FILE),
            &snapshot.encode(),
            Durability::Relaxed,
        );
    }
    Ok(snapshot)
}

/// Returns the template of a stage; `None` if more than texts and contents of paths decides.
fn template_of(root: &Path, stage: &Stage) -> Option<String> {
    let is_plain = |dep: &Dep| dep.glob.is_none() && dep.real.is_none();
    if !stage.deps.iter().all(is_plain)
        || !stage.tools.is_empty()
        || !stage.required.is_empty()
        || stage.policy == Policy::Always
    {
        return None;
    }
    // A template leaves out the contents.
    let nothing = Content::File(Digest::of(b""));
    let deps = stage.deps.iter().map(|dep| (dep.path.clone(), nothing)).collect();
    fingerprint(root, &Answers::default(), stage, deps)
        .ok()
        .map(|fingerprint| lock_template::render(&fingerprint))
}

fn load_from(root: &Path, source: SnapshotSource) -> Result<Project> {
    let blocks = Arc::new(project::load_blocks(root)?);
    let (snapshot, is_remembered) = match source {
        SnapshotSource::Remembered(snapshot) => (Arc::new(snapshot), true),
        SnapshotSource::Read(snapshot) => (Arc::new(snapshot), false),
    };
    let workspace = Workspace::open(root, made(&snapshot), &project::cache_dir(root));
    let found = look_up_paths(&workspace, &snapshot);
    if is_remembered && !is_present(root, &snapshot, &found) {
        // Reading reports the missing path.
        return load_from(root, SnapshotSource::Read(read(root)?));
    }
    let lines = lines(&snapshot, &blocks);
    let stale = stale(&snapshot, &lines.of_stages, &found);
    let pipeline = match snapshot.part(&stale) {
        Some(pipeline) => pipeline,
        None if is_remembered => return load_from(root, SnapshotSource::Read(read(root)?)),
        None => panic!("BUG: a stage of a new snapshot does not parse"),
    };
    let stages = pipeline.stages.iter().map(|stage| stage.name.clone());
    let undeclared = lines.undeclared.into_iter().filter_map(StageName::parse);
    let lock = Lock::part(&blocks, stages.chain(undeclared)).map_err(project::bad_lock)?;
    let up_to_date = UpToDate::of(snapshot, &stale);
    Project::of(root, Parts { pipeline, workspace, lock, blocks, up_to_date })
}

/// Returns the paths that stages write.
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

/// State of a path according to the stat index.
enum Found {
    /// The content, in the notation of the lock.
    Content(String),
    Nothing,
    /// The file would have to be read, or cannot be: observing its stage deals with that.
    Unknown,
}

/// Looks up every path of the templates in the stat index.
fn look_up_paths(workspace: &Workspace, snapshot: &PipelineSnapshot) -> Vec<Found> {
    let look_up = |path: &str| {
        let Some(path) = RepoPath::parse_canonical(path) else { return Found::Unknown };
        match workspace.indexed_content(&path) {
            Indexed::Present(content) => Found::Content(lock_template::content_prefix(&content)),
            Indexed::Absent => Found::Nothing,
            Indexed::Unknown => Found::Unknown,
        }
    };
    let paths: Vec<&str> = snapshot.paths().collect();
    // Plain threads, since rayon's spin while idle; here all shares finish at about the same time.
    let threads = crate::engine::processors().min(paths.len() / FEW + 1);
    let mut shares = paths.chunks(paths.len().div_ceil(threads).max(1));
    let mine = shares.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|share| {
                let work = move || share.iter().copied().map(look_up).collect::<Vec<_>>();
                std::thread::Builder::new().spawn_scoped(scope, work).map_err(|_| share)
            })
            .collect();
        let mut found: Vec<Found> = mine.iter().copied().map(look_up).collect();
        for other in others {
            match other {
                Ok(other) => found
                    .extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
                // No thread could be started for this share.
                Err(share) => found.extend(share.iter().copied().map(look_up)),
            }
        }
        found
    })
}

/// Reports whether all paths that must exist and that no stage makes still exist, and none has
/// become a link.
fn is_present(root: &Path, snapshot: &PipelineSnapshot, found: &[Found]) -> bool {
    let header = &snapshot.header;
    let is_as_before = |path: &RepoPath| match path.to_path(root).symlink_metadata() {
        Ok(meta) => !meta.is_symlink() || header.inputs.entries.contains_key(path),
        Err(_) => false,
    };
    // A file with a known content is the one that was there before.
    let unknown: HashSet<&str> = snapshot
        .paths()
        .zip(found)
        .filter_map(|(path, found)| (!matches!(found, Found::Content(_))).then_some(path))
        .collect();
    let to_check = header.present.iter().filter(|path| unknown.contains(path.as_str()));
    to_check.chain(&header.also_present).all(is_as_before)
}

/// The blocks of the lock by stage, and the names of stages that are no longer declared.
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

/// Returns the stages whose lock block differs from the expected one, and all that need them.
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
    // A run reports the metrics of all stages.
    if !stale.is_empty() {
        for &ix in &snapshot.header.with_metrics {
            stale.insert(ix);
        }
    }
    stale
}
