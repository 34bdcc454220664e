//! Loads a project with only those stages that may have something to do. Of all others the lock's block is the one that would be
//! written now, by the same contents that observing finds: deciding would call them fresh, too. No content is read for that: what is left
//! out costs a stat of each path, however much the pipeline declares.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::observe::fingerprint;
use super::project::{self, Answers, Asked, Parts, Project, Rest};
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::pipeline::{Policy, Stage, StageName};
use crate::plan::lock::Blocks;
use crate::plan::snapshot::Sources;
use crate::plan::{Checked, Lock, lock_template};
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
        let checked = Standing::find(root)?;
        narrowed(root, checked)
    }

    /// As [`Project::load_stale`], under the run lock.
    pub fn load_stale_exclusively(root: &Path) -> Result<(Project, RunLock)> {
        let checked = Standing::find(root)?;
        let held = project::hold(root)?;
        Ok((narrowed(root, checked)?, held))
    }
}

/// How the checked pipeline was come by.
enum Standing {
    /// All that it was made from is as it was, but for what is present.
    Remembered(Checked),
    Read(Checked),
}

impl Standing {
    fn find(root: &Path) -> Result<Standing> {
        let remembered =
            std::fs::read(project::cache_dir(root).join(FILE)).ok().and_then(Checked::decode);
        match remembered.filter(|checked| is_current(root, &checked.head.made_from)) {
            Some(checked) => Ok(Standing::Remembered(checked)),
            None => read(root).map(Standing::Read),
        }
    }
}

