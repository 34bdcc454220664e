//! Follows a content back to what it came from, and forward to what came of it: executions of
//! stages, with the contents between them.
//!
//! The lock that a run keeps names the deps and outs of all stages at its end. One lock leads from
//! a content back to what no stage made, except where a stage of it is older than the one before
//! it; then the lock of the run that made the content goes on. What a run without a lock read is
//! unknown, and the result says so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::project;
use crate::digest::{Content, Digest};
use crate::error::{Error, Result};
use crate::event::RunName;
use crate::pipeline::{Glob, StageName};
use crate::plan::{Lock, Trace};
use crate::repo_path::RepoPath;
use crate::runs::{CodeState, Maker, Store, lock_after};

/// Greatest number of the latest runs whose locks are searched for uses.
const MOST_RUNS: usize = 300;
/// Greatest number of executions.
const MOST_EXECUTIONS: usize = 120;

/// The start of a lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Content(Digest),
    Stage(RunName, StageName),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lineage {
    pub nodes: Vec<Node>,
    /// Pairs of positions in `nodes`, in the direction of the data.
    pub edges: BTreeSet<(usize, usize)>,
    /// The nodes that were asked for.
    pub subjects: BTreeSet<usize>,
    /// Sentences about what the history lacks.
    pub missing: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Execution(Box<Execution>),
    Data { path: String, content: Option<Content>, digest: Digest },
}

/// One execution of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// [Outside](StageName::outside) of stages, if a client logged what it made.
    pub stage: StageName,
    /// The run in which it ran, or the first one known that has its outs; `None` if only the lock
    /// of the workspace has it.
    pub run: Option<RunName>,
    pub code: Option<CodeState>,
    /// `None` if the lock of the run was not kept.
    pub trace: Option<Trace>,
}

/// The lock that is followed: that of a run, or of the workspace.
type Source = Option<RunName>;

struct Walk<'s> {
    store: &'s Store,
    root: &'s Path,
    history: &'s Path,
    locks: BTreeMap<Source, Option<Lock>>,
    found: Lineage,
}

/// Follows a content or the outs of a stage back and forth.
///
/// # Errors
/// The history does not have it, or cannot be read.
pub fn lineage(root: &Path, history: &Path, store: &Store, subject: &Subject) -> Result<Lineage> {
    let found = Lineage::default();
    let mut walk = Walk { store, root, history, locks: BTreeMap::new(), found };
    match subject {
        Subject::Content(digest) => walk.content(digest)?,
        Subject::Stage(run, stage) => walk.stage(*run, stage)?,
    }
    Ok(walk.found)
}

