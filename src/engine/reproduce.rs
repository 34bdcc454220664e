//! `repro runs reproduce`: repeats a run in a worktree, and compares the results.
//!
//! The worktree has the files of the run's commit with its recorded changes. Without them it has
//! those of the present workspace, if the stages have the same fingerprints there. Inputs that no
//! stage makes come from the workspace or the cache, by digest. The lock is that of the run, so
//! outs of other stages are restored.

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub use self::compare::{InputChange, MetricComparison, OutComparison, Sameness, Tolerance};
use super::observe::{fingerprint, observe_dep, touches};
use super::project::{self, Parts, UpToDate};
use super::saved_git::SavedGit;
use super::worktree::{Revision, Worktree};
use super::{Project, commit, provenance, run};
use crate::digest::Content;
use crate::error::{Error, Result};
use crate::event::{GitState, GitTree};
use crate::number::Number;
use crate::pipeline::{Dep, Override, Policy, Stage, StageIx, StageName, StageSet};
use crate::plan::lock::Blocks;
use crate::plan::{Lock, Trace, lock};
use crate::repo_path::RepoPath;
use crate::runs::{GIT_DIFF, Run, StageState, lock_after, run_dir};
use crate::workspace::duplicate::{Entries, Wanted};
use crate::workspace::run_lock::RunLock;
use crate::workspace::write::{self, Durability};
use crate::workspace::{Observed, Workspace};

/// Maximum number of differing files that are named per out.
const MOST_FILES: usize = 20;

/// A run that is ready to be repeated.
#[derive(Debug)]
pub struct Repetition {
    // Dropped before the worktree is removed.
    pub project: Arc<Project>,
    pub held: RunLock,
    pub worktree: Worktree,
    /// Stages to run, whatever the cache has.
    pub forced: StageSet,
    /// The git state of the files; `None` if they are those of the workspace.
    pub git: Option<SavedGit>,
    /// The lock of the run.
    lock: Lock,
    /// Stages whose inputs are not those of the run.
    pub inputs: Vec<InputChange>,
}

/// Origin of the files in the worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Commit,
    Workspace,
}

/// Prepares the repetition of a run of the project at `root`. `names` are stages; by default those
/// that the run executed.
///
/// # Errors
/// The state that the run began with cannot be brought back.
pub fn prepare(
    root: &Path,
    run: &Run,
    overrides: &[Override],
    select: impl Fn(&Project, &[StageName]) -> Result<StageSet>,
) -> Result<Repetition> {
    let Some(lock) = lock_after(root, run.name)? else {
        return Err(Error::usage(format!("{} cannot be repeated", run.name))
            .because("the lock that it ended with was not kept")
            .hint("only runs of this version of `repro` and later ones can be repeated"));
    };
    // Without a valid pipeline, the workspace cannot give inputs.
    let present = Project::load(root, &[]);
    let git = saved_git(root, run);
    let (worktree, source) = match &git {
        Some((commit, git)) => {
            let has_diff = git.state.as_ref().is_some_and(|state| state.tree == GitTree::Dirty);
            let diff = has_diff.then_some(&*git.diff);
            (Worktree::of_revision(root, &Revision { commit, diff })?, Source::Commit)
        }
        None => match &present {
            Ok(present) => (Worktree::create(present)?, Source::Workspace),
            Err(error) => return Err(copy_of(error)),
        },
    };
    let path = worktree.root().join(lock::FILE);
    write::atomic(&path, lock.encode().as_bytes(), Durability::Relaxed)?;
    let partial = without_inputs(worktree.root(), overrides, &lock)?;
    let executed = executed(run, &lock);
    let forced = select(&partial, &executed)?;
    let wanted = partial.pipeline.graph.with_needs(forced.iter());
    bring_inputs(&partial, present.as_ref().ok(), run, &lock, &wanted).map_err(|error| {
        if source == Source::Workspace { error.because(why_workspace(run)) } else { error }
    })?;
    let inputs = input_changes(&partial, &lock, &forced)?;
    if source == Source::Workspace && !inputs.is_empty() {
        return Err(not_as_it_was(run, &inputs));
    }
    drop(partial);
    let (project, held) = Project::load_exclusively(worktree.root(), overrides)?;
    let git = git.map(|(_, git)| git);
    Ok(Repetition { project: Arc::new(project), held, worktree, forced, git, lock, inputs })
}

