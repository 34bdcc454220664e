//! Compares the inputs in a record with those that a stage has in the merged tree.
//!
//! Mechanism: what the pipeline declares (command, params, variables, outs) is compared by value,
//! and so is a dep that is one file in git, or one out of another stage. A folder or a glob agrees
//! if git has the same files there as on the record's side, or if the stage that makes it keeps
//! that side's outs.
//!
//! Known limits: nothing is executed, so outputs of `tools` and values of `env_deps` are not
//! compared; they belong to a machine anyway. Deps that git does not track and no stage makes are
//! not compared.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::merged_tree::{Files, MergedTree};
use crate::digest::{Content, Digest};
use crate::engine::observe;
use crate::engine::project::{self, Answers};
use crate::pipeline::{self, Dep, FileSource, Pipeline, Stage, StageIx};
use crate::plan::lock_merge::{Merge, Side};
use crate::plan::{Lock, Trace};
use crate::repo_path::RepoPath;

/// The pipeline in a merged tree, with the files that its stages read.
#[derive(Debug)]
pub(super) struct MergedInputs<'t> {
    tree: &'t MergedTree,
    /// The folder of the project in the repository, with a slash at its end; empty for the root.
    prefix: String,
    pub pipeline: Pipeline,
    digests: RefCell<BTreeMap<String, Option<Content>>>,
}

impl<'t> MergedInputs<'t> {
    /// Reads the merged pipeline; `None` if a file that declares it is in conflict or not valid.
    pub(super) fn read(tree: &'t MergedTree, prefix: &str) -> Option<MergedInputs<'t>> {
        let text = |path: &str| {
            let bytes = tree.read(&format!("{prefix}{path}"))?;
            String::from_utf8(bytes).ok()
        };
        let list = |folder: &RepoPath| {
            let folder = format!("{prefix}{folder}/");
            let names = below(tree.merged(), &folder).filter_map(|(path, _)| {
                let name = &path[folder.len()..];
                (project::is_option_file(name) && !name.contains('/')).then(|| name.to_owned())
            });
            names.collect::<BTreeSet<String>>().into_iter().collect()
        };
        let read = |path: &RepoPath| {
            text(path.as_str()).ok_or_else(|| "is in conflict or missing".to_owned())
        };
        let files = FileSource { read: &read, list: &list, ..FileSource::default() };
        let pipeline = pipeline::parse(&text(pipeline::FILE)?, &[], files).ok()?;
        let digests = RefCell::default();
        Some(MergedInputs { tree, prefix: prefix.to_owned(), pipeline, digests })
    }

    /// Reports whether the inputs of a stage are those that the record of one side names.
    ///
    /// `merge` must have settled all stages that this one needs, and `locks` are those of the two
    /// sides.
    pub(super) fn agree(
        &self,
        ix: StageIx,
        (side, trace): (Side, &Trace),
        merge: &Merge<'_>,
        lock: &Lock,
    ) -> bool {
        let stage = &self.pipeline.stages[ix];
        is_as_declared(stage, trace)
            && stage.deps.iter().all(|dep| {
                self.files_agree(dep, (side, trace))
                    && self.outs_agree(ix, dep, trace, (merge, lock))
            })
    }

    /// Compares the files in git that a dep reads.
    fn files_agree(&self, dep: &Dep, (side, trace): (Side, &Trace)) -> bool {
        let merged = self.read_by(dep, self.tree.merged());
        let path = format!("{}{}", self.prefix, dep.path);
        let is_file = |(mode, _): &&(String, String)| mode.starts_with("100");
        match self.tree.merged().get(&path).filter(is_file) {
            Some((mode, _)) if dep.glob.is_none() => {
                let mut digests = self.digests.borrow_mut();
                let content = digests.entry(path.clone()).or_insert_with(|| {
                    let digest = Digest::of(&self.tree.read(&path)?);
                    Some(match mode.as_str() {
                        "100755" => Content::Executable(digest),
                        _ => Content::File(digest),
                    })
                });
                trace.fingerprint.deps.get(&dep.path) == content.as_ref()
            }
            _ => merged == self.read_by(dep, self.tree.of(side)),
        }
    }

    /// Returns the files that a dep reads, with modes and ids.
    fn read_by<'f>(&self, dep: &Dep, files: &'f Files) -> Vec<(&'f str, &'f (String, String))> {
        let (path, glob) = dep.source();
        let base = match glob {
            None => format!("{}{path}", self.prefix),
            Some(glob) => {
                let base = glob.base().map(|base| format!("{base}/"));
                format!("{}{}", self.prefix, base.unwrap_or_default())
            }
        };
        let is_read = |(file, _): &(&str, &(String, String))| match glob {
            None => file.len() == base.len() || file.as_bytes()[base.len()] == b'/',
            Some(glob) => {
                // A glob may match a folder, which then is read with everything in it.
                let file = &file[self.prefix.len()..];
                let mut ends = file.match_indices('/').map(|(at, _)| at);
                glob.matches(file) || ends.any(|end| glob.matches(&file[..end]))
            }
        };
        below(files, &base).filter(is_read).collect()
    }

    /// Compares the outs of other stages that a dep reads.
    fn outs_agree(
        &self,
        ix: StageIx,
        dep: &Dep,
        trace: &Trace,
        (merge, lock): (&Merge<'_>, &Lock),
    ) -> bool {
        let makers = self.pipeline.graph.needs(ix).iter().map(|&need| &self.pipeline.stages[need]);
        let outs = makers.flat_map(|maker| maker.outs.iter().map(move |out| (maker, out)));
        let mut read = outs.filter(|(_, out)| dep.may_read(out.place()));
        read.all(|(maker, out)| {
            let Some(merged) = merge.trace(maker.name.as_str()) else { return false };
            let merged = merged.outs.get(&out.path);
            if dep.glob.is_none() && dep.path == out.path {
                return merged == trace.fingerprint.deps.get(&dep.path);
            }
            let before = lock.stages.get(&maker.name).and_then(|trace| trace.outs.get(&out.path));
            merged == before
        })
    }
}

/// Returns the files whose paths start with `start`.
fn below<'f>(
    files: &'f Files,
    start: &str,
) -> impl Iterator<Item = (&'f str, &'f (String, String))> {
    let found = files.range(start.to_owned()..).map(|(path, facts)| (path.as_str(), facts));
    let start = start.to_owned();
    found.take_while(move |(path, _)| path.starts_with(&start))
}

/// Reports whether the declaration of a stage is the one that a record was made with.
fn is_as_declared(stage: &Stage, trace: &Trace) -> bool {
    let record = &trace.fingerprint;
    let names_are_equal = stage.tools.iter().eq(record.tools.keys())
        && stage.env_deps.iter().eq(record.env_deps.keys())
        && stage.deps.iter().map(|dep| &dep.path).eq(record.deps.keys());
    let declared = Stage { tools: BTreeSet::new(), env_deps: BTreeSet::new(), ..stage.clone() };
    let answers = Answers::default();
    let declared =
        observe::fingerprint(Path::new(""), &answers, &declared, record.deps.clone()).ok();
    names_are_equal
        && declared.is_some_and(|mut declared| {
            declared.tools.clone_from(&record.tools);
            declared.env_deps.clone_from(&record.env_deps);
            declared == *record
        })
}