impl Walk<'_> {
    fn content(&mut self, digest: &Digest) -> Result<()> {
        let makers = self.store.makers(digest)?;
        let first = makers.iter().find(|maker| maker.did_run).or(makers.first());
        let start = match first {
            Some(maker) => {
                let data = self.data_made(maker, digest);
                self.made(maker, data)?;
                data
            }
            None => {
                let Some((path, content)) = self.find_dep(digest)? else {
                    return Err(Error::missing(format!("no run has made or used `{digest}`"))
                        .hint("`repro runs show RUN` lists the digests of a run"));
                };
                self.data(path.as_str(), Some(content), *digest)
            }
        };
        self.found.subjects.insert(start);
        self.uses(digest, start)
    }

    fn stage(&mut self, run: RunName, stage: &StageName) -> Result<()> {
        let trace = self.trace(Some(run), stage)?;
        let Some(trace) = trace else {
            // What the store has: the digests of the outs.
            let outs = self.store.artifacts_of(run, stage)?;
            let recorded = self.store.run(run)?.stages;
            if outs.is_empty() && !recorded.iter().any(|record| record.stage == *stage) {
                return Err(Error::missing(format!("there is no stage `{stage}` in {run}")));
            }
            let execution = self.execution(stage, Some(run), None)?;
            self.found.subjects.insert(execution);
            self.without_lock(run);
            for out in outs {
                let Some((kind, digest)) = out.content else { continue };
                let Ok(digest) = digest.parse::<Digest>() else { continue };
                let data = self.data(&out.path, Content::from_kind(&kind, digest), digest);
                self.found.edges.insert((execution, data));
            }
            return Ok(());
        };
        let execution = self.back(Some(run), stage, &trace)?;
        self.found.subjects.insert(execution);
        for (path, content) in &trace.outs {
            let data = self.data(path.as_str(), Some(*content), content.digest());
            self.found.edges.insert((execution, data));
        }
        self.forth(Some(run), stage, &trace)
    }

    /// Adds the execution that made a content, and what it came from.
    fn made(&mut self, maker: &Maker, data: usize) -> Result<()> {
        let trace = self.trace(Some(maker.run), &maker.stage)?;
        let execution = match trace {
            Some(trace) => self.back(Some(maker.run), &maker.stage, &trace)?,
            None => {
                let execution = self.execution(&maker.stage, Some(maker.run), None)?;
                match maker.stage.as_str() {
                    "" => {
                        let run = maker.run;
                        self.missing(format!("{run} was logged by a client, without its inputs"));
                    }
                    _ => self.without_lock(maker.run),
                }
                execution
            }
        };
        self.found.edges.insert((execution, data));
        Ok(())
    }

    /// Adds an execution, and all that led to it.
    fn back(&mut self, source: Source, stage: &StageName, trace: &Trace) -> Result<usize> {
        let start = self.execution(stage, source, Some(trace))?;
        let mut open = vec![(source, trace.clone(), start)];
        let mut done = BTreeSet::from([start]);
        while let Some((source, trace, node)) = open.pop() {
            for (path, content) in &trace.fingerprint.deps {
                let data = self.data(path.as_str(), Some(*content), content.digest());
                self.found.edges.insert((data, node));
                for (source, maker, made_by) in self.writers(source, path, content)? {
                    if self.found.nodes.len() > MOST_EXECUTIONS * 8 {
                        self.missing("more was left out".to_owned());
                        return Ok(start);
                    }
                    let writer = self.execution(&maker, source, Some(&made_by))?;
                    self.found.edges.insert((writer, data));
                    if done.insert(writer) {
                        open.push((source, made_by, writer));
                    }
                }
            }
        }
        Ok(start)
    }

    /// Returns the stages that wrote a dep: those of the same lock, or else of the run that made
    /// this content.
    fn writers(
        &mut self,
        source: Source,
        path: &RepoPath,
        content: &Content,
    ) -> Result<Vec<(Source, StageName, Trace)>> {
        let Some(lock) = self.lock(source)? else { return Ok(Vec::new()) };
        let mut is_made_here = false;
        let mut writers = Vec::new();
        for (stage, trace) in &lock.stages {
            let outs = trace.outs.iter().filter(|(out, _)| reads(path, out));
            for (out, made) in outs {
                is_made_here = true;
                // A stage that ran again since then wrote other bytes.
                if out != path || made == content {
                    writers.push((source, stage.clone(), trace.clone()));
                    break;
                }
            }
        }
        if !writers.is_empty() || !is_made_here {
            return Ok(writers);
        }
        let makers = self.store.makers(&content.digest())?;
        let maker = makers.iter().find(|maker| maker.did_run).or(makers.first());
        let Some(maker) = maker.cloned() else {
            let short = content.digest().short();
            self.missing(format!("the stage that wrote {short} of {path} is not in the history"));
            return Ok(Vec::new());
        };
        let Some(trace) = self.trace(Some(maker.run), &maker.stage)? else {
            self.without_lock(maker.run);
            return Ok(Vec::new());
        };
        Ok(vec![(Some(maker.run), maker.stage, trace)])
    }

    /// Adds the executions that used a content, and what came of them.
    fn uses(&mut self, digest: &Digest, data: usize) -> Result<()> {
        let runs = self.store.names(MOST_RUNS + 1)?;
        if runs.len() > MOST_RUNS {
            self.missing(format!("uses are searched in the last {MOST_RUNS} runs only"));
        }
        let sources = std::iter::once(None).chain(runs.into_iter().take(MOST_RUNS).map(Some));
        for source in sources {
            let Some(lock) = self.lock(source)? else {
                if let Some(run) = source {
                    self.without_lock(run);
                }
                continue;
            };
            let made: Vec<RepoPath> = lock
                .stages
                .values()
                .flat_map(|trace| &trace.outs)
                .filter(|(_, content)| content.digest() == *digest)
                .map(|(path, _)| path.clone())
                .collect();
            let is_use = |(path, content): (&RepoPath, &Content)| {
                content.digest() == *digest
                    || made.iter().any(|out| out != path && reads(path, out))
            };
            let users = lock.stages.iter();
            let users = users.filter(|(_, trace)| trace.fingerprint.deps.iter().any(is_use));
            let users: Vec<(StageName, Trace)> =
                users.map(|(stage, trace)| (stage.clone(), trace.clone())).collect();
            for (stage, trace) in users {
                if self.is_full() {
                    return Ok(());
                }
                let execution = self.execution(&stage, source, Some(&trace))?;
                self.found.edges.insert((data, execution));
                self.forth(source, &stage, &trace)?;
            }
        }
        Ok(())
    }

    /// Adds the outs of an execution that other stages used, and what came of them.
    fn forth(&mut self, source: Source, stage: &StageName, trace: &Trace) -> Result<()> {
        let start = self.execution(stage, source, Some(trace))?;
        let mut open = vec![(trace.clone(), start)];
        let mut done = BTreeSet::from([start]);
        while let Some((trace, node)) = open.pop() {
            let Some(lock) = self.lock(source)? else { return Ok(()) };
            let mut readers: Vec<(StageName, Trace, RepoPath, Content)> = Vec::new();
            for (reader, other) in &lock.stages {
                for (path, content) in &other.fingerprint.deps {
                    let is_read = |(out, made): (&RepoPath, &Content)| {
                        if out == path { made == content } else { reads(path, out) }
                    };
                    if trace.outs.iter().any(is_read) {
                        readers.push((reader.clone(), other.clone(), path.clone(), *content));
                    }
                }
            }
            for (reader, other, path, content) in readers {
                if self.is_full() {
                    return Ok(());
                }
                let data = self.data(path.as_str(), Some(content), content.digest());
                let execution = self.execution(&reader, source, Some(&other))?;
                self.found.edges.extend([(node, data), (data, execution)]);
                if done.insert(execution) {
                    open.push((other, execution));
                }
            }
        }
        Ok(())
    }

    fn is_full(&mut self) -> bool {
        let is_execution = |node: &&Node| matches!(node, Node::Execution(_));
        let is_full = self.found.nodes.iter().filter(is_execution).count() >= MOST_EXECUTIONS;
        if is_full {
            self.missing(format!("only {MOST_EXECUTIONS} executions are shown"));
        }
        is_full
    }

    /// Returns the node of an execution. One and the same in several runs is one node.
    fn execution(
        &mut self,
        stage: &StageName,
        source: Source,
        trace: Option<&Trace>,
    ) -> Result<usize> {
        let is_same = |node: &Node| match node {
            Node::Execution(one) if one.stage == *stage => match (&one.trace, trace) {
                (Some(one), Some(other)) => one == other,
                (None, None) => one.run == source,
                _ => false,
            },
            _ => false,
        };
        if let Some(at) = self.found.nodes.iter().position(is_same) {
            return Ok(at);
        }
        let run = match trace {
            Some(trace) => self.run_of(stage, trace)?.or(source),
            None => source,
        };
        let code = run.map_or(Ok(None), |run| self.store.code_of(run))?;
        let stage = stage.clone();
        let execution = Execution { stage, run, code, trace: trace.cloned() };
        self.found.nodes.push(Node::Execution(Box::new(execution)));
        Ok(self.found.nodes.len() - 1)
    }

    /// Returns the first run that has executed a stage with this trace, or else the first whose
    /// lock has it.
    fn run_of(&mut self, stage: &StageName, trace: &Trace) -> Result<Option<RunName>> {
        let Some((path, content)) = trace.outs.iter().next() else { return Ok(None) };
        let mut makers = self.store.makers(&content.digest())?;
        makers.retain(|maker| maker.stage == *stage && maker.path == path.as_str());
        // Other inputs may have led to the same outs.
        makers.sort_by_key(|maker| !maker.did_run);
        for maker in makers {
            if self.trace(Some(maker.run), stage)?.as_ref() == Some(trace) {
                return Ok(Some(maker.run));
            }
        }
        Ok(None)
    }

    fn data(&mut self, path: &str, content: Option<Content>, digest: Digest) -> usize {
        let is_same = |node: &Node| match node {
            Node::Data { path: other, digest: theirs, .. } => other == path && *theirs == digest,
            Node::Execution(_) => false,
        };
        self.found.nodes.iter().position(is_same).unwrap_or_else(|| {
            self.found.nodes.push(Node::Data { path: path.to_owned(), content, digest });
            self.found.nodes.len() - 1
        })
    }

    fn data_made(&mut self, maker: &Maker, digest: &Digest) -> usize {
        self.data(&maker.path, Content::from_kind(&maker.kind, *digest), *digest)
    }

    /// Finds a dep with a content, in the workspace or in the latest runs.
    fn find_dep(&mut self, digest: &Digest) -> Result<Option<(RepoPath, Content)>> {
        let runs = self.store.names(MOST_RUNS)?;
        for source in std::iter::once(None).chain(runs.into_iter().map(Some)) {
            let Some(lock) = self.lock(source)? else { continue };
            let mut deps = lock.stages.values().flat_map(|trace| &trace.fingerprint.deps);
            if let Some((path, content)) = deps.find(|(_, content)| content.digest() == *digest) {
                return Ok(Some((path.clone(), *content)));
            }
        }
        Ok(None)
    }

    fn trace(&mut self, source: Source, stage: &StageName) -> Result<Option<Trace>> {
        Ok(self.lock(source)?.and_then(|lock| lock.stages.get(stage).cloned()))
    }

    fn lock(&mut self, source: Source) -> Result<Option<&Lock>> {
        if !self.locks.contains_key(&source) {
            let lock = match source {
                // A lock with conflicts names nothing; `repro status` reports it.
                None => project::load_lock(self.root).ok(),
                Some(run) => lock_after(self.history, run).unwrap_or_default(),
            };
            self.locks.insert(source, lock);
        }
        Ok(self.locks.get(&source).and_then(Option::as_ref))
    }

    fn without_lock(&mut self, run: RunName) {
        self.missing(format!("{run} kept no lock, so the inputs of its stages are unknown"));
    }

    fn missing(&mut self, sentence: String) {
        self.found.missing.insert(sentence);
    }
}

/// Reports whether a dep, which may be a glob, reads an out or a part of it.
fn reads(dep: &RepoPath, out: &RepoPath) -> bool {
    match Glob::parse(dep) {
        Ok(Some(glob)) => glob.may_overlap(out),
        _ => dep.overlaps(out),
    }
}