/// Returns the commit that a run began with, and the git state; `None` if the changes to the commit
/// were not recorded.
fn saved_git(root: &Path, run: &Run) -> Option<(String, SavedGit)> {
    let state = run.info.git.clone()?;
    let commit = state.commit.clone().filter(|_| provenance::is_in_checkout(root))?;
    let diff = run_dir(root, run.name).join(GIT_DIFF);
    let is_complete = state.tree == GitTree::Clean || diff.is_file();
    is_complete.then_some((commit, SavedGit { state: Some(state), diff }))
}

fn copy_of(error: &Error) -> Error {
    let copy = Error { kind: error.kind, ..Error::usage(error.what.clone()) };
    let copy = error.causes.iter().fold(copy, Error::because);
    match &error.hint {
        Some(hint) => copy.hint(hint.clone()),
        None => copy,
    }
}

/// Returns the stages that a run executed; all stages with a command if it executed none.
fn executed(run: &Run, lock: &Lock) -> Vec<StageName> {
    let ran = run.stages.iter().filter(|record| record.state == StageState::Ran);
    let ran: Vec<StageName> = ran.map(|record| record.stage.clone()).collect();
    if !ran.is_empty() {
        return ran;
    }
    let all = lock.stages.iter().filter(|(_, trace)| trace.fingerprint.cmd.is_some());
    all.map(|(name, _)| name.clone()).collect()
}

/// Loads the project in a worktree whose inputs may be missing.
fn without_inputs(root: &Path, overrides: &[Override], lock: &Lock) -> Result<Project> {
    let text = project::text(root)?;
    let pipeline = project::parse(root, &text, overrides, &|_| true)?;
    let outs = pipeline.stages.iter().flat_map(|stage| &stage.outs);
    let made = outs.flat_map(|out| [out.path.clone(), out.place().clone()]).collect();
    let workspace = Workspace::open(root, || made, &project::cache_dir(root));
    let blocks = Blocks::split(lock.encode()).map_err(project::bad_lock)?;
    let parts = Parts {
        pipeline,
        workspace,
        lock: lock.clone(),
        blocks: Arc::new(blocks),
        up_to_date: UpToDate::default(),
    };
    Project::of(root, parts)
}

/// Brings the inputs that no stage makes into the worktree, as the run read them.
fn bring_inputs(
    project: &Project,
    present: Option<&Project>,
    run: &Run,
    lock: &Lock,
    wanted: &StageSet,
) -> Result<()> {
    let mut missing = Vec::new();
    for ix in wanted.iter() {
        let stage = &project.pipeline.stages[ix];
        let Some(trace) = lock.stages.get(&stage.name) else { continue };
        for dep in stage.deps.iter().filter(|dep| !is_made(project, dep)) {
            let Some(expected) = trace.fingerprint.deps.get(&dep.path) else { continue };
            let content = |project: &Project| {
                observe_dep(project, stage, dep).map(|seen| seen.map(|seen| seen.content()))
            };
            if content(project)? == Some(*expected) {
                continue;
            }
            let folder = dep.glob.as_ref().map_or(Some(&dep.path), |glob| glob.base());
            let source = present
                .filter(|present| content(present).is_ok_and(|content| content == Some(*expected)));
            match (source, folder) {
                (Some(present), Some(path)) => copy(present, project, path)?,
                (None, Some(path)) if dep.glob.is_none() && has(project, expected) => {
                    restore(project, path, expected)?;
                }
                _ => missing.push(dep.path.to_string()),
            }
        }
        for out in stage.outs.iter().filter(|_| stage.is_tracked_input()) {
            let Some(expected) = trace.outs.get(&out.path) else { continue };
            let seen = |project: &Project| project.workspace.observe(&out.path);
            let is_there = |project: &Project| {
                let seen = seen(project)?;
                Ok::<bool, Error>(seen.map(|seen| seen.content()) == Some(*expected))
            };
            if is_there(project)? {
                continue;
            }
            match present.filter(|present| is_there(present).unwrap_or(false)) {
                _ if has(project, expected) => restore(project, &out.path, expected)?,
                Some(present) => copy(present, project, &out.path)?,
                None => missing.push(out.path.to_string()),
            }
        }
    }
    missing.sort();
    missing.dedup();
    match &missing[..] {
        [] => Ok(()),
        missing => Err(missing.iter().fold(
            Error::usage(format!("{} cannot be repeated: inputs are gone", run.name)),
            |error, path| {
                error.because(format!(
                    "`{path}`, as it was then, is neither in the workspace nor in the cache"
                ))
            },
        )),
    }
}

