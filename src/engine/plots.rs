//! `repro plots`: finds the outs that the pipeline declares as plots, as some runs made them.
//! Writes nothing.

use std::collections::BTreeMap;

use super::{Project, revision};
use crate::digest::{Content, Digest};
use crate::error::Result;
use crate::pipeline::{Drawing, Role, StageName};
use crate::regular_file;
use crate::repo_path::RepoPath;
use crate::runs::Run;

/// Maximum size of a plotted file in bytes.
const MAX_FILE: u64 = 16 << 20;
/// Maximum size of all plotted files together.
const MAX_TOTAL: u64 = 128 << 20;
/// Maximum number of files that are read from one folder.
const MAX_FILES: usize = 200;

/// A plotted file with its distinct contents.
#[derive(Debug, Clone, PartialEq)]
pub struct PlotFile {
    pub stage: StageName,
    /// The declared out: the file itself, or a folder with it.
    pub out: RepoPath,
    pub path: RepoPath,
    pub drawing: Drawing,
    pub versions: Vec<FileVersion>,
}

/// A content, or the reason that it cannot be shown, and the runs that have it, as positions in
/// the given list.
#[derive(Debug, Clone, PartialEq)]
pub struct FileVersion {
    pub runs: Vec<usize>,
    pub content: Result<Vec<u8>, String>,
}

/// The contents of a file: digest, or the reason that there is none, and runs.
type Found = Vec<(Result<Digest, String>, Vec<usize>)>;

/// Returns the files of all outs that are declared as plots today, in the order of the pipeline.
///
/// # Errors
/// The run store cannot be read.
pub fn files(project: &Project, runs: &[Run]) -> Result<Vec<PlotFile>> {
    let outs: Vec<BTreeMap<RepoPath, Content>> =
        runs.iter().map(|run| outs(project, run)).collect::<Result<_>>()?;
    let mut left = MAX_TOTAL;
    let mut files = Vec::new();
    for stage in &project.pipeline.stages {
        for out in stage.outs.iter().filter(|out| out.role == Role::Plot) {
            let mut found: BTreeMap<RepoPath, Found> = BTreeMap::new();
            for (at, outs) in outs.iter().enumerate() {
                if let Some(content) = outs.get(&out.path) {
                    list(project, &out.path, *content, at, &mut found);
                }
            }
            for (path, found) in found {
                let versions = found.into_iter().map(|(digest, runs)| FileVersion {
                    runs,
                    content: digest.and_then(|digest| bytes(project, &path, digest, &mut left)),
                });
                files.push(PlotFile {
                    stage: stage.name.clone(),
                    out: out.path.clone(),
                    versions: versions.collect(),
                    path: path.clone(),
                    drawing: out.drawing.clone(),
                });
            }
        }
    }
    Ok(files)
}

fn outs(project: &Project, run: &Run) -> Result<BTreeMap<RepoPath, Content>> {
    let outs = revision::outs_of_run(&project.root, run)?;
    Ok(outs.into_iter().map(|(_, path, content)| (path, content)).collect())
}

/// Adds the files of a content at `path`, which run `at` made.
fn list(
    project: &Project,
    path: &RepoPath,
    content: Content,
    at: usize,
    found: &mut BTreeMap<RepoPath, Found>,
) {
    let mut open = vec![(path.clone(), content)];
    while let Some((path, content)) = open.pop() {
        let digest = match content {
            Content::File(digest) | Content::Executable(digest) => Ok(digest),
            Content::Link(_) => Err("is a link that leads nowhere".to_owned()),
            Content::Tree(digest) => match project.cache.tree(&digest) {
                Ok(tree) => {
                    let entries = tree.entries.iter().rev().take(MAX_FILES);
                    open.extend(entries.map(|(name, content)| (path.join(name), *content)));
                    continue;
                }
                Err(_) => Err(not_cached()),
            },
        };
        if found.len() >= MAX_FILES && !found.contains_key(&path) {
            return;
        }
        let versions = found.entry(path).or_default();
        match versions.iter_mut().find(|(other, _)| *other == digest) {
            Some((_, runs)) => runs.push(at),
            None => versions.push((digest, vec![at])),
        }
    }
}

/// Returns the bytes of a file, from the cache or else from the workspace.
fn bytes(
    project: &Project,
    path: &RepoPath,
    digest: Digest,
    left: &mut u64,
) -> Result<Vec<u8>, String> {
    let object = project.cache.object_path(&digest);
    let size = object.metadata().map_or(0, |meta| meta.len());
    if size > MAX_FILE {
        return Err(format!("is larger than {} MiB", MAX_FILE >> 20));
    }
    if size > *left {
        return Err(format!("is left out: the files before it have {} MiB", MAX_TOTAL >> 20));
    }
    *left -= size;
    project.cache.bytes(&digest).or_else(|_| {
        // An out with `cache = false` is in the workspace only.
        let bytes = regular_file::read(&path.to_path(&project.root)).ok();
        bytes.filter(|bytes| Digest::of(bytes) == digest).ok_or_else(not_cached)
    })
}

fn not_cached() -> String {
    "is not in the cache".to_owned()
}