fn is_current(root: &Path, made_from: &Sources) -> bool {
    program().is_some_and(|program| program == made_from.program)
        && made_from.variables.iter().all(|(name, value)| variable(name) == *value)
        && made_from.folders.iter().all(|(folder, names)| project::options(root, folder) == *names)
        && made_from.files.iter().all(|(path, digest)| {
            std::fs::read(path.under(root)).is_ok_and(|bytes| Digest::of(&bytes) == *digest)
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
fn read(root: &Path) -> Result<Checked> {
    let (pipeline, Asked { sources: mut made_from, present }) =
        project::load_with_sources(root, &[])?;
    let variables = pipeline.stages.iter().flat_map(|stage| &stage.env_deps);
    made_from.variables = variables.map(|name| (name.clone(), variable(name))).collect();
    let program = program();
    made_from.program = program.clone().unwrap_or_default();
    let checked = Checked::of(&pipeline, made_from, present, |stage| outline_of(root, stage));
    if program.is_some() {
        // Without it the next time pipeline.toml is read again.
        let _ = write::atomic(
            &project::cache_dir(root).join(FILE),
            &checked.encode(),
            Durability::Relaxed,
        );
    }
    Ok(checked)
}

/// `None` where more decides than texts and the contents of paths.
fn outline_of(root: &Path, stage: &Stage) -> Option<String> {
    let is_glob = stage.deps.iter().any(|dep| dep.glob.is_some());
    if is_glob || !stage.tools.is_empty() || stage.policy == Policy::Always {
        return None;
    }
    // The contents are left out of an outline.
    let nothing = Content::File(Digest::of(b""));
    let deps = stage.deps.iter().map(|dep| (dep.path.clone(), nothing)).collect();
    fingerprint(root, &Answers::default(), stage, deps)
        .ok()
        .map(|fingerprint| lock_template::outline(&fingerprint))
}

fn narrowed(root: &Path, standing: Standing) -> Result<Project> {
    let blocks = Arc::new(project::load_blocks(root)?);
    let (checked, is_remembered) = match standing {
        Standing::Remembered(checked) => (Arc::new(checked), true),
        Standing::Read(checked) => (Arc::new(checked), false),
    };
    let workspace = Workspace::open(root, made(&checked), &project::cache_dir(root).join("index"));
    let found = look(&workspace, &checked);
    if is_remembered && !is_present(root, &checked, &found) {
        // Reading says what is wrong about that.
        return narrowed(root, Standing::Read(read(root)?));
    }
    let lines = lines(&checked, &blocks);
    let stale = stale(&checked, &lines.of_stages, &found);
    let pipeline = match checked.part(&stale) {
        Some(pipeline) => pipeline,
        None if is_remembered => return narrowed(root, Standing::Read(read(root)?)),
        None => panic!("BUG: a stage that does not read back"),
    };
    let mut lock = Lock::default();
    let stages = pipeline.stages.iter().map(|stage| stage.name.clone());
    for name in stages.chain(lines.undeclared.into_iter().filter_map(StageName::parse)) {
        if let Some(trace) = blocks.trace(name.as_str()).map_err(project::bad_lock)? {
            lock.stages.insert(name, trace);
        }
    }
    let rest = Rest::of(checked, &stale);
    Project::of(root, Parts { pipeline, workspace, lock, blocks, rest })
}

/// What stages write.
fn made(checked: &Arc<Checked>) -> impl FnOnce() -> BTreeSet<RepoPath> + Send + 'static {
    let checked = Arc::clone(checked);
    move || {
        let mut made: BTreeSet<RepoPath> = checked.head.other_outs.iter().cloned().collect();
        let outlines = (0..checked.count()).filter_map(|ix| checked.outline(ix));
        made.extend(
            outlines
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
fn look(workspace: &Workspace, checked: &Checked) -> Vec<Found> {
    let look = |path: &str| match RepoPath::parse_canonical(path)
        .and_then(|path| workspace.recall(&path))
    {
        Some(Some(content)) => Found::Content(lock_template::written(&content)),
        Some(None) => Found::Nothing,
        None => Found::Unknown,
    };
    let paths: Vec<&str> = checked.paths().collect();
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
fn is_present(root: &Path, checked: &Checked, found: &[Found]) -> bool {
    let missing: HashSet<&str> = checked
        .paths()
        .zip(found)
        .filter_map(|(path, found)| matches!(found, Found::Nothing).then_some(path))
        .collect();
    let head = &checked.head;
    let is_there = |path: &RepoPath| path.under(root).symlink_metadata().is_ok();
    head.present.iter().all(|path| !missing.contains(path.as_str()))
        && head.also_present.iter().all(is_there)
}

/// The blocks of the lock: by stage, and the names of those that the pipeline does not declare.
struct Lines<'b> {
    of_stages: Vec<Option<&'b str>>,
    undeclared: Vec<&'b str>,
}

fn lines<'b>(checked: &Checked, blocks: &'b Blocks) -> Lines<'b> {
    let mut lines = Lines { of_stages: vec![None; checked.count()], undeclared: Vec::new() };
    let mut stages = checked.by_name().peekable();
    for (name, text) in blocks.iter() {
        while stages.next_if(|&ix| checked.name(ix) < name).is_some() {}
        match stages.next_if(|&ix| checked.name(ix) == name) {
            Some(ix) => lines.of_stages[ix] = Some(text),
            None => lines.undeclared.push(name),
        }
    }
    lines
}

/// Membership list: stages whose block in the lock is not what would be written now, and all that need them.
fn stale(checked: &Checked, lines: &[Option<&str>], found: &[Found]) -> Vec<bool> {
    let mut stale = vec![false; checked.count()];
    let content = |path: usize| match &found[path] {
        Found::Content(content) => Some(content.as_str()),
        Found::Nothing | Found::Unknown => None,
    };
    for ix in checked.order() {
        let holds = || match (checked.outline(ix), lines[ix]) {
            (Some((outline, paths)), Some(block)) => {
                lock_template::holds(outline, block, paths.map(content))
            }
            _ => false,
        };
        stale[ix] = checked.needs(ix).any(|need| stale[need]) || !holds();
    }
    // The metrics of a run are those of all its stages.
    if stale.contains(&true) {
        checked.head.with_metrics.iter().for_each(|&ix| stale[ix] = true);
    }
    stale
}