fn is_made(project: &Project, dep: &Dep) -> bool {
    let makers = (0..project.pipeline.stages.len()).map(StageIx::new);
    makers.into_iter().any(|maker| touches(project, maker, dep))
}

fn has(project: &Project, content: &Content) -> bool {
    matches!(project.cache.first_missing(content), Ok(None))
}

/// Copies a path of the workspace into the worktree.
fn copy(from: &Project, to: &Project, path: &RepoPath) -> Result<()> {
    to.workspace.remove(path)?;
    let mut wanted = Wanted::default();
    from.workspace.want(Path::new(path.as_str()), Entries::Counted, &|_| false, &mut wanted)?;
    from.workspace.duplicate(&wanted, &to.root, &project::cache_dir(&to.root)).map(drop)
}

fn restore(project: &Project, path: &RepoPath, content: &Content) -> Result<()> {
    let seen = project.workspace.observe(path)?;
    let wanted = [(path.clone(), Some(*content))].into();
    commit::restore(project, &wanted, &[(path.clone(), seen)].into()).map(drop)
}

/// Returns the stages whose fingerprints will differ from those of the run, given the same outs of
/// other stages.
fn input_changes(project: &Project, lock: &Lock, forced: &StageSet) -> Result<Vec<InputChange>> {
    let mut changed = Vec::new();
    for ix in forced.iter() {
        let stage = &project.pipeline.stages[ix];
        let reasons = match lock.stages.get(&stage.name) {
            None => vec!["it is not in the lock of the run".to_owned()],
            Some(trace) => reasons(project, stage, trace)?,
        };
        if !reasons.is_empty() {
            changed.push(InputChange { stage: stage.name.clone(), reasons });
        }
    }
    Ok(changed)
}

fn reasons(project: &Project, stage: &Stage, trace: &Trace) -> Result<Vec<String>> {
    let mut contents = BTreeMap::new();
    for dep in &stage.deps {
        let content = match is_made(project, dep) {
            true => trace.fingerprint.deps.get(&dep.path).copied(),
            false => observe_dep(project, stage, dep)?.as_ref().map(Observed::content),
        };
        contents.extend(content.map(|content| (dep.path.clone(), content)));
    }
    let now = fingerprint(&project.root, &project.answers, stage, contents)?;
    let changes = now.changes_since(&trace.fingerprint);
    Ok(changes.iter().map(ToString::to_string).collect())
}

/// Returns the reason for which the files are those of the workspace.
fn why_workspace(run: &Run) -> &'static str {
    match &run.info.git {
        Some(GitState { commit: Some(_), .. }) => "it began with changes that were not recorded",
        _ => "it was recorded outside of git, or before the first commit",
    }
}

fn not_as_it_was(run: &Run, inputs: &[InputChange]) -> Error {
    let name = run.name;
    let error = Error::usage(format!("{name} cannot be repeated from the present workspace"));
    let error = error.because(why_workspace(run));
    let error = inputs.iter().fold(error, |error, InputChange { stage, reasons }| {
        error.because(format!("stage `{stage}`: {}", reasons.join(", ")))
    });
    error.hint("bring the files back as they were then, and repeat the command")
}

impl Repetition {
    /// Returns the stages that can be forced: those with a command that may run.
    pub fn options(&self) -> (StageSet, StageSet) {
        let stages = &self.project.pipeline.stages;
        let mut forced = StageSet::none(stages.len());
        for ix in self
            .forced
            .iter()
            .filter(|&ix| stages[ix].cmd.is_some() && stages[ix].policy != Policy::Frozen)
        {
            forced.insert(ix);
        }
        (self.project.pipeline.graph.with_needs(self.forced.iter()), forced)
    }

    /// Compares the outs in the worktree, after the repetition, with those of the run.
    pub fn compare_outs(&self) -> Result<Vec<OutComparison>> {
        let now = project::load_lock(self.worktree.root())?;
        let mut compared = Vec::new();
        let (_, forced) = self.options();
        for ix in forced.iter() {
            let stage = &self.project.pipeline.stages[ix].name;
            let outs = |lock: &Lock| {
                lock.stages.get(stage).map(|trace| trace.outs.clone()).unwrap_or_default()
            };
            let (before, after) = (outs(&self.lock), outs(&now));
            let paths: BTreeSet<&RepoPath> = before.keys().chain(after.keys()).collect();
            for path in paths {
                let (result, files) = match (before.get(path), after.get(path)) {
                    (Some(a), Some(b)) if a == b => (Sameness::Same, Vec::new()),
                    (Some(a), Some(b)) => (Sameness::Differs, self.differing_files(*a, *b)),
                    (_, None) => (Sameness::Missing, Vec::new()),
                    (None, _) => (Sameness::New, Vec::new()),
                };
                compared.push(OutComparison {
                    stage: stage.clone(),
                    path: path.clone(),
                    result,
                    files,
                });
            }
        }
        Ok(compared)
    }

    /// Returns the first files that differ between two directories; none if the cache does not
    /// hold them.
    fn differing_files(&self, before: Content, after: Content) -> Vec<String> {
        let mut open = vec![(String::new(), Some(before), Some(after))];
        let mut files = Vec::new();
        let tree = |content: Option<Content>| match content {
            Some(Content::Tree(digest)) => self.project.cache.tree(&digest).ok(),
            _ => None,
        };
        while let Some((path, before, after)) = open.pop() {
            let (a, b) = (tree(before), tree(after));
            if a.is_none() && b.is_none() {
                files.extend((!path.is_empty()).then_some(path));
                continue;
            }
            let (a, b) = (a.unwrap_or_default().entries, b.unwrap_or_default().entries);
            let names: BTreeSet<&Box<str>> = a.keys().chain(b.keys()).collect();
            for name in names.into_iter().filter(|name| a.get(*name) != b.get(*name)) {
                let below =
                    if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
                open.push((below, a.get(name).copied(), b.get(name).copied()));
            }
        }
        files.sort();
        files.truncate(MOST_FILES);
        files
    }

    /// Compares the final metrics of the repeated stages with those of the run.
    pub fn compare_metrics(
        &self,
        run: &Run,
        report: &run::Report,
        tolerance: Option<Tolerance>,
    ) -> Vec<MetricComparison> {
        let (_, forced) = self.options();
        let stages: Vec<&StageName> =
            forced.iter().map(|ix| &self.project.pipeline.stages[ix].name).collect();
        let is_repeated = |metric: &str| {
            stages.iter().any(|stage| {
                metric.strip_prefix(stage.as_str()).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let name = |(stage, key): &(StageName, String)| stage.name_of(key);
        let before = run.metrics.iter().map(|(names, value)| (name(names), *value));
        let before: BTreeMap<String, Number> = before.collect();
        let after: BTreeMap<String, Number> =
            report.metrics.iter().map(|(name, value)| (name.full(), *value)).collect();
        let names: BTreeSet<&String> =
            before.keys().chain(after.keys()).filter(|name| is_repeated(name)).collect();
        let compare = |name: &String| {
            let (before, after) = (before.get(name).copied(), after.get(name).copied());
            MetricComparison::new(name.clone(), before, after, tolerance)
        };
        names.into_iter().map(compare).collect()
    }
}
